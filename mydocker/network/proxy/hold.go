package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"

	api "github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"
)

// errTaken is Docker's word for EADDRINUSE.
var errTaken = errors.New("port is already allocated")

// request is one binding of a container's port: the first number from first to last
// that is free on all addresses, or with first 0 the kernel's choice.
type request struct {
	port        api.Port
	addresses   []netip.Addr
	first, last uint16
}

// Hold listens on the host's ports that bindings ask for. A binding's HostIP is an
// address of the host; zero means defaultIP or, if that is zero too, all of both
// families (of IPv4 on a host without IPv6). Its HostPort is a number, a range, of
// which the first free one is taken, or "" or "0" for the kernel's choice
// (net.ipv4.ip_local_port_range). After an error nothing is held.
func Hold(bindings api.PortMap, defaultIP netip.Addr) (*Ports, error) {
	var requests []request
	for port, list := range bindings {
		if err := supported(port); err != nil {
			return nil, err
		}
		for _, binding := range list {
			numbers, err := api.ParsePortRange(cmp.Or(binding.HostPort, "0"))
			if err != nil {
				return nil, fmt.Errorf("invalid hostPort: %s", binding.HostPort)
			}
			r := request{port, []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, numbers.Start(), numbers.End()}
			if r.first == 0 {
				r.last = 65535
			}
			if ip := cmp.Or(binding.HostIP, defaultIP); ip.IsValid() {
				r.addresses = []netip.Addr{ip.Unmap()}
			}
			requests = append(requests, r)
		}
	}
	// A range or the kernel's choice must not take the number that another binding names.
	slices.SortStableFunc(requests, func(a, b request) int {
		return cmp.Or(cmp.Compare(a.last-a.first, b.last-b.first), cmp.Compare(a.port.String(), b.port.String()))
	})
	p := &Ports{}
	p.Rest()
	for _, r := range requests {
		sockets, err := r.hold()
		if err != nil {
			p.Close()
			return nil, err
		}
		p.sockets = append(p.sockets, sockets...)
	}
	for _, s := range p.sockets {
		switch conn := s.conn.(type) {
		case *net.TCPListener:
			p.running.Go(func() { p.accept(conn, s) })
		case *net.UDPConn:
			p.running.Go(func() { p.relay(conn, s) })
		}
	}
	return p, nil
}

// hold opens the sockets of the first number that is free.
func (r request) hold() ([]socket, error) {
	for i := range int(r.last-r.first) + 1 {
		number := r.first
		if number != 0 {
			number += uint16(i)
		}
		sockets, err := r.listen(number)
		if !errors.Is(err, errTaken) || r.first == r.last {
			return sockets, err
		}
	}
	return nil, fmt.Errorf("Bind for %s-%d failed: all ports are allocated", netip.AddrPortFrom(r.addresses[0], r.first), r.last)
}

// listen opens a socket on each address, or none. What the kernel chooses for the
// first, if number is 0, the second gets too.
func (r request) listen(number uint16) (sockets []socket, err error) {
	for _, ip := range r.addresses {
		at := netip.AddrPortFrom(ip, number)
		conn, bound, err := open(r.port.Proto(), at)
		if len(sockets) > 0 && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
			break // a host without IPv6
		}
		if err != nil {
			for _, s := range sockets {
				s.conn.Close()
			}
			if errors.Is(err, unix.EADDRINUSE) && number != 0 {
				err = errTaken
			} else if errno := syscall.Errno(0); errors.As(err, &errno) {
				err = errno // without Go's words for the operation
			}
			return nil, fmt.Errorf("Bind for %s failed: %w", at, err)
		}
		number = netip.MustParseAddrPort(bound.String()).Port()
		sockets = append(sockets, socket{r.port, netip.AddrPortFrom(ip, number), conn})
	}
	return sockets, nil
}

// open opens one socket. Go sets SO_REUSEADDR for TCP and IPV6_V6ONLY for tcp6, udp6.
func open(proto api.IPProtocol, at netip.AddrPort) (io.Closer, net.Addr, error) {
	network := string(proto) + "4"
	if at.Addr().Is6() {
		network = string(proto) + "6"
	}
	config := net.ListenConfig{Control: wantDestination}
	if proto == api.UDP {
		conn, err := config.ListenPacket(context.Background(), network, at.String())
		if err != nil {
			return nil, nil, err
		}
		return conn, conn.LocalAddr(), nil
	}
	config.SetMultipathTCP(false) // Go's default, which costs a larger socket
	listener, err := config.Listen(context.Background(), network, at.String())
	if err != nil {
		return nil, nil, err
	}
	return listener, listener.Addr(), nil
}
