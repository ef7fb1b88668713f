package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxClients is how many clients a UDP socket knows; a further one takes the place
// of one of them.
const maxClients = 1024

// clientIdle is how long a silent client is known: docker-proxy's time.
var clientIdle = 90 * time.Second

// buffers hold a datagram each. Nobody has one while waiting for a datagram: a
// thousand silent clients would have 64 MiB.
var buffers = sync.Pool{New: func() any { return new([1 << 16]byte) }}

// clients are the clients of one UDP socket, each with a socket of its own, by whose
// port the container tells them apart.
type clients struct {
	front *net.UDPConn
	mu    sync.Mutex
	known map[client]*net.UDPConn
}

// client is who asks and what it has asked: as a control message (in_pktinfo, ip(7);
// in6_pktinfo, ipv6(7)) the address of the host, from which it expects the answer.
// By itself a socket bound to 0.0.0.0 would answer for 127.0.0.2 from 127.0.0.1.
type client struct {
	life    *life
	address netip.AddrPort
	info    [unix.SizeofCmsghdr + 24]byte
}

// wantDestination makes a UDP socket tell where each datagram was sent to.
func wantDestination(network, _ string, conn syscall.RawConn) (err error) {
	level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
	switch network {
	case "tcp4", "tcp6":
		return nil
	case "udp6":
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	failed := conn.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
	return errors.Join(failed, err)
}

// relay forwards datagrams until the socket is closed.
func (p *Ports) relay(front *net.UDPConn, s socket) {
	c := &clients{front: front, known: map[client]*net.UDPConn{}}
	device := unix.SizeofCmsghdr // where the control message has the interface's index
	if s.address.Addr().Is6() {
		device += 16
	}
	for readable(front) == nil {
		buffer := buffers.Get().(*[1 << 16]byte)
		from := client{life: p.life.Load()}
		n, end, _, address, err := front.ReadMsgUDPAddrPort(buffer[:], from.info[:])
		from.address = address
		clear(from.info[device : device+4]) // may not be the way back
		if err != nil {
			time.Sleep(retry)
		} else if back := c.connect(p, from, from.life.target(s), end); back != nil {
			back.SetReadDeadline(time.Now().Add(clientIdle))
			if _, err := back.Write(buffer[:n]); errors.Is(err, unix.ECONNREFUSED) {
				back.Write(buffer[:n]) // the error was that of an earlier datagram, this one is not sent yet
			}
		}
		buffers.Put(buffer)
	}
}

// connect returns the client's own socket; nil if there is no container.
func (c *clients) connect(p *Ports, from client, to netip.AddrPort, end int) *net.UDPConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if back := c.known[from]; back != nil || !to.IsValid() {
		return back
	}
	back, err := new(net.Dialer).DialUDP(from.life.context, "udp", netip.AddrPort{}, to)
	if err != nil {
		return nil
	}
	for other, conn := range c.known {
		if len(c.known) < maxClients {
			break
		}
		conn.Close()
		delete(c.known, other)
	}
	c.known[from] = back
	p.running.Go(func() { c.answer(from, back, from.info[:end]) })
	return back
}

// answer sends the client what the container answers, until its life has ended or
// neither has said anything for clientIdle.
func (c *clients) answer(to client, back *net.UDPConn, control []byte) {
	defer context.AfterFunc(to.life.context, func() { back.Close() })()
	for readable(back) == nil {
		buffer := buffers.Get().(*[1 << 16]byte)
		if n, err := back.Read(buffer[:]); err == nil { // or ECONNREFUSED: nobody listens yet
			back.SetReadDeadline(time.Now().Add(clientIdle))
			c.front.WriteMsgUDPAddrPort(buffer[:n], control, to.address)
		}
		buffers.Put(buffer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	back.Close()
	if c.known[to] == back {
		delete(c.known, to)
	}
}

// readable waits until there is something to read, an error too.
func readable(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n != 0
	})
}
