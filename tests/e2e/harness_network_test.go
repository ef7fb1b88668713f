package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// site is the engine of one test and two machines outside of its host, each on a
// wire of its own: a client, whose way to everywhere is the host, and a server,
// which knows nobody but the host, so that it can only answer what comes with the
// host's address.
type site struct {
	*host
	number         int // no other test of this machine has it at this time
	client, server *place
	here           *place // the host itself
	room           *place // where the engine of newRoom is
}

// newSite makes the engine, with the image busybox, and the machines outside.
// What the test needs of addresses and host ports it takes from addr, subnet,
// subnet6 and port, which no other test has.
func newSite(t *testing.T) *site { return makeSite(t, false) }

// newRoom is newSite with the engine in a network namespace, whose firewall and
// settings may be changed; only the host, s.here, is outside of it and its router.
func newRoom(t *testing.T) *site { return makeSite(t, true) }

func makeSite(t *testing.T, room bool) *site {
	t.Helper()
	t.Parallel()
	// These are given back after the last of the engine.
	s := &site{number: leaseNumber(t), here: &place{t: t}}
	netns := ""
	if room {
		s.room = s.outside(t, "room", 2)
		netns = s.room.netns
		ip(t, "-n", s.room.name, "route", "add", "default", "via", s.room.gateway)
	}
	s.host = emptyHost(t)
	s.netns = netns
	s.ok("import", "-c", `CMD ["sh"]`, busybox, "busybox")
	if !room {
		s.client, s.server = s.outside(t, "client", 0), s.outside(t, "server", 1)
		ip(t, "-n", s.client.name, "route", "add", "default", "via", s.client.gateway)
		ip(t, "-n", s.client.name, "-6", "route", "add", "default", "via", s.client.gateway6)
	}
	return s
}

// newDebianSite is newSite with the image debian beside busybox.
func newDebianSite(t *testing.T) *site {
	s := newSite(t)
	s.ok("import", debian, "debian")
	return s
}

// leaseNumber takes the lowest number that no test of any process has; an
// abstract socket holds it, so a killed test gives it back.
func leaseNumber(t *testing.T) int {
	t.Helper()
	for n := range 400 {
		if l, err := net.Listen("unix", fmt.Sprintf("@mydocker-e2e-site-%d", n)); err == nil {
			t.Cleanup(func() { l.Close() })
			return n
		}
	}
	t.Fatal("400 tests of networks at once")
	return 0
}

// addr is an IPv4 address of the site. .0 to .15 are the machines outside.
func (s *site) addr(last int) string {
	return fmt.Sprintf("198.%d.%d.%d", 18+s.number/256, s.number%256, last)
}

// subnet is a part of the site's addresses: subnet("64/26").
func (s *site) subnet(rest string) string { return strings.TrimSuffix(s.addr(0), "0") + rest }

// addr6 is an IPv6 address of the site in one of its nets; 1 to 3 are the
// machines outside.
func (s *site) addr6(net, last int) string {
	return fmt.Sprintf("fd5e:%x:0:%x::%x", s.number, net, last)
}

func (s *site) subnet6(net int) string { return fmt.Sprintf("fd5e:%x:0:%x::/64", s.number, net) }

// port is one of 32 host ports of the site, below the ephemeral ones.
func (s *site) port(i int) string {
	if i >= 32 {
		s.t.Fatalf("a site has 32 ports, not %d", i+1)
	}
	return fmt.Sprint(12000 + s.number*32 + i)
}

// place is a network namespace in which the test asks and answers.
type place struct {
	t                 *testing.T
	name, netns       string // netns is its file; none is the host's
	link              string // the host's end of the wire
	address, address6 string
	gateway, gateway6 string // the host's addresses on the wire
}

func (s *site) outside(t *testing.T, name string, i int) *place {
	t.Helper()
	p := &place{t: t, name: fmt.Sprintf("mydocker-e2e-%d-%s", s.number, name), link: fmt.Sprintf("e2e%d%c", s.number, name[0]),
		gateway: s.addr(4*i + 1), address: s.addr(4*i + 2), gateway6: s.addr6(i+1, 1), address6: s.addr6(i+1, 2)}
	p.netns = "/run/netns/" + p.name
	ip(t, "netns", "add", p.name)
	t.Cleanup(func() {
		exec.Command("ip", "link", "del", p.link).Run()
		ip(t, "netns", "del", p.name)
	})
	ip(t, "link", "add", p.link, "type", "veth", "peer", "name", "eth0", "netns", p.name)
	for _, end := range []struct{ where, link, v4, v6 string }{{"", p.link, p.gateway, p.gateway6}, {p.name, "eth0", p.address, p.address6}} {
		var in []string
		if end.where != "" {
			in = []string{"-n", end.where}
			ip(t, append(in, "link", "set", "lo", "up")...)
		}
		ip(t, append(in, "addr", "add", end.v4+"/30", "dev", end.link)...)
		ip(t, append(in, "addr", "add", end.v6+"/64", "dev", end.link, "nodad")...)
		ip(t, append(in, "link", "set", end.link, "up")...)
	}
	return p
}

// ip runs iproute2's ip and gives its output.
func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// in is the place that is a running container.
func (s *site) in(ref string) *place {
	s.t.Helper()
	return &place{t: s.t, name: ref, netns: "/proc/" + s.pid(ref) + "/ns/net"}
}

// The first thread cannot end: it is kept from do, or /proc/self would be
// somewhere else for ever.
func init() { runtime.LockOSThread() }

// do calls f, whose sockets belong to the place, also after do has returned.
func (p *place) do(f func() error) error {
	if p.netns == "" {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with this function
		done <- func() error {
			ns, err := os.Open(p.netns)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter the network namespace of %s: %w", p.name, err)
			}
			return f()
		}()
	}()
	return <-done
}

// ask connects to an answerer and gives what it says: its name, and by which
// address it knows who asks.
func (p *place) ask(network, address string, patience time.Duration) (name, seen string, err error) {
	var answer []byte
	err = p.do(func() error {
		conn, err := (&net.Dialer{Timeout: patience}).Dial(network, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if strings.HasPrefix(network, "tcp") {
			conn.SetDeadline(time.Now().Add(patience))
			answer, err = io.ReadAll(conn)
			return err
		}
		answer = make([]byte, 100)
		for end := time.Now().Add(patience); ; { // it may be lost; the socket takes answers of that address only
			if _, err := conn.Write([]byte("?")); err != nil {
				return err
			}
			conn.SetReadDeadline(time.Now().Add(min(patience, 500*time.Millisecond)))
			n, err := conn.Read(answer)
			if answer = answer[:max(n, 0)]; err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
				return err
			}
			answer = answer[:100]
		}
	})
	if err != nil {
		return "", "", err
	}
	name, seen, _ = strings.Cut(string(answer), " ")
	return name, seen, nil
}

// reaches holds that name answers at the address, and gives the address under
// which it sees this place.
func (p *place) reaches(network, address, name string) (seen string) {
	p.t.Helper()
	got, seen, err := p.ask(network, address, 20*time.Second)
	if err != nil || got != name {
		p.t.Errorf("%s at %s asked from %s: %q, %v; want %q", network, address, p.whoever(), got, err, name)
	}
	return seen
}

// isCutOff holds that nobody answers at the address. An answer takes less than a
// millisecond; on a machine so busy that it does not, this finds less.
func (p *place) isCutOff(network, address string) {
	p.t.Helper()
	if got, seen, err := p.ask(network, address, 300*time.Millisecond); err == nil {
		p.t.Errorf("%s at %s asked from %s is answered by %q, which sees %s", network, address, p.whoever(), got, seen)
	}
}

func (p *place) whoever() string {
	if p.netns == "" {
		return "the host"
	}
	return p.name
}

// answers makes the place answer at an address, until stop or the test's end.
func (p *place) answers(network, address, name string) (stop func()) {
	p.t.Helper()
	var closer io.Closer
	err := p.do(func() (err error) {
		closer, err = answer(network, address, name)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { closer.Close() })
	return func() { closer.Close() }
}

// echoes holds that what is sent to an echoing container comes back whole: much,
// more than the buffers on the way take, and the end of it.
func (p *place) echoes(address string) {
	p.t.Helper()
	err := p.do(func() error {
		conn, err := net.DialTimeout("tcp", address, 20*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(limit))
		sent := noise(8 << 20)
		go func() {
			io.WriteString(conn, sent)
			conn.(*net.TCPConn).CloseWrite()
		}()
		if got, err := io.ReadAll(conn); err != nil || string(got) != sent {
			return fmt.Errorf("of %d bytes %d come back, %v", len(sent), len(got), err)
		}
		return nil
	})
	if err != nil {
		p.t.Errorf("echo at %s asked from %s: %v", address, p.whoever(), err)
	}
}

// answer says its name and the asker's address to each connection or datagram;
// the network "echo" is TCP that sends back what comes.
func answer(network, address, name string) (io.Closer, error) {
	if strings.HasPrefix(network, "udp") {
		conn, err := net.ListenPacket(network, address)
		if err != nil {
			return nil, err
		}
		go func() {
			for buffer := make([]byte, 100); ; {
				_, from, err := conn.ReadFrom(buffer)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					conn.WriteTo([]byte(name+" "+from.(*net.UDPAddr).AddrPort().Addr().Unmap().String()), from)
				}
			}
		}()
		return conn, nil
	}
	echo := network == "echo"
	if echo {
		network = "tcp"
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if echo {
					io.Copy(conn, conn)
					conn.Close()
					return
				}
				fmt.Fprintf(conn, "%s %s", name, conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap())
				conn.Close()
			}()
		}
	}()
	return listener, nil
}

// The test binary answers in containers: /player NAME NETWORK/ADDRESS...
func init() {
	if os.Getenv("E2E_PLAY") != "answer" {
		return
	}
	for _, arg := range os.Args[2:] {
		network, address, _ := strings.Cut(arg, "/")
		if _, err := answer(network, address, os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fmt.Println("up")
	select {}
}

// serves starts a container that answers by its name on TCP and UDP port 80, or
// on what flags say after "--": tcp/:81.
func (s *site) serves(name string, flags ...string) (id string) {
	s.t.Helper()
	ports := []string{"tcp/:80", "udp/:80"}
	for i, flag := range flags {
		if flag == "--" {
			flags, ports = flags[:i], flags[i+1:]
			break
		}
	}
	args := append([]string{"run", "-d", "--name", name}, s.player("answer")...)
	args = append(append(args, flags...), "busybox", "/player", name)
	id = s.ok(append(args, ports...)...)
	s.isUp(id)
	return id
}

// isUp waits for the word "up" in a container's log since its last start.
func (s *site) isUp(ref string) {
	s.t.Helper()
	s.eventuallyOr(func() string { return fmt.Sprintf("%s never says up: %s", ref, s.try("logs", ref)) }, func() bool {
		return strings.Contains(s.try("logs", "--since", s.inspect(ref, "{{.State.StartedAt}}"), ref).out, "up")
	})
}

// address is a container's in a network.
func (s *site) address(ref, network string) string {
	s.t.Helper()
	return s.inspect(ref, fmt.Sprintf("{{(index .NetworkSettings.Networks %q).IPAddress}}", network))
}

// bridge is the interface of a network.
func (h *host) bridge(network string) string {
	h.t.Helper()
	return h.ok("network", "inspect", "-f", `{{index .Options "com.docker.network.bridge.name"}}`, network)
}

// tool prepares a program of the host that sees the links and rules that the
// engine does.
func (h *host) tool(args ...string) *exec.Cmd {
	if h.netns != "" {
		args = append([]string{"nsenter", "--net=" + h.netns, "--"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// script runs one of the host's programs where the engine is.
func (h *host) script(script string) string {
	h.t.Helper()
	out, err := h.tool("sh", "-ec", script).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// traces lists the links and firewall rules of this machine that have the name
// of the engine.
func (h *host) traces(prefix string) (found []string) {
	h.t.Helper()
	links, err := h.tool("ip", "-o", "link").Output()
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(string(links)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	rules, err := h.tool("nft", "list", "ruleset").Output()
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(string(rules)) {
		if strings.Contains(line, prefix) || strings.Contains(line, h.instance) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// noNetworks removes the engine's networks and then finds no trace of them.
func (h *host) noNetworks() {
	h.t.Helper()
	prefix := strings.TrimSuffix(h.bridge("bridge"), "0")
	if r := h.try("network", "prune", "-f"); r.code != 0 {
		h.t.Errorf("clean up: %s", r)
	}
	if left := h.ok("network", "ls", "-q", "--filter", "type=custom"); left != "" {
		h.t.Errorf("networks are left after network prune: %s", left)
	}
	h.eventuallyOr(func() string { return "left after network prune:\n" + strings.Join(h.traces(prefix), "\n") }, func() bool {
		return len(h.traces(prefix)) == 0
	})
}
