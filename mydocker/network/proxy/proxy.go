// Package proxy reserves the host's ports that a container publishes, and brings
// what reaches them to the container.
//
// A port is reserved by listening on it: that somebody else has it, a process of
// the host too, is an error before the container starts, and nobody can take
// it between two lives. Package nft turns most packets to the container before they
// reach these sockets. Forwarded here are those from the host's loopback (127.0.0.1
// is not routed to other interfaces), and IPv6 to a container with IPv4 only.
//
// On the host it owns the monitor's listening sockets. A crash leaves nothing: the
// kernel closes them with the process.
package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	api "github.com/moby/moby/api/types/network"
)

// Ports are the host's ports held for one container. A nil *Ports has none, and
// all methods work.
type Ports struct {
	sockets []socket
	life    atomic.Pointer[life]
	running sync.WaitGroup
}

// socket is a port of the container on one address of the host.
type socket struct {
	port    api.Port
	address netip.AddrPort
	conn    io.Closer // *net.TCPListener or *net.UDPConn
}

// life is the time from one Serve or Rest to the next: no connection outlives it.
type life struct {
	context      context.Context
	end          context.CancelFunc
	inet4, inet6 netip.Addr // both zero: a rest
}

const (
	// retry is how long a socket waits when there is no descriptor (EMFILE) or memory
	// for the next client.
	retry = 100 * time.Millisecond
	// lastWords is how long, after the end of a life, what the container has sent may
	// take to reach the client.
	lastWords = 100 * time.Millisecond
)

// Bindings are the ports held, as NetworkSettings.Ports of docker inspect shows
// them: with their actual numbers, one binding per family.
func (p *Ports) Bindings() api.PortMap {
	bindings := api.PortMap{}
	if p != nil {
		for _, s := range p.sockets {
			bindings[s.port] = append(bindings[s.port], api.PortBinding{HostIP: s.address.Addr(), HostPort: strconv.Itoa(int(s.address.Port()))})
		}
	}
	return bindings
}

// Serve forwards to the container's addresses: to target6 what came by IPv6, all
// else to target4, and everything to the other if one is zero. Connections of the
// life before end.
func (p *Ports) Serve(target4, target6 netip.Addr) {
	if p == nil {
		return
	}
	next := &life{inet4: target4, inet6: target6}
	next.context, next.end = context.WithCancel(context.Background())
	if last := p.life.Swap(next); last != nil {
		last.end()
	}
}

// Rest ends all connections and keeps the ports: until Serve a TCP client is reset
// at once, and datagrams are dropped. So it is after Hold, too.
func (p *Ports) Rest() { p.Serve(netip.Addr{}, netip.Addr{}) }

// Close ends all connections and gives the ports back.
func (p *Ports) Close() error {
	if p == nil {
		return nil
	}
	p.Rest()
	for _, s := range p.sockets {
		s.conn.Close()
	}
	p.running.Wait()
	return nil
}

// target is where a client of the socket is led; not valid in a rest.
func (l *life) target(s socket) netip.AddrPort {
	address := l.inet4
	if !address.IsValid() || s.address.Addr().Is6() && l.inet6.IsValid() {
		address = l.inet6
	}
	return netip.AddrPortFrom(address, s.port.Num())
}

// accept forwards connections until the listener is closed.
func (p *Ports) accept(listener *net.TCPListener, s socket) {
	for {
		client, err := listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			time.Sleep(retry)
			continue
		}
		p.running.Go(func() { p.life.Load().forward(client, s) })
	}
}

// forward copies both ways until both have ended, or the life has.
func (l *life) forward(client *net.TCPConn, s socket) {
	defer client.Close()
	var server *net.TCPConn
	err := net.ErrClosed
	if to := l.target(s); to.IsValid() { // Dial takes the zero address for the loopback
		dialer := net.Dialer{Timeout: 10 * time.Second}
		server, err = dialer.DialTCP(l.context, "tcp", netip.AddrPort{}, to)
	}
	if err != nil {
		client.SetLinger(0) // a reset is next to the refusal that the client would have met
		return
	}
	defer server.Close()
	// A container that ends closes its connections; a client need not.
	defer context.AfterFunc(l.context, func() {
		client.CloseRead()
		client.SetDeadline(time.Now().Add(lastWords))
		server.SetDeadline(time.Now().Add(lastWords))
	})()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pass(server, client)
	}()
	pass(client, server)
	<-sent
}

// pass copies one way. While messages are short, through a small buffer: splice(2), which
// io.Copy uses, is for streams.
func pass(to, from *net.TCPConn) {
	defer to.CloseWrite()
	defer from.CloseRead()
	buffer := make([]byte, 2048)
	for n := 0; n < len(buffer); {
		var err error
		if n, err = from.Read(buffer); n > 0 {
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
	io.Copy(to, from)
}
