package e2e

import (
	"os"
	"strings"
	"testing"
)

func TestNetworkNone(t *testing.T) {
	s := newSite(t)
	id := s.ok("run", "-d", "--network", "none", "-p", s.port(0)+":80", "busybox", "sleep", "1000")
	equal(t, "interfaces", s.ok("exec", id, "ls", "/sys/class/net"), "lo")
	equal(t, "routes", s.ok("exec", id, "ip", "route"), "")
	equal(t, "hosts", s.ok("exec", id, "cat", "/etc/hosts"), dockerHosts)
	equal(t, "inspect", s.inspect(id, "{{len .NetworkSettings.Networks}} {{.NetworkSettings.Networks.none.IPAddress}} {{.NetworkSettings.Ports}}"), "1  map[]")
	s.here.isCutOff("tcp", "127.0.0.1:"+s.port(0))
	s.ok("exec", id, "ping", "-c", "1", "-W", "20", "127.0.0.1")
	if r := s.try("exec", id, "ping", "-c", "1", "-W", "1", s.server.address); r.code == 0 {
		t.Errorf("a way out: %s", r)
	}
	equal(t, "network inspect", s.ok("network", "inspect", "-f", "{{.Driver}} {{range .Containers}}{{.IPv4Address}}{{end}} {{len .Containers}}", "none"), "null  1")
	s.fails(1, []string{"none"}, "network", "connect", "none", id)
}

func TestNetworkHost(t *testing.T) {
	s := newSite(t)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "namespace and hostname", s.ok("run", "--rm", "--network", "host", "busybox", "sh", "-c", "readlink /proc/self/ns/net; hostname"), own+"\n"+name)
	s.serves("web", "--network", "host", "--", "tcp/127.0.0.1:"+s.port(0))
	s.here.reaches("tcp", "127.0.0.1:"+s.port(0), "web")
	equal(t, "inspect", s.inspect("web", "{{len .NetworkSettings.Networks}} {{.NetworkSettings.Networks.host.IPAddress}} {{.HostConfig.NetworkMode}}"), "1  host")
	r := s.try("run", "--rm", "--network", "host", "-p", s.port(1)+":80", "busybox", "true")
	if r.code != 0 || !strings.Contains(r.err, "Published ports are discarded when using host network mode") {
		t.Errorf("-p: %s", r)
	}
	hosts := s.ok("run", "--rm", "--network", "host", "--add-host", "one:192.0.2.1", "busybox", "cat", "/etc/hosts")
	if !strings.HasSuffix(hosts, "192.0.2.1\tone") || !strings.HasPrefix(hosts, "127.0.0.1\tlocalhost\n::1\t") {
		t.Errorf("hosts: %s", hosts)
	}
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	s.fails(1, []string{"cannot be connected to any other network"}, "network", "connect", "n", "web")
	s.fails(1, nil, "network", "connect", "host", "web")
	s.fails(1, []string{"host network"}, "network", "disconnect", "host", "web")
	// It goes on as it was.
	s.here.reaches("tcp", "127.0.0.1:"+s.port(0), "web")
}

// A container in the network of another shares its interfaces, hostname and files.
func TestNetworkContainer(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	x := s.serves("xx", "--network", "n", "-h", "hostname.x", "--add-host", "one:192.0.2.1", "-p", s.port(0)+":80", "--", "tcp/127.0.0.1:81", "tcp/:80")
	y := s.ok("run", "-d", "--name", "yy", "--network", "container:xx", "busybox", "sleep", "1000")
	equal(t, "namespace", s.ok("exec", "yy", "readlink", "/proc/self/ns/net"), s.ok("exec", "xx", "readlink", "/proc/self/ns/net"))
	equal(t, "mode", s.inspect("yy", "{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Networks}}"), "container:"+x+" 0")
	for _, line := range []string{"hostname", "cat /etc/hostname", "cat /etc/hosts", "cat /etc/resolv.conf", "ip addr"} {
		command := append([]string{"exec"}, "yy")
		equal(t, line, s.ok(append(command, strings.Fields(line)...)...), s.ok(append([]string{"exec", "xx"}, strings.Fields(line)...)...))
	}
	equal(t, "HOSTNAME", s.ok("exec", "yy", "sh", "-c", "echo $HOSTNAME"), "hostname.x")
	s.in("yy").reaches("tcp", "127.0.0.1:81", "xx")
	s.ok("exec", "yy", "sh", "-c", "echo 192.0.2.77 both >> /etc/hosts")
	equal(t, "the file is one", s.ok("exec", "xx", "tail", "-n", "1", "/etc/hosts"), "192.0.2.77 both")

	// What belongs to x cannot be chosen by y.
	for _, c := range []struct {
		word  string
		flags []string
	}{
		{"hostname", []string{"-h", "z"}},
		{"port publishing", []string{"-p", "80"}},
		{"port publishing", []string{"-P"}},
		{"port exposing", []string{"--expose", "80"}},
		{"dns", []string{"--dns", "192.0.2.1"}},
		{"custom host-to-IP mapping", []string{"--add-host", "a:192.0.2.1"}},
		{"user-defined", []string{"--network", "n"}},
	} {
		s.fails(125, []string{"conflicting options", c.word}, append(append([]string{"run", "--network", "container:xx"}, c.flags...), "busybox", "true")...)
	}
	s.fails(1, []string{"container"}, "network", "connect", "n", "yy")
	s.fails(125, []string{"No such container: nope"}, "run", "--network", "container:nope", "busybox", "true")
	s.fails(125, []string{"container:<name|id>"}, "run", "--network", "container:", "busybox", "true")
	for _, name := range strings.Fields(s.ok("ps", "-aq", "--filter", "status=created", "--no-trunc")) {
		s.ok("rm", name)
	}

	// x goes and y keeps what it has; y cannot start without x.
	s.ok("rename", "xx", "x2")
	s.ok("stop", "-t", "0", x)
	equal(t, "yy", s.inspect("yy", "{{.State.Status}}"), "running")
	s.ok("stop", "-t", "0", y)
	s.fails(1, []string{"cannot join network of a non running container"}, "start", "yy")
	s.fails(125, []string{"cannot join network of a non running container"}, "run", "--rm", "--network", "container:x2", "busybox", "true")
	s.ok("start", x)
	s.ok("start", y)
	equal(t, "namespace", s.ok("exec", "yy", "readlink", "/proc/self/ns/net"), s.ok("exec", "x2", "readlink", "/proc/self/ns/net"))
	s.here.reaches("tcp", "127.0.0.1:"+s.port(0), "xx")
}
