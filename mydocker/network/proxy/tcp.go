package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// lastWords is how long, after the end of a life, what the container has sent may
// take to reach the client.
const lastWords = 100 * time.Millisecond

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

// forward copies both ways (by splice(2)) until both have ended, or the life has.
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
	pass := func(to, from *net.TCPConn) {
		io.Copy(to, from)
		from.CloseRead()
		to.CloseWrite()
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pass(server, client)
	}()
	pass(client, server)
	<-sent
}
