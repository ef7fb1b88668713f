package dns

import "net/netip"

type View struct {
	Names     map[string][]netip.Addr
	Hosts     map[netip.Addr]string
	Upstreams []netip.AddrPort
}
type Server struct{}

func Serve(addr netip.AddrPort, look func(asker netip.Addr) *View) (*Server, error) {
	return &Server{}, nil
}
func (s *Server) Close() error { return nil }

type Config struct {
	Servers         []netip.Addr
	Search, Options []string
}

func ParseConfig(text string) Config { return Config{} }
func (c Config) String() string      { return "" }
func Host() Config                   { return Config{} }
