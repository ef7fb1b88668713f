package network

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"minidocker/mydocker/network/ipam"
	"minidocker/mydocker/trace"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// exists tells whether the host has an interface of this name.
func exists(name string) bool {
	_, err := os.Lstat("/sys/class/net/" + name)
	return err == nil
}

// up makes sure that the network's bridge is there: after a reboot, or when somebody
// has deleted it, it is made again. The caller holds the lock.
func (s *Store) up(n *Network) error {
	if !exists(n.Bridge()) {
		owner := ipam.Owner{Root: s.root, Network: n.ID, Name: n.Name}
		var pools []ipam.Pool
		for _, c := range n.IPAM.Config {
			pools = append(pools, ipam.Pool{Subnet: c.Subnet})
		}
		if err := s.leaseAsked(owner, pools); err != nil {
			return err
		}
	}
	return s.raise(n)
}

// raise makes what is missing of the bridge, its addresses, and the forwarding
// of packets between interfaces, which the kernel does not do by itself.
func (s *Store) raise(n *Network) error {
	link, err := netlink.LinkByName(n.Bridge())
	if notFound := (netlink.LinkNotFoundError{}); errors.As(err, &notFound) {
		link, err = makeBridge(n)
	}
	if err != nil {
		return fmt.Errorf("bridge %s: %w", n.Bridge(), err)
	}
	if link.Type() != "bridge" {
		return fmt.Errorf("bridge %s: there is another interface of this name", n.Bridge())
	}
	v4, v6 := n.Gateways()
	for _, prefix := range []netip.Prefix{v4, v6} {
		if prefix.IsValid() && !isLocal(prefix.Addr()) {
			if err := addAddress(nil, link.Attrs().Index, prefix); err != nil {
				return fmt.Errorf("bridge %s: %w", n.Bridge(), err)
			}
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := settle(n, link); err != nil {
			return fmt.Errorf("bridge %s: %w", n.Bridge(), err)
		}
		trace.Step("netlink", "set %s up", n.Bridge())
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", n.Bridge(), err)
		}
	}
	if n.Internal {
		return nil
	}
	return forward(v6.IsValid())
}

// makeBridge makes it with an address of its own: else it would have the lowest of
// its ports', another whenever they change, and who remembers it reach nobody.
func makeBridge(n *Network) (netlink.Link, error) {
	v4, _ := n.Gateways()
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name, bridge.HardwareAddr = n.Bridge(), net.HardwareAddr(hardwareAddr(v4.Addr()))
	trace.Step("netlink", "add bridge %s", bridge.Name)
	if err := netlink.LinkAdd(bridge); err != nil {
		return nil, fmt.Errorf("add: %w", err)
	}
	return netlink.LinkByName(bridge.Name)
}

// settle does for a bridge what must be before it is up: one that a crash left is not up.
func settle(n *Network, bridge netlink.Link) error {
	mtu := cmp.Or(n.MTU(), uplinkMTU())
	trace.Step("netlink", "mtu %d of %s", mtu, n.Bridge())
	// Changed after it was added, it stays; else it would follow the ports, and be 1500 without one.
	if err := netlink.LinkSetMTU(bridge, mtu); err != nil {
		return fmt.Errorf("mtu %d: %w", mtu, err)
	}
	// No address of a router elsewhere, and none at all if the network has no IPv6.
	if err := sysctl("ipv6/conf/"+n.Bridge()+"/accept_ra", "0"); err == nil {
		if _, v6 := n.Gateways(); !v6.IsValid() {
			sysctl("ipv6/conf/"+n.Bridge()+"/disable_ipv6", "1")
		}
	}
	return nil
}

// lower deletes a bridge. That it has gone is fine.
func lower(name string) error {
	link, err := netlink.LinkByName(name)
	if notFound := (netlink.LinkNotFoundError{}); errors.As(err, &notFound) || err == nil && link.Type() != "bridge" {
		return nil
	}
	if err == nil {
		trace.Step("netlink", "delete bridge %s", name)
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("delete bridge %s: %w", name, err)
	}
	return nil
}

// isLocal asks the routing table whether an address is the host's. (A list of all
// addresses would have to be asked for again whenever one changes meanwhile.)
func isLocal(addr netip.Addr) bool {
	routes, err := netlink.RouteGet(addr.AsSlice())
	return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
}

// uplinkMTU is that of the interface the default route leaves by: a larger packet of
// a container would have to be told that, and not every path tells.
func uplinkMTU() int {
	routes, _ := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	for _, route := range routes {
		if route.Dst == nil || route.Dst.IP.IsUnspecified() {
			if link, err := netlink.LinkByIndex(route.LinkIndex); err == nil {
				return link.Attrs().MTU
			}
		}
	}
	return 1500
}

// forwardingNote says that it was us who turned forwarding on.
const forwardingNote = HostDir + "/ip_forward"

// TurnedForwardingOn tells whether an engine made a router of this host.
func TurnedForwardingOn() bool {
	_, err := os.Stat(forwardingNote)
	return err == nil
}

// forward lets the kernel pass packets on between its interfaces.
func forward(v6 bool) error {
	if value, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err != nil || value[0] == '0' {
		if err := sysctl("ipv4/ip_forward", "1"); err != nil {
			return fmt.Errorf("turn on IP forwarding: %w", err)
		}
		if err := os.MkdirAll(HostDir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(forwardingNote, []byte("net.ipv4.ip_forward was 0\n"), 0o644); err != nil {
			return err
		}
	}
	value, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
	if !v6 || err == nil && value[0] != '0' {
		return nil
	}
	// A router does not listen to other routers, unless told to (accept_ra 2): an
	// uplink that has its address from one would lose it.
	uplinks, _ := filepath.Glob("/proc/sys/net/ipv6/conf/*/accept_ra")
	for _, uplink := range uplinks {
		if value, err := os.ReadFile(uplink); err == nil && value[0] == '1' {
			os.WriteFile(uplink, []byte("2"), 0)
		}
	}
	if err := sysctl("ipv6/conf/all/forwarding", "1"); err != nil {
		return fmt.Errorf("turn on IPv6 forwarding: %w", err)
	}
	return nil
}

// sysctl sets a value below /proc/sys/net, which is that of the calling thread's
// network namespace.
func sysctl(name, value string) error {
	trace.Step("sysctl", "net/%s = %s", name, value)
	return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
}
