package network

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	api "github.com/moby/moby/api/types/network"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/network/ipam"
	"minidocker/mydocker/network/nft"
)

// Endpoint is a container's place in a network, and the lease of its addresses.
type Endpoint struct {
	ID        string   // 64 hex digits, others at each start
	Name      string   // the container's
	Aliases   []string // by which it is found too, its short ID among them
	IPv4      netip.Addr
	IPv6      netip.Addr `json:",omitzero"`
	MAC       api.HardwareAddr
	Interface string           // its name in the container
	Gateway   bool             // the container's default route goes this way
	Running   bool             // if not, it is the lease alone
	Ports     []nft.Port       `json:",omitempty"` // published: what the firewall redirects
	Upstreams []netip.AddrPort `json:",omitempty"` // where names of elsewhere are asked; none: the host's
}

// leave leaves the lease.
func (e *Endpoint) leave() { e.Running, e.Gateway, e.Ports = false, false, nil }

// endpoints are those of one network, by container ID.
type endpoints map[string]*Endpoint

func (s *Store) endpointsPath(network string) string {
	return filepath.Join(s.runDir(), network, "endpoints.json")
}

// Endpoints reads who is in a network, by container ID: those that run, and those
// that keep their addresses.
func (s *Store) Endpoints(network string) (map[string]*Endpoint, error) {
	all := endpoints{}
	err := disk.ReadJSON(s.endpointsPath(network), &all)
	if errors.Is(err, os.ErrNotExist) { // nobody was in it since the machine started
		err = nil
	}
	return all, err
}

func (s *Store) saveEndpoints(network string, all endpoints) error {
	path := s.endpointsPath(network)
	if len(all) == 0 {
		return disk.RemoveAll(filepath.Dir(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return disk.WriteJSON(path, all, disk.Volatile)
}

func (all endpoints) running() (n int) {
	for _, e := range all {
		if e.Running {
			n++
		}
	}
	return n
}

// lease gives the container an address of each family that the network has: the
// ones it wants, those it had, or the lowest that are free. alive tells whether a
// container has a monitor: what a dead one had is taken if there is nothing else.
func (all endpoints) lease(n *Network, id string, wish *api.EndpointSettings, alive func(id string) bool) (*Endpoint, error) {
	e := &Endpoint{ID: disk.NewID()}
	had := all[id]
	if had == nil {
		had = &Endpoint{}
	}
	var wish4, wish6 netip.Addr
	if wish.IPAMConfig != nil {
		wish4, wish6 = wish.IPAMConfig.IPv4Address, wish.IPAMConfig.IPv6Address
	}
	pool4, pool6 := n.pools()
	of4, of6 := func(e *Endpoint) *netip.Addr { return &e.IPv4 }, func(e *Endpoint) *netip.Addr { return &e.IPv6 }
	var err error
	if e.IPv4, err = all.pick(n, pool4, id, wish4, had.IPv4, of4, alive); err != nil {
		return nil, err
	}
	if e.IPv6, err = all.pick(n, pool6, id, wish6, had.IPv6, of6, alive); err != nil {
		return nil, err
	}
	if e.MAC = wish.MacAddress; len(e.MAC) == 0 {
		e.MAC = hardwareAddr(e.IPv4)
	}
	return e, nil
}

// CheckEndpoint refuses what a container cannot be in the network. An address that
// another has is found out when the container starts.
func (n *Network) CheckEndpoint(wish *api.EndpointSettings) error {
	if len(wish.Aliases) > 0 && !n.Named() {
		return errors.New("network-scoped aliases are only supported for user-defined networks")
	}
	if len(wish.DriverOpts) > 0 {
		return fmt.Errorf("driver options of an endpoint are not supported (network %s)", n.Name)
	}
	if mac := wish.MacAddress; len(mac) > 0 && (len(mac) != 6 || mac[0]&1 != 0 || bytes.Equal(mac, make([]byte, 6))) {
		return fmt.Errorf("invalid MAC address %s: it is no interface's own", mac)
	}
	for _, alias := range wish.Aliases {
		if err := checkName(alias); err != nil {
			return err
		}
	}
	if wish.IPAMConfig == nil {
		return nil
	}
	pool4, pool6 := n.pools()
	for _, asked := range []struct {
		addr netip.Addr
		v4   bool
		pool *ipam.Pool
	}{{wish.IPAMConfig.IPv4Address, true, pool4}, {wish.IPAMConfig.IPv6Address, false, pool6}} {
		switch {
		case !asked.addr.IsValid():
		case asked.addr.Is4() != asked.v4:
			return fmt.Errorf("invalid IPv%c address: %s", map[bool]byte{true: '4', false: '6'}[asked.v4], asked.addr)
		case !n.Named():
			return errors.New("invalid endpoint settings: user specified IP address is supported on user defined networks only")
		case asked.pool == nil:
			return fmt.Errorf("invalid endpoint settings: no configured subnet of network %s contains IP address %s", n.Name, asked.addr)
		default:
			if err := asked.pool.Check(asked.addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkName refuses names that nobody could ask a name server for: RFC 1035, section 2.3.1,
// but with underscores, which containers' names have.
func checkName(name string) error {
	for label := range strings.SplitSeq(name, ".") {
		ok := label != "" && len(label) <= 63
		for i := range len(label) {
			ok = ok && (alphanumeric(label[i]) || label[i] == '_' || label[i] == '-' && i > 0)
		}
		if !ok || len(name) > 253 {
			return fmt.Errorf("invalid network alias %q: it is no name for DNS: labels of letters, digits, - and _, at most 63 each", name)
		}
	}
	return nil
}

// pick is lease for one family.
func (all endpoints) pick(n *Network, pool *ipam.Pool, id string, wish, had netip.Addr, of func(*Endpoint) *netip.Addr, alive func(string) bool) (netip.Addr, error) {
	if pool == nil {
		return netip.Addr{}, nil
	}
	taken := map[netip.Addr]string{}
	for owner, e := range all {
		if owner != id && of(e).IsValid() {
			taken[*of(e)] = owner
		}
	}
	// A dead container's record has no address any more: it gets another.
	seize := func(addr netip.Addr) bool {
		owner := taken[addr]
		if owner != "" && alive(owner) {
			return false
		}
		if owner != "" {
			*of(all[owner]) = netip.Addr{}
			all[owner].leave()
		}
		return true
	}
	if wish.IsValid() {
		if err := pool.Check(wish); err != nil {
			return had, err
		}
		if !seize(wish) {
			return had, fmt.Errorf("%w: %s belongs to container %s in network %s", ipam.ErrInUse, wish, all[taken[wish]].Name, n.Name)
		}
		return wish, nil
	}
	if had.IsValid() && taken[had] == "" && pool.Check(had) == nil {
		return had, nil
	}
	addr, err := pool.Pick(func(addr netip.Addr) bool { return taken[addr] != "" })
	if errors.Is(err, ipam.ErrUsedUp) {
		addr, err = pool.Pick(func(addr netip.Addr) bool { return taken[addr] != "" && !seize(addr) })
	}
	if errors.Is(err, ipam.ErrUsedUp) {
		family := map[bool]string{true: "IPv4", false: "IPv6"}[pool.Subnet.Addr().Is4()]
		err = fmt.Errorf("no available %s addresses on this network's address pools: %s (%s): all of %s are leased", family, n.Name, n.ID, pool.Subnet)
	}
	return addr, err
}

// hardwareAddr makes a MAC address of an IPv4 address, as Docker did: neighbours who
// remember an address from its last owner still reach the next.
func hardwareAddr(addr netip.Addr) api.HardwareAddr {
	if addr.Is4() {
		ip := addr.As4()
		return append(api.HardwareAddr{0x02, 0x42}, ip[:]...)
	}
	mac := make(api.HardwareAddr, 6)
	rand.Read(mac)
	mac[0] = 0x02 // locally administered
	return mac
}
