package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Link is a pair of virtual interfaces (veth(4)): what goes in at one end comes out
// at the other. One end is a port of the bridge, the other in the container.
type Link struct {
	Index     int    // of the host's end
	Interface string // of the container's
}

// Namespace is a container's network namespace, as seen from outside.
type Namespace struct {
	path   string
	socket *netlink.Handle // a socket stays in the namespace in which it was made
}

// OpenNamespace opens the network namespace at path, for the caller to Close. Interfaces
// made in it from now on have IPv6 only if v6.
func OpenNamespace(path string, v6 bool) (*Namespace, error) {
	ns := &Namespace{path: path}
	err := ns.inside(func() (err error) {
		disable := "1"
		if v6 {
			disable = "0"
		}
		sysctl("ipv6/conf/default/disable_ipv6", disable) // there is none in a kernel without IPv6
		ns.socket, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return ns, nil
}

func (ns *Namespace) inside(f func() error) error {
	return namespace.OnThread(func() error {
		if err := namespace.Enter([]specs.LinuxNamespace{{Type: specs.NetworkNamespace, Path: ns.path}}); err != nil {
			return err
		}
		return f()
	})
}

// Close closes what OpenNamespace opened.
func (ns *Namespace) Close() { ns.socket.Close() }

// Plug makes a container's link to a network: the pair, in one step with its ends in
// their places, the host's marked with the container's ID, then the container's addresses, and the default route if the endpoint
// is the way out. guarded keeps it to its own addresses. After an error there is none.
func (s *Store) Plug(ns *Namespace, n *Network, container string, e *Endpoint, guarded bool) (link Link, err error) {
	link.Interface = e.Interface
	file, err := os.Open(ns.path)
	if err != nil {
		return link, err
	}
	defer file.Close()
	bridge, err := netlink.LinkByName(n.Bridge())
	if err != nil {
		return link, fmt.Errorf("bridge %s: %w", n.Bridge(), err)
	}
	trace.Step("netlink", "add veth %sv%%d on %s, peer %s in %s", prefix(s.instance), n.Bridge(), e.Interface, ns.path)
	err = addVeth(prefix(s.instance)+"v%d", bridge.Attrs().Index, bridge.Attrs().MTU, e, int(file.Fd()))
	if errors.Is(err, unix.EXFULL) {
		return link, fmt.Errorf("network %s: bridge %s is full: the kernel gives it 1023 ports", n.Name, n.Bridge())
	}
	if err != nil {
		return link, fmt.Errorf("link to network %s: %w", n.Name, err)
	}
	inside, err := ns.socket.LinkByName(e.Interface)
	if err != nil {
		return link, fmt.Errorf("interface %s: %w", e.Interface, err)
	}
	// A running container with CAP_NET_ADMIN may have put a pair of its own there meanwhile,
	// and its peer's number is any of the host's: it must be the link just made, without a mark.
	link.Index = inside.Attrs().ParentIndex
	outside, err := netlink.LinkByIndex(link.Index)
	if err != nil || outside.Attrs().ParentIndex != inside.Attrs().Index || outside.Attrs().Alias != "" || !strings.HasPrefix(outside.Attrs().Name, prefix(s.instance)+"v") {
		return link, fmt.Errorf("interface %s: somebody has replaced it", e.Interface)
	}
	defer func() {
		if err != nil { // the container may live on
			err = errors.Join(err, Unplug([]Link{link}))
		}
	}()
	if err := netlink.LinkSetAlias(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: link.Index}}, container); err != nil {
		return link, fmt.Errorf("alias of the link to network %s: %w", n.Name, err)
	}
	if guarded {
		if err := guard(link.Index, e); err != nil {
			return link, err
		}
	}
	// A container that reaches itself by the host's address gets the packet back at the
	// port it came from, if br_netfilter has translated it: only then does hairpin mode matter.
	if err := setPort(link.Index, "hairpin mode", netlink.LinkSetHairpin); err != nil {
		return link, err
	}
	if !n.option(optionICC, true) {
		if err := setPort(link.Index, "isolation", netlink.LinkSetIsolated); err != nil {
			return link, err
		}
	}
	v4, v6 := n.Gateways()
	for _, prefix := range []netip.Prefix{netip.PrefixFrom(e.IPv4, v4.Bits()), netip.PrefixFrom(e.IPv6, v6.Bits())} {
		if prefix.IsValid() {
			if err := addAddress(ns.socket, inside.Attrs().Index, prefix); err != nil {
				return link, fmt.Errorf("interface %s: %w", e.Interface, err)
			}
		}
	}
	if err := ns.socket.LinkSetUp(inside); err != nil {
		return link, fmt.Errorf("set %s up: %w", e.Interface, err)
	}
	if e.Gateway {
		return link, ns.Route(n, e)
	}
	return link, nil
}

// Route makes a network the container's way out. Another that was it is replaced.
func (ns *Namespace) Route(n *Network, e *Endpoint) error {
	inside, err := ns.socket.LinkByName(e.Interface)
	if err != nil {
		return fmt.Errorf("interface %s: %w", e.Interface, err)
	}
	v4, v6 := n.Gateways()
	for _, gateway := range []netip.Addr{v4.Addr(), v6.Addr()} {
		if gateway.IsValid() {
			trace.Step("netlink", "default route by %s", gateway)
			route := &netlink.Route{LinkIndex: inside.Attrs().Index, Gw: gateway.AsSlice()}
			if err := ns.socket.RouteReplace(route); err != nil {
				return fmt.Errorf("default route by %s: %w", gateway, err)
			}
		}
	}
	return nil
}

// addVeth is one message of rtnetlink(7), so that there is no moment at which a
// crash leaves one end without the other, or a link without a bridge. The kernel
// puts a number into the name. The host's end is up at once; the other cannot be
// before it has one (ENOTCONN).
func addVeth(name string, bridge, mtu int, e *Endpoint, ns int) error {
	up := nl.NewIfInfomsg(unix.AF_UNSPEC)
	up.Flags, up.Change = unix.IFF_UP, unix.IFF_UP
	request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	request.AddData(up)
	request.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	request.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	request.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge))))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	peer := data.AddRtAttr(nl.VETH_INFO_PEER, nil)
	peer.AddChild(nl.NewIfInfomsg(unix.AF_UNSPEC))
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(e.Interface))
	peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	peer.AddRtAttr(unix.IFLA_ADDRESS, []byte(e.MAC))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(ns)))
	request.AddData(info)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// setPort turns on something of a bridge's port: that packets may leave where they came
// from, or that they do not go to other isolated ports.
func setPort(index int, what string, set func(netlink.Link, bool) error) error {
	if err := set(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, true); err != nil {
		return fmt.Errorf("%s of the bridge's port: %w", what, err)
	}
	return nil
}

// addAddress adds an address to an interface; socket nil: of the caller's namespace.
// It is used at once (IFA_F_NODAD): the lease says that nobody else has it, and IPv6
// would ask around for a second.
func addAddress(socket *netlink.Handle, index int, prefix netip.Prefix) error {
	trace.Step("netlink", "address %s", prefix)
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}}
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	add := netlink.AddrAdd
	if socket != nil {
		add = socket.AddrAdd
	}
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}
	if err := add(link, addr); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s: %w", prefix, err)
	}
	return nil
}

// Unplug deletes links by their hosts' ends; with one end the other goes too.
// That one has gone is fine. It takes the kernel some milliseconds.
func Unplug(links []Link) error {
	var all error
	for _, link := range links {
		trace.Step("netlink", "delete the link of %s", link.Interface)
		err := netlink.LinkDel(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: link.Index}})
		if err != nil && !errors.Is(err, unix.ENODEV) {
			all = errors.Join(all, fmt.Errorf("delete the link of %s: %w", link.Interface, err))
		}
	}
	return all
}

// unplugLost deletes the links of containers whose monitors were lost. They go with the network
// namespace, but another container may live on in that (--network container:ID), with
// addresses that are about to be somebody else's, and behind a bridge that the firewall
// no longer knows.
func (s *Store) unplugLost(ids ...string) error {
	all, err := listLinks()
	var lost []Link
	for _, link := range all {
		name, mark := link.Attrs().Name, link.Attrs().Alias
		if link.Type() == "veth" && strings.HasPrefix(name, prefix(s.instance)+"v") && slices.Contains(ids, mark) {
			lost = append(lost, Link{link.Attrs().Index, name})
		}
	}
	return errors.Join(err, Unplug(lost))
}

func listLinks() ([]netlink.Link, error) {
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) { // some interface came or went meanwhile
		links, err = netlink.LinkList()
	}
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return links, nil
}
