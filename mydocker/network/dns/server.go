package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// Limits of what askers may cost: queries that are with an upstream at once, and
// connections, with how long one may be idle.
const (
	maxForwarded   = 100
	maxConnections = 64
	idleTime       = 10 * time.Second
)

// Server answers on one address.
type Server struct {
	look     func(asker netip.Addr) *View
	packets  *net.UDPConn
	listener *net.TCPListener
	slots    chan struct{} // one for each query that is with an upstream

	mu          sync.Mutex
	connections map[net.Conn]bool // nil: closed
}

// Serve answers on addr, UDP and TCP, until Close. look gives an asker's view by its
// address; nil: it is none of ours.
func Serve(addr netip.AddrPort, look func(asker netip.Addr) *View) (*Server, error) {
	// Shared with the other servers of the network; and an IPv6 address that was
	// just given to a bridge may not be ready yet.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1))
		})
		return errors.Join(cerr, err)
	}}
	config.SetMultipathTCP(false)
	packets, err := config.ListenPacket(context.Background(), "udp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("listen for names: %w", err)
	}
	listener, err := config.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		packets.Close()
		return nil, fmt.Errorf("listen for names: %w", err)
	}
	s := &Server{look: look, packets: packets.(*net.UDPConn), listener: listener.(*net.TCPListener),
		slots: make(chan struct{}, maxForwarded), connections: map[net.Conn]bool{}}
	go s.servePackets()
	go s.serveConnections()
	return s, nil
}

// Close ends all that the server does.
func (s *Server) Close() error {
	s.mu.Lock()
	for conn := range s.connections {
		conn.Close()
	}
	s.connections = nil
	s.mu.Unlock()
	return errors.Join(s.packets.Close(), s.listener.Close())
}

func (s *Server) servePackets() {
	buffer := make([]byte, 4096)
	for {
		n, asker, err := s.packets.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		send := func(reply []byte) { s.packets.WriteToUDPAddrPort(reply, asker) }
		if q := s.answer(buffer[:n], asker.Addr(), true, send); q != nil {
			q.raw = append([]byte(nil), q.raw...) // the buffer goes on
			s.forward(q, send)
		}
	}
}

// answer answers what is known here, and gives the query that is to be forwarded.
func (s *Server) answer(raw []byte, asker netip.Addr, short bool, send func([]byte)) *query {
	q, code := parse(raw)
	if q == nil {
		return nil
	}
	limit := 0
	if short {
		limit = q.size
	}
	if code != dnsmessage.RCodeSuccess {
		send(q.reply(code, nil, limit))
		return nil
	}
	view := s.look(asker.Unmap())
	if view == nil {
		send(q.reply(dnsmessage.RCodeRefused, nil, limit))
		return nil
	}
	if resources, known := q.answer(view); known {
		send(q.reply(dnsmessage.RCodeSuccess, resources, limit))
		return nil
	}
	q.upstreams = view.Upstreams
	return q
}

// forward asks elsewhere, beside other work: an upstream may be slow.
func (s *Server) forward(q *query, send func([]byte)) {
	select {
	case s.slots <- struct{}{}:
	default:
		send(q.reply(dnsmessage.RCodeServerFailure, nil, 0))
		return
	}
	go func() {
		defer func() { <-s.slots }()
		send(q.forward("udp"))
	}()
}

func (s *Server) serveConnections() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, perhaps
			time.Sleep(100 * time.Millisecond)
			continue
		}
		s.mu.Lock()
		full := s.connections == nil || len(s.connections) >= maxConnections
		if !full {
			s.connections[conn] = true
		}
		s.mu.Unlock()
		if full {
			conn.Close()
			continue
		}
		go func() {
			s.serveConnection(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.connections, conn)
			s.mu.Unlock()
		}()
	}
}

// serveConnection answers queries one after the other, each behind its length in two
// bytes (RFC 1035, section 4.2.2).
func (s *Server) serveConnection(conn net.Conn) {
	asker, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	send := func(reply []byte) {
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
	for {
		conn.SetDeadline(time.Now().Add(idleTime))
		raw, err := readMessage(conn)
		if err != nil {
			return
		}
		if q := s.answer(raw, asker.Addr(), false, send); q != nil {
			conn.SetDeadline(time.Now().Add(idleTime + maxUpstreams*upstreamTime))
			send(q.forward("tcp"))
		}
	}
}

func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, raw)
	return raw, err
}
