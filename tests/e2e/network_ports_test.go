package e2e

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Every form of -p, as `port` and PORTS show it.
func TestNetworkPorts(t *testing.T) {
	s := newSite(t)
	p := s.port
	for _, c := range []struct {
		flags      []string
		port, list string
	}{
		{[]string{"-p", p(0) + ":80"}, "80/tcp -> 0.0.0.0:" + p(0) + "; 80/tcp -> [::]:" + p(0), "0.0.0.0:" + p(0) + "->80/tcp, [::]:" + p(0) + "->80/tcp"},
		{[]string{"-p", p(0) + ":80/udp"}, "80/udp -> 0.0.0.0:" + p(0) + "; 80/udp -> [::]:" + p(0), "0.0.0.0:" + p(0) + "->80/udp, [::]:" + p(0) + "->80/udp"},
		{[]string{"-p", p(0) + ":80/TCP"}, "80/tcp -> 0.0.0.0:" + p(0) + "; 80/tcp -> [::]:" + p(0), "0.0.0.0:" + p(0) + "->80/tcp, [::]:" + p(0) + "->80/tcp"},
		{[]string{"-p", "127.0.0.1:" + p(0) + ":80"}, "80/tcp -> 127.0.0.1:" + p(0), "127.0.0.1:" + p(0) + "->80/tcp"},
		{[]string{"-p", "[::1]:" + p(0) + ":80"}, "80/tcp -> [::1]:" + p(0), "[::1]:" + p(0) + "->80/tcp"},
		{[]string{"-p", "::1:" + p(0) + ":80"}, "80/tcp -> [::1]:" + p(0), "[::1]:" + p(0) + "->80/tcp"},
		{[]string{"-p", "0.0.0.0:" + p(0) + ":80"}, "80/tcp -> 0.0.0.0:" + p(0), "0.0.0.0:" + p(0) + "->80/tcp"},
		{[]string{"-p", "[::]:" + p(0) + ":80"}, "80/tcp -> [::]:" + p(0), "[::]:" + p(0) + "->80/tcp"},
		{[]string{"--publish", p(0) + "-" + p(2) + ":" + p(0) + "-" + p(2)},
			fmt.Sprintf("%[1]s/tcp -> 0.0.0.0:%[1]s; %[1]s/tcp -> [::]:%[1]s; %[2]s/tcp -> 0.0.0.0:%[2]s; %[2]s/tcp -> [::]:%[2]s; %[3]s/tcp -> 0.0.0.0:%[3]s; %[3]s/tcp -> [::]:%[3]s", p(0), p(1), p(2)),
			fmt.Sprintf("0.0.0.0:%[1]s-%[2]s->%[1]s-%[2]s/tcp, [::]:%[1]s-%[2]s->%[1]s-%[2]s/tcp", p(0), p(2))},
		{[]string{"-p", p(3) + "-" + p(4) + ":80"}, "80/tcp -> 0.0.0.0:" + p(3) + "; 80/tcp -> [::]:" + p(3), "0.0.0.0:" + p(3) + "->80/tcp, [::]:" + p(3) + "->80/tcp"},
		{[]string{"-p", p(0) + ":80", "-p", p(1) + ":80", "-p", p(0) + ":80/udp"}, // one port at two
			fmt.Sprintf("80/tcp -> 0.0.0.0:%[1]s; 80/tcp -> 0.0.0.0:%[2]s; 80/tcp -> [::]:%[1]s; 80/tcp -> [::]:%[2]s; 80/udp -> 0.0.0.0:%[1]s; 80/udp -> [::]:%[1]s", p(0), p(1)), ""},
		{[]string{"-p", "published=" + p(0) + ",target=80,protocol=udp"}, "80/udp -> 0.0.0.0:" + p(0) + "; 80/udp -> [::]:" + p(0), ""},
		{[]string{"--expose", "70", "--expose", "71-72/udp"}, "", "70/tcp, 71-72/udp"},
		{[]string{"--expose", "70", "-p", p(0) + ":80"}, "80/tcp -> 0.0.0.0:" + p(0) + "; 80/tcp -> [::]:" + p(0), "70/tcp, 0.0.0.0:" + p(0) + "->80/tcp, [::]:" + p(0) + "->80/tcp"},
	} {
		id := s.ok(append(append([]string{"run", "-d"}, c.flags...), "busybox", "sleep", "1000")...)
		equal(t, fmt.Sprint("port of ", c.flags), strings.ReplaceAll(s.ok("port", id), "\n", "; "), c.port)
		if c.list != "" {
			equal(t, fmt.Sprint("PORTS of ", c.flags), s.ok("ps", "--format", "{{.Ports}}"), c.list)
		}
		s.ok("stop", "-t", "0", id)
		equal(t, fmt.Sprint("port of a stopped one ", c.flags), s.ok("port", id), "")
		equal(t, fmt.Sprint("PORTS of a stopped one ", c.flags), s.ok("ps", "-a", "--format", "{{.Ports}}"), "")
		s.ok("rm", id)
	}
	s.ok("run", "-d", "--name", "web", "-p", p(0)+":80", "-p", p(1)+":53/udp", "busybox", "sleep", "1000")
	equal(t, "port 80", s.ok("port", "web", "80"), "0.0.0.0:"+p(0)+"\n[::]:"+p(0))
	equal(t, "port 80/tcp", s.ok("port", "web", "80/tcp"), "0.0.0.0:"+p(0)+"\n[::]:"+p(0))
	equal(t, "port 53/udp", s.ok("port", "web", "53/udp"), "0.0.0.0:"+p(1)+"\n[::]:"+p(1))
	s.fails(1, []string{"No public port '53' published for web"}, "port", "web", "53")
	s.fails(1, []string{"No public port '81/tcp' published for web"}, "port", "web", "81/tcp")
	s.fails(1, []string{"invalid port"}, "port", "web", "8x")
	s.fails(1, []string{"No such container: nope"}, "port", "nope")
	equal(t, "inspect", s.inspect("web", `{{json .NetworkSettings.Ports}} {{json .HostConfig.PortBindings}} {{json .Config.ExposedPorts}}`),
		fmt.Sprintf(`{"53/udp":[{"HostIp":"0.0.0.0","HostPort":"%[2]s"},{"HostIp":"::","HostPort":"%[2]s"}],"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"%[1]s"},{"HostIp":"::","HostPort":"%[1]s"}]} `+
			`{"53/udp":[{"HostIp":"","HostPort":"%[2]s"}],"80/tcp":[{"HostIp":"","HostPort":"%[1]s"}]} {"53/udp":{},"80/tcp":{}}`, p(0), p(1)))
	for filter, want := range map[string]string{"publish=" + p(0): "web", "publish=" + p(1) + "/udp": "web", "publish=" + p(1): "", "publish=80": "", "expose=80": "web", "expose=81": "", "network=bridge": "web", "network=none": ""} {
		equal(t, filter, s.ok("ps", "--filter", filter, "--format", "{{.Names}}"), want)
	}
}

// Ports that nobody chose come from the host's ephemeral range.
func TestNetworkPortsRandom(t *testing.T) {
	s := newSite(t)
	s.ok("import", "-c", "EXPOSE 80 90/udp", busybox, "exposing")
	var low, high int
	fmt.Sscan(read(t, "/proc/sys/net/ipv4/ip_local_port_range"), &low, &high)
	port := func(ref, inner string) string {
		t.Helper()
		_, port, _ := strings.Cut(strings.Split(s.ok("port", ref, inner), "\n")[0], ":")
		if n, _ := strconv.Atoi(port); n < low || n > high {
			t.Errorf("port %q is not in %d to %d", port, low, high)
		}
		return port
	}
	s.serves("web", "-p", "80", "-p", "127.0.0.1::80/udp", "-p", "0:81", "-p", ":82", "--", "tcp/:80", "udp/:80", "tcp/:81", "tcp/:82")
	for _, inner := range []string{"80", "81", "82"} {
		s.client.reaches("tcp", s.client.gateway+":"+port("web", inner), "web")
	}
	equal(t, "udp", strings.Split(s.ok("port", "web", "80/udp"), ":")[0], "127.0.0.1")
	s.here.reaches("udp", "127.0.0.1:"+port("web", "80/udp"), "web")
	before := port("web", "80")
	s.ok("restart", "-t", "0", "web")
	equal(t, "port after restart", port("web", "80"), before)

	args := append([]string{"run", "-d", "--name", "all", "-P", "--expose", "81-82"}, s.player("answer")...)
	s.ok(append(args, "exposing", "/player", "all", "tcp/:80", "tcp/:81", "tcp/:82", "udp/:90")...)
	s.isUp("all")
	equal(t, "ports of -P", strconv.Itoa(strings.Count(s.ok("port", "all"), "0.0.0.0:")), "4")
	for _, inner := range []string{"80", "81", "82"} {
		s.client.reaches("tcp", s.client.gateway+":"+port("all", inner), "all")
	}
	s.client.reaches("udp", s.client.gateway+":"+port("all", "90/udp"), "all")
	equal(t, "without -P", s.ok("run", "--rm", "-d", "--name", "silent", "exposing", "sleep", "1000")+" "+s.ok("port", "silent"), s.inspect("silent", "{{.Id}}")+" ")

	// Many at once have each their own.
	var lines [][]string
	for range 20 {
		lines = append(lines, []string{"run", "-d", "-p", "80", "-p", "81", "busybox", "sleep", "1000"})
	}
	seen := map[string]bool{}
	for _, r := range s.together(lines...) {
		if r.code != 0 {
			t.Error(r)
			continue
		}
		for _, inner := range []string{"80", "81"} {
			port := port(strings.TrimSpace(r.out), inner)
			if seen[port] {
				t.Errorf("port %s is published twice", port)
			}
			seen[port] = true
		}
	}
}

// A taken port is an error before anything has started, and leaves nothing.
func TestNetworkPortsTaken(t *testing.T) {
	s := newSite(t)
	dir := s.dir("seen")
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	touch := []string{"-v", dir + ":/seen", "busybox", "touch", "/seen/started"}
	refused := func(word string, flags ...string) {
		t.Helper()
		before := len(s.traces(prefix))
		r := s.fails(125, []string{word}, append(append([]string{"run", "--name", "late"}, flags...), touch...)...)
		if r.out != "" {
			t.Errorf("says %q", r.out)
		}
		if _, err := os.Stat(dir + "/started"); err == nil {
			t.Errorf("it has started: %v", flags)
		}
		s.eventuallyOr(func() string { return fmt.Sprintf("%v leaves\n%s", flags, strings.Join(s.traces(prefix), "\n")) }, func() bool {
			return len(s.traces(prefix)) <= before
		})
		equal(t, "state", s.ok("ps", "-a", "--filter", "name=late", "--format", "{{.State}}"), "created")
		s.fails(1, []string{word}, "start", "late")
		s.ok("rm", "late")
	}
	p := s.port
	s.ok("run", "-d", "--name", "bystander", "busybox", "sleep", "1000")
	// By a process of the host, on all addresses or one.
	l, err := net.Listen("tcp4", "0.0.0.0:"+p(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refused(p(0), "-p", p(0)+":80")
	refused(p(0), "-p", "127.0.0.1:"+p(0)+":80")
	refused(p(0), "-p", p(1)+":81", "-p", p(0)+":80")
	refused(p(0), "-p", p(0)+":80", "--network", "nn")
	u, err := net.ListenPacket("udp4", "127.0.0.1:"+p(2))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	refused(p(2), "-p", p(2)+":80/udp")
	// What the refused ones wanted besides is free, and so is the other protocol.
	s.ok("run", "--rm", "-p", p(1)+":81", "-p", p(0)+":80/udp", "-p", p(2)+":80", "busybox", "true")
	// By another container.
	s.serves("web", "-p", p(3)+":80", "-p", "127.0.0.1:"+p(4)+":80", "-p", p(5)+":80/udp")
	refused(p(3), "-p", p(3)+":80")
	refused(p(3), "-p", "127.0.0.1:"+p(3)+":80")
	refused(p(4), "-p", p(4)+":80")
	refused(p(5), "-p", p(5)+":80/udp")
	refused(p(3), "-p", p(1)+"-"+p(3)+":81-83")
	s.client.reaches("tcp", s.client.gateway+":"+p(3), "web") // unharmed
	s.serves("neighbour", "-p", s.client.gateway+":"+p(4)+":80")
	s.client.reaches("tcp", s.client.gateway+":"+p(4), "neighbour")
	s.here.reaches("tcp", "127.0.0.1:"+p(4), "web")
	// Of a range, the first that is free.
	id := s.ok("run", "-d", "-p", p(5)+"-"+p(7)+":80/udp", "busybox", "sleep", "1000")
	equal(t, "of a range", strings.Split(s.ok("port", id, "80/udp"), "\n")[0], "0.0.0.0:"+p(6))
	refused("", "-p", p(5)+"-"+p(6)+":80/udp")

	// It is free as soon as it is not published any more.
	for _, c := range []struct{ what, verb string }{{"stop", "stop -t 0 web"}, {"rm", "rm -f web"}} {
		s.ok(strings.Fields(c.verb)...)
		free, err := net.Listen("tcp", ":"+p(3))
		if err != nil {
			t.Fatalf("after %s: %v", c.what, err)
		}
		if c.what == "stop" {
			s.fails(1, []string{p(3)}, "start", "web")
			free.Close()
			s.ok("start", "web")
			s.isUp("web")
			s.client.reaches("tcp", s.client.gateway+":"+p(3), "web")
		}
		free.Close()
	}
	s.serves("web2", "-p", p(3)+":80")
	s.client.reaches("tcp", s.client.gateway+":"+p(3), "web2")
	// As long as one lives, of 10 at once one has the port.
	var lines [][]string
	for range 10 {
		lines = append(lines, []string{"run", "-d", "-p", p(8) + ":80", "busybox", "sleep", "1000"})
	}
	won := 0
	for _, r := range s.together(lines...) {
		if r.code == 0 {
			won++
		} else if r.code != 125 || !strings.Contains(r.err, p(8)) {
			t.Error(r)
		}
	}
	equal(t, "containers with the port", strconv.Itoa(won), "1")
}
