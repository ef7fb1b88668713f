package dns

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Config is what resolv.conf(5) says.
type Config struct {
	Servers []netip.Addr
	Search  []string
	Options []string
}

// ParseConfig reads a resolv.conf. Lines that say nothing here are left out; of several
// search lines the last holds.
func ParseConfig(text string) (c Config) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.ContainsAny(words[0][:1], "#;") {
			continue
		}
		switch words[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(words[1]); err == nil {
				c.Servers = append(c.Servers, addr)
			}
		case "search", "domain":
			c.Search = words[1:]
		case "options":
			c.Options = append(c.Options, words[1:]...)
		}
	}
	return c
}

// String is the configuration as a file.
func (c Config) String() string {
	var text strings.Builder
	for _, server := range c.Servers {
		fmt.Fprintln(&text, "nameserver", server)
	}
	if len(c.Search) > 0 {
		fmt.Fprintln(&text, "search", strings.Join(c.Search, " "))
	}
	if len(c.Options) > 0 {
		fmt.Fprintln(&text, "options", strings.Join(c.Options, " "))
	}
	return text.String()
}

// Host is the host's configuration for who is elsewhere: the servers on the host's own
// loopback, where only the host reaches them, are left out. If that was systemd-resolved,
// its upstreams stand for it. Docker's defaults, if no server is left.
func Host() Config {
	own, _ := os.ReadFile("/etc/resolv.conf")
	upstream, _ := os.ReadFile("/run/systemd/resolve/resolv.conf")
	return hostConfig(string(own), string(upstream))
}

func hostConfig(own, upstream string) Config {
	c := ParseConfig(own)
	stub := netip.AddrFrom4([4]byte{127, 0, 0, 53})
	if slices.Equal(c.Servers, []netip.Addr{stub}) && upstream != "" {
		c = ParseConfig(upstream)
	}
	c.Servers = slices.DeleteFunc(c.Servers, func(a netip.Addr) bool {
		return a.IsLoopback() || a.Zone() != "" // fe80::1%eth0 is of the host's eth0
	})
	if len(c.Servers) == 0 {
		c.Servers = []netip.Addr{netip.AddrFrom4([4]byte{8, 8, 8, 8}), netip.AddrFrom4([4]byte{8, 8, 4, 4})}
	}
	return c
}
