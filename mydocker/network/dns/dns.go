// Package dns answers the names of a user-defined network, and forwards all
// other questions. Every monitor of a container of the network runs a Server on
// the same address and port: SO_REUSEPORT spreads the questions over them. On
// the host the package owns only these sockets; a crash leaves nothing, and who
// got no answer asks again. What the askers, containers, can pile up is limited.
package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

const (
	maxQuery    = 4096             // bytes; no resolver sends a longer one
	maxForwards = 100              // forwarded queries at once
	maxStreams  = 64               // TCP connections at once; others wait in the kernel
	idle        = 10 * time.Second // for a TCP connection to bring a query, or to take an answer
	patience    = 3 * time.Second  // for an upstream to answer
	minSize     = 512              // bytes; a datagram that every asker takes (RFC 1035, 2.3.4)
	maxSize     = 65535            // bytes; what TCP carries
)

// View is what one asker may know. Several goroutines read it, none changes it.
type View struct {
	Names     map[string][]netip.Addr // by name in lower case, no final dot; both families
	Hosts     map[netip.Addr]string   // for PTR, no final dot
	Upstreams []netip.AddrPort        // asked everything else, in order; none: SERVFAIL (an internal network)
}

// Server answers on one address until it is closed.
type Server struct {
	look     func(netip.Addr) *View
	udp      *net.UDPConn
	tcp      net.Listener
	ctx      context.Context // until Close
	cancel   context.CancelFunc
	work     sync.WaitGroup
	forwards atomic.Int32
}

// Serve answers on addr, UDP and TCP, until Close. look gives the view of an
// asker by its source address (without zone), nil for one that is refused. It is
// called for each query, by several goroutines.
func Serve(addr netip.AddrPort, look func(asker netip.Addr) *View) (*Server, error) {
	listen := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) // if not, bind(2) tells
			// An IPv6 address is tentative for about a second after the bridge was made, and
			// cannot be bound (EADDRNOTAVAIL). An IPv4 socket refuses this, and needs it not.
			unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
		})
	}}
	listen.SetMultipathTCP(false) // Go's default, but it costs more and has no IPV6_FREEBIND before Linux 5.17
	udp, err := listen.ListenPacket(context.Background(), "udp", addr.String())
	if err != nil {
		return nil, err
	}
	tcp, err := listen.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		udp.Close()
		return nil, err
	}
	s := &Server{look: look, udp: udp.(*net.UDPConn), tcp: netutil.LimitListener(tcp, maxStreams)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.work.Go(s.serveUDP)
	s.work.Go(s.serveTCP)
	return s, nil
}

// Close also ends what is being forwarded; after it look is not called.
func (s *Server) Close() error {
	defer s.work.Wait()
	s.cancel()
	return errors.Join(s.udp.Close(), s.tcp.Close())
}

func (s *Server) serveUDP() {
	buf := make([]byte, maxQuery)
	for s.ctx.Err() == nil {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			time.Sleep(10 * time.Millisecond) // no memory, or closed
		} else if q, answer := s.answer(buf[:n], from.Addr(), minSize); answer != nil {
			s.udp.WriteToUDPAddrPort(answer, from)
		} else if q != nil {
			s.work.Go(func() { s.udp.WriteToUDPAddrPort(s.forward(q, "udp"), from) })
		}
	}
}

func (s *Server) serveTCP() {
	for s.ctx.Err() == nil {
		if conn, err := s.tcp.Accept(); err == nil {
			s.work.Go(func() { s.converse(conn) })
		} else {
			time.Sleep(10 * time.Millisecond) // no descriptors, or closed
		}
	}
}

// converse answers the queries of a TCP connection one after the other.
func (s *Server) converse(conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(s.ctx, func() { conn.Close() })()
	for {
		conn.SetDeadline(time.Now().Add(idle)) // for all of the message: nothing is gained by trickling
		msg, err := receive(conn, maxQuery)
		q, answer := s.answer(msg, conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(), maxSize)
		if err != nil || q == nil {
			return
		}
		if answer == nil {
			answer = s.forward(q, "tcp")
		}
		conn.SetDeadline(time.Now().Add(idle))
		if send(conn, answer) != nil {
			return
		}
	}
}
