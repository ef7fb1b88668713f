package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"
)

var (
	loopback  = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
	container = netip.MustParseAddr("127.0.0.77") // stands for the container
)

// hold holds bindings like "8080:80/tcp" and asserts that Close leaves nothing.
func hold(t *testing.T, specs ...string) *Ports {
	t.Helper()
	before := state(t)
	p, err := try(t, specs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		eventually(t, func() error {
			if after := state(t); after != before {
				return fmt.Errorf("left behind: before %s, after %s", before, after)
			}
			return nil
		})
	})
	return p
}

func try(t *testing.T, specs ...string) (*Ports, error) {
	t.Helper()
	_, bindings, err := ParsePublish(specs)
	if err != nil {
		t.Fatal(err)
	}
	return Hold(bindings, netip.Addr{})
}

// state counts goroutines and sockets of this process.
func state(t *testing.T) string {
	t.Helper()
	for n := runtime.NumGoroutine(); ; n = runtime.NumGoroutine() { // those of an earlier test end
		if time.Sleep(20 * time.Millisecond); n == runtime.NumGoroutine() {
			break
		}
	}
	sockets := 0
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if link, _ := os.Readlink("/proc/self/fd/" + entry.Name()); strings.HasPrefix(link, "socket:") {
			sockets++
		}
	}
	return fmt.Sprintf("%d goroutines, %d sockets", runtime.NumGoroutine(), sockets)
}

func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Error(err)
}

// server accepts connections at the container's address and gives each to serve.
func server(t *testing.T, address netip.Addr, serve func(*net.TCPConn)) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// at is the first host port held.
func at(t *testing.T, p *Ports, host string) string {
	t.Helper()
	for _, bindings := range p.Bindings() {
		return net.JoinHostPort(host, bindings[0].HostPort)
	}
	t.Fatal("nothing is held")
	return ""
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

func TestTCPBothWaysAndHalfClose(t *testing.T) {
	port := server(t, container, func(c *net.TCPConn) {
		data, _ := io.ReadAll(c) // ends only if the client's end is passed on
		c.Write(data)
	})
	p := hold(t, port)
	p.Serve(container, netip.Addr{})
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn := dial(t, "tcp", at(t, p, host)).(*net.TCPConn)
		go func() {
			conn.Write(data)
			conn.CloseWrite()
		}()
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes came back of %d, %v", host, len(got), len(data), err)
		}
	}
}

func TestServerEndsFirst(t *testing.T) {
	heard := make(chan string, 1)
	port := server(t, container, func(c *net.TCPConn) {
		c.Write([]byte("bye"))
		c.CloseWrite()
		data, _ := io.ReadAll(c)
		heard <- string(data)
	})
	p := hold(t, port)
	p.Serve(container, netip.Addr{})
	conn := dial(t, "tcp", at(t, p, "127.0.0.1")).(*net.TCPConn)
	if got, err := io.ReadAll(conn); err != nil || string(got) != "bye" {
		t.Errorf("client: %q, %v", got, err)
	}
	conn.Write([]byte("late"))
	conn.CloseWrite()
	if got := <-heard; got != "late" {
		t.Errorf("server: %q", got)
	}
}

func TestTargets(t *testing.T) {
	name := func(name string) func(*net.TCPConn) { return func(c *net.TCPConn) { c.Write([]byte(name)) } }
	port := server(t, container, name("4"))
	other, err := net.Listen("tcp", "[::1]:"+port)
	if err != nil {
		t.Skip(err)
	}
	other.Close()
	p := hold(t, port)
	ask := func(host string) string {
		conn, err := net.Dial("tcp", at(t, p, host))
		if err != nil {
			return err.Error() // the reset came before connect(2) returned
		}
		defer conn.Close()
		data, err := io.ReadAll(conn)
		if err != nil {
			return err.Error()
		}
		return string(data)
	}
	reset := func(when string) {
		t.Helper()
		for _, host := range []string{"127.0.0.1", "::1"} {
			if got := ask(host); !strings.Contains(got, "reset by peer") {
				t.Errorf("%s: %q, want a reset", when, got)
			}
		}
	}
	reset("before Serve")
	p.Serve(container, netip.Addr{})
	if got := ask("127.0.0.1") + ask("::1"); got != "44" {
		t.Errorf("with IPv4 only: %s", got)
	}
	p.Rest()
	reset("in a rest")
	p.Serve(netip.MustParseAddr("127.0.0.78"), netip.Addr{})
	reset("refused")
	p.Serve(container, loopback6)
	if got := ask("127.0.0.1"); got != "4" {
		t.Errorf("IPv4 with both: %s", got)
	}
	if got := ask("::1"); !strings.Contains(got, "reset") { // nobody listens there
		t.Errorf("IPv6 with both: %s", got)
	}
}

func TestNewLifeEndsConnections(t *testing.T) {
	port := server(t, container, func(c *net.TCPConn) {
		c.Write([]byte("x"))
		io.Copy(io.Discard, c)
	})
	p := hold(t, port)
	p.Serve(container, netip.Addr{})
	conn := dial(t, "tcp", at(t, p, "127.0.0.1"))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.Serve(container, netip.Addr{})
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the connection of the old life: %v", err)
	}
}

// TestLastWords asserts that what the container has sent before its end arrives.
func TestLastWords(t *testing.T) {
	data := make([]byte, 4<<20)
	sent := make(chan struct{})
	port := server(t, container, func(c *net.TCPConn) {
		c.Write(data)
		close(sent)
	})
	p := hold(t, port)
	p.Serve(container, netip.Addr{})
	conn := dial(t, "tcp", at(t, p, "127.0.0.1"))
	<-sent
	p.Rest()
	if n, _ := io.Copy(io.Discard, conn); int(n) != len(data) {
		t.Errorf("%d bytes of %d arrived", n, len(data))
	}
}

func echo(t *testing.T, address string) (port string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			conn.WriteTo(buffer[:n], from)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	_, port, _ = net.SplitHostPort(conn.LocalAddr().String())
	return port
}

func exchange(conn net.Conn, message string) error {
	buffer := make([]byte, 1<<16)
	if _, err := conn.Write([]byte(message)); err != nil {
		return err
	}
	n, err := conn.Read(buffer)
	if err == nil && string(buffer[:n]) != message {
		err = fmt.Errorf("got %d bytes, sent %d", n, len(message))
	}
	return err
}

func TestUDP(t *testing.T) {
	port := echo(t, container.String()+":0")
	p := hold(t, port+"/udp")
	p.Serve(container, netip.Addr{})
	// 127.0.0.2 is answered from there, or the connected client hears nothing.
	var conns []net.Conn
	for _, host := range []string{"127.0.0.1", "127.0.0.1", "127.0.0.2", "::1"} {
		conns = append(conns, dial(t, "udp", at(t, p, host)))
	}
	for i, conn := range conns {
		for _, message := range []string{fmt.Sprint("client ", i), strings.Repeat("x", 65507-48)} {
			if err := exchange(conn, message); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		}
	}
	// One unconnected client that asks two of the host's addresses.
	client, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		to, _ := net.ResolveUDPAddr("udp", at(t, p, host))
		client.WriteTo([]byte("x"), to)
		if _, from, err := client.ReadFrom(make([]byte, 8)); err != nil || from.String() != to.String() {
			t.Errorf("asked %s, answered by %v, %v", to, from, err)
		}
	}
	p.Rest()
	p.Serve(container, netip.Addr{})
	if err := exchange(conns[0], "again"); err != nil {
		t.Errorf("in the next life: %v", err)
	}
}

// TestUDPRefused: nobody listens in the container, then somebody does.
func TestUDPRefused(t *testing.T) {
	probe, err := net.ListenPacket("udp", container.String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.LocalAddr().String()
	probe.Close()
	_, port, _ := net.SplitHostPort(address)
	p := hold(t, port+"/udp")
	p.Serve(container, netip.Addr{})
	conn := dial(t, "udp", at(t, p, "127.0.0.1"))
	before := runtime.NumGoroutine()
	for range 5 {
		conn.Write([]byte("lost"))
		time.Sleep(20 * time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now != before+1 {
		t.Errorf("%d goroutines after refusals, %d before the client: it is forgotten", now, before)
	}
	echo(t, address)
	if err := exchange(conn, "heard"); err != nil {
		t.Error(err)
	}
}

func TestUDPClientsEnd(t *testing.T) {
	defer func(was time.Duration) { clientIdle = was }(clientIdle)
	port := echo(t, container.String()+":0")
	t.Run("idle", func(t *testing.T) {
		p := hold(t, port+"/udp")
		p.Serve(container, netip.Addr{})
		clientIdle = 200 * time.Millisecond
		before := runtime.NumGoroutine()
		conn := dial(t, "udp", at(t, p, "127.0.0.1"))
		if err := exchange(conn, "x"); err != nil {
			t.Fatal(err)
		}
		if now := runtime.NumGoroutine(); now != before+1 {
			t.Errorf("%d goroutines with a client, %d without", now, before)
		}
		eventually(t, func() error {
			if now := runtime.NumGoroutine(); now != before {
				return fmt.Errorf("%d goroutines after the client, %d before", now, before)
			}
			return nil
		})
		if err := exchange(conn, "y"); err != nil {
			t.Error(err)
		}
	})
	t.Run("too many", func(t *testing.T) {
		clientIdle = time.Minute
		p := hold(t, port+"/udp")
		p.Serve(container, netip.Addr{})
		before := runtime.NumGoroutine()
		for i := range maxClients + 50 {
			conn, err := net.Dial("udp", at(t, p, "127.0.0.1"))
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			if err := exchange(conn, "x"); err != nil {
				t.Fatalf("client %d: %v", i, err)
			}
			conn.Close()
		}
		eventually(t, func() error {
			if now := runtime.NumGoroutine(); now != before+maxClients {
				return fmt.Errorf("%d goroutines, want %d", now, before+maxClients)
			}
			return nil
		})
	})
}

func TestNil(t *testing.T) {
	var p *Ports
	p.Serve(loopback, loopback)
	p.Rest()
	if err := p.Close(); err != nil || len(p.Bindings()) != 0 {
		t.Error(err)
	}
	p, err := Hold(api.PortMap{}, netip.Addr{})
	if err != nil || len(p.Bindings()) != 0 {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
