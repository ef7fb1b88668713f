package dns

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

var loopbacks atomic.Uint32 // addresses of 127/8 given out: nobody else listens there

func place() netip.AddrPort {
	n := loopbacks.Add(1)
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 53, byte(unix.Getpid()), byte(n)}), 30053)
}

// serving starts a server for the test, which gives all askers the view.
func serving(t *testing.T, addr netip.AddrPort, view *View) *Server {
	t.Helper()
	s, err := Serve(addr, func(netip.Addr) *View { return view })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func dial(t *testing.T, network string, addr netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// exchange sends a query and gives the answer.
func exchange(t *testing.T, conn net.Conn, msg []byte) []byte {
	t.Helper()
	if err := send(conn, msg); err != nil {
		t.Fatal(err)
	}
	answer, err := receive(conn, maxSize)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// fake is an upstream: what it gets over either network it gives to say, whose
// messages it sends back. It reports what it got.
func fake(t *testing.T, say func(network string, msg []byte) [][]byte) (netip.AddrPort, <-chan []byte) {
	t.Helper()
	addr := place()
	got := make(chan []byte, 100)
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go func() {
		buf := make([]byte, maxSize)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			msg := append([]byte(nil), buf[:n]...)
			got <- msg
			for _, answer := range say("udp", msg) {
				udp.WriteToUDPAddrPort(answer, from)
			}
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			if msg, err := receive(conn, maxSize); err == nil {
				got <- msg
				for _, answer := range say("tcp", msg) {
					send(conn, answer)
				}
			}
			conn.Close()
		}
	}()
	return addr, got
}

// echo is the query as an answer with the code.
func echo(msg []byte, rcode dnsmessage.RCode) []byte {
	answer := append([]byte(nil), msg...)
	answer[2] |= 1 << 7
	answer[3] |= byte(rcode)
	return answer
}

func TestServe(t *testing.T) {
	addr := place()
	s := serving(t, addr, network())
	conn := dial(t, "udp", addr)
	want := "Success rd ra; web. A; web. 600 10.1.0.3"
	if got := told(t, exchange(t, conn, ask(t, "web.", dnsmessage.TypeA, 0))); got != want {
		t.Errorf("over UDP: %s", got)
	}
	if got := told(t, exchange(t, conn, ask(t, "many.", dnsmessage.TypeA, 0))); !strings.Contains(got, "tc") {
		t.Errorf("200 addresses over UDP: %s", got)
	}
	conn = dial(t, "tcp", addr)
	for range 3 {
		if got := told(t, exchange(t, conn, ask(t, "web.", dnsmessage.TypeA, 0))); got != want {
			t.Errorf("over TCP: %s", got)
		}
	}
	if got := told(t, exchange(t, conn, ask(t, "many.", dnsmessage.TypeA, 0))); strings.Count(got, "600") != 200 {
		t.Errorf("200 addresses over TCP: %s", got)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := receive(conn, maxSize); err == nil {
		t.Error("the connection outlives the server")
	}
}

// What is no query ends a TCP connection, and only that.
func TestServeHostile(t *testing.T) {
	addr := place()
	serving(t, addr, network())
	for _, bytes := range []string{"\xff\xff", "\x00\x00", "\x00\x03abc", "\x00\x0c\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		conn := dial(t, "tcp", addr)
		io.WriteString(conn, bytes)
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%q: answered with %d bytes", bytes, n)
		}
	}
	var held []net.Conn
	for range maxStreams + 5 {
		held = append(held, dial(t, "tcp", addr))
	}
	if got := told(t, exchange(t, dial(t, "udp", addr), ask(t, "only4.", dnsmessage.TypeA, 0))); !strings.HasPrefix(got, "Success") {
		t.Errorf("over UDP while connections are held: %s", got)
	}
	for _, conn := range held[:10] {
		conn.Close()
	}
	if got := told(t, exchange(t, held[len(held)-1], ask(t, "only4.", dnsmessage.TypeA, 0))); !strings.HasPrefix(got, "Success") {
		t.Errorf("when a connection became free: %s", got)
	}
}

func TestServeStranger(t *testing.T) {
	addr := place()
	s, err := Serve(addr, func(from netip.Addr) *View {
		if from == netip.MustParseAddr("127.0.0.1") {
			t.Errorf("asked by %s", from)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, network := range []string{"udp", "tcp"} {
		local := net.ParseIP("127.0.0.77")
		dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: local}}
		if network == "tcp" {
			dialer.LocalAddr = &net.TCPAddr{IP: local}
		}
		conn, err := dialer.Dial(network, addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if got := told(t, exchange(t, conn, ask(t, "web.", dnsmessage.TypeA, 0))); got != "Refused rd ra; web. A" {
			t.Errorf("over %s: %s", network, got)
		}
		conn.Close()
	}
}

// Both servers of an address are asked, and when one ends the other has all.
func TestServeShared(t *testing.T) {
	addr := place()
	var asked [2]atomic.Int32
	var servers [2]*Server
	for i := range servers {
		s, err := Serve(addr, func(netip.Addr) *View { asked[i].Add(1); return network() })
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		servers[i] = s
	}
	query := ask(t, "web.", dnsmessage.TypeA, 0)
	for range 200 { // of as many ports
		exchange(t, dial(t, "udp", addr), query)
		if asked[0].Load() > 0 && asked[1].Load() > 0 {
			break
		}
	}
	if asked[0].Load() == 0 || asked[1].Load() == 0 {
		t.Errorf("asked were %d and %d", asked[0].Load(), asked[1].Load())
	}
	servers[0].Close()
	before := asked[0].Load()
	for range 20 {
		exchange(t, dial(t, "udp", addr), query)
		exchange(t, dial(t, "tcp", addr), query)
	}
	if asked[0].Load() != before {
		t.Error("a closed server was asked")
	}
}

// An address that is not there can be bound if it is IPv6: it may come.
func TestServeTentative(t *testing.T) {
	s, err := Serve(netip.MustParseAddrPort("[2001:db8::53]:30053"), func(netip.Addr) *View { return nil })
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if s, err := Serve(netip.MustParseAddrPort("192.0.2.53:30053"), func(netip.Addr) *View { return nil }); err == nil {
		s.Close()
		t.Error("an IPv4 address that is not there could be bound")
	}
}

func TestForward(t *testing.T) {
	query := ask(t, "www.Example.com.", dnsmessage.TypeTXT, 1232)
	for _, network := range []string{"udp", "tcp"} {
		other, got := fake(t, func(_ string, msg []byte) [][]byte { return [][]byte{echo(msg, 0)} })
		addr := place()
		serving(t, addr, &View{Upstreams: []netip.AddrPort{other}})
		ids := map[uint16]bool{}
		for range 4 {
			answer := exchange(t, dial(t, network, addr), query)
			if diff := cmp.Diff(echo(query, 0), answer); diff != "" {
				t.Errorf("over %s the answer is not passed on as it came:\n%s", network, diff)
			}
			sent := <-got
			ids[binary.BigEndian.Uint16(sent)] = true
			if diff := cmp.Diff(query[2:], sent[2:]); diff != "" {
				t.Errorf("over %s the query is not sent as it came:\n%s", network, diff)
			}
		}
		if len(ids) < 3 {
			t.Errorf("IDs are %v", ids)
		}
	}
}

// Each server is asked when those before it are silent, gone, or decline.
func TestForwardNext(t *testing.T) {
	silent, _ := fake(t, func(string, []byte) [][]byte { return nil })
	refusing, _ := fake(t, func(_ string, msg []byte) [][]byte { return [][]byte{echo(msg, dnsmessage.RCodeRefused)} })
	failing, _ := fake(t, func(_ string, msg []byte) [][]byte { return [][]byte{echo(msg, dnsmessage.RCodeServerFailure)} })
	without, _ := fake(t, func(_ string, msg []byte) [][]byte { return [][]byte{echo(msg, dnsmessage.RCodeNameError)} })
	with, _ := fake(t, func(_ string, msg []byte) [][]byte { return [][]byte{echo(msg, 0)} })
	gone := place()
	for _, test := range []struct {
		name      string
		upstreams []netip.AddrPort
		want      string
	}{
		{"gone", []netip.AddrPort{gone, with}, "Success rd"},
		{"silent", []netip.AddrPort{silent, with}, "Success rd"},
		{"declining", []netip.AddrPort{refusing, failing, with}, "Success rd"},
		{"no such name", []netip.AddrPort{without, with}, "NameError rd"},
		{"all refusing", []netip.AddrPort{failing, refusing}, "Refused rd"},
		{"all gone", []netip.AddrPort{gone, gone}, "ServerFailure rd ra"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr := place()
			serving(t, addr, &View{Upstreams: test.upstreams})
			for _, network := range []string{"udp", "tcp"} {
				got := told(t, exchange(t, dial(t, network, addr), ask(t, "example.com.", dnsmessage.TypeA, 0)))
				if want := test.want + "; example.com. A"; got != want {
					t.Errorf("over %s: got %s, want %s", network, got, want)
				}
			}
		})
	}
}

// Of several datagrams the first that answers the question counts.
func TestForwardForged(t *testing.T) {
	other, _ := fake(t, func(_ string, msg []byte) [][]byte {
		id := echo(msg, dnsmessage.RCodeNameError)
		id[1]++
		question := echo(msg, dnsmessage.RCodeNameError)
		question[13] = 'x'
		return [][]byte{id, question, msg, {}, msg[:5], echo(msg, 0)}
	})
	addr := place()
	serving(t, addr, &View{Upstreams: []netip.AddrPort{other}})
	for _, network := range []string{"udp", "tcp"} {
		got := told(t, exchange(t, dial(t, network, addr), ask(t, "example.com.", dnsmessage.TypeA, 0)))
		if got != "Success rd; example.com. A" {
			t.Errorf("over %s: %s", network, got)
		}
	}
}

// A truncated answer is passed on as such, and one that is too long to be held
// becomes one; by TCP comes all.
func TestForwardLong(t *testing.T) {
	other, _ := fake(t, func(network string, msg []byte) [][]byte {
		long := append(echo(msg, 0), make([]byte, 9000)...)
		if network == "udp" && len(msg) < 40 { // no OPT
			long = echo(msg, 0)
			long[2] |= 1 << 1
		}
		return [][]byte{long}
	})
	addr := place()
	serving(t, addr, &View{Upstreams: []netip.AddrPort{other}})
	small, large := ask(t, "example.com.", dnsmessage.TypeA, 0), ask(t, "example.com.", dnsmessage.TypeA, 65000)
	if got := told(t, exchange(t, dial(t, "udp", addr), small)); got != "Success tc rd; example.com. A" {
		t.Errorf("truncated: %s", got)
	}
	if got := told(t, exchange(t, dial(t, "udp", addr), large)); got != "Success tc rd ra; example.com. A" {
		t.Errorf("too long: %s", got)
	}
	if got := exchange(t, dial(t, "tcp", addr), small); len(got) != len(small)+9000 {
		t.Errorf("over TCP %d bytes", len(got))
	}
}

// With as many queries under way as may be, more fail at once, names of the
// network are still told, and Close waits for no upstream.
func TestForwardLimit(t *testing.T) {
	silent, got := fake(t, func(string, []byte) [][]byte { return nil })
	addr := place()
	view := network(silent)
	s := serving(t, addr, view)
	conn := dial(t, "udp", addr)
	query := ask(t, "example.com.", dnsmessage.TypeA, 0)
	for range maxForwards {
		if err := send(conn, query); err != nil {
			t.Fatal(err)
		}
		<-got
	}
	begun := time.Now()
	other := dial(t, "udp", addr)
	if got := told(t, exchange(t, other, query)); time.Since(begun) < patience && got != "ServerFailure rd ra; example.com. A" {
		t.Errorf("one too many: %s", got)
	}
	if got := told(t, exchange(t, other, ask(t, "web.", dnsmessage.TypeA, 0))); !strings.HasPrefix(got, "Success") {
		t.Errorf("a name of the network: %s", got)
	}
	s.Close()
	if s.forwards.Load() != 0 {
		t.Errorf("%d queries are under way after Close", s.forwards.Load())
	}
}
