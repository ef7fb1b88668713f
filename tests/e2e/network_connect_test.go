package e2e

import (
	"slices"
	"strings"
	"testing"
)

// interfaces are those of a container, with their IPv4 addresses.
func (s *site) interfaces(ref string) string {
	s.t.Helper()
	var list []string
	for line := range strings.Lines(s.ok("exec", ref, "ip", "-4", "-o", "addr")) {
		if f := strings.Fields(line); f[1] != "lo" {
			list = append(list, f[1]+" "+f[3])
		}
	}
	return strings.Join(list, ", ")
}

// addressesAt are those at the interfaces of a container, whose order a restart
// may change.
func (s *site) addressesAt(ref string) string {
	s.t.Helper()
	var list []string
	for line := range strings.SplitSeq(s.interfaces(ref), ", ") {
		list = append(list, line[strings.IndexByte(line, ' ')+1:])
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// A running container is connected and disconnected.
func TestNetworkConnect(t *testing.T) {
	s := newSite(t)
	s.server.answers("tcp", s.server.address+":7000", "server")
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nb")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "na")
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	s.serves("cc", "--network", "nb")
	s.serves("inb", "--network", "nb", "--dns", s.resolves(nil).address)
	s.serves("ina", "--network", "na")
	links := len(s.traces(prefix))
	pid := s.pid("cc")

	equal(t, "connect", s.ok("network", "connect", "--ip", s.addr(150), "--alias", "al", "na", "cc"), "")
	equal(t, "interfaces", s.interfaces("cc"), "eth0 "+s.address("cc", "nb")+"/26, eth1 "+s.addr(150)+"/26")
	equal(t, "inspect", s.inspect("cc", "{{range $name, $n := .NetworkSettings.Networks}}{{$name}} {{$n.IPAddress}} {{end}}"), "na "+s.addr(150)+" nb "+s.address("cc", "nb")+" ")
	if out := s.ok("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{.IPv4Address}}, {{end}}", "na"); !strings.Contains(out, "cc "+s.addr(150)+"/26, ") {
		t.Errorf("network inspect: %s", out)
	}
	for _, name := range []string{"cc", "al"} {
		s.resolved(t, "ina", name, s.addr(150))
	}
	s.resolved(t, "cc", "ina", s.address("ina", "na"))
	s.resolved(t, "cc", "inb", s.address("inb", "nb"))
	s.in("cc").reaches("tcp", s.address("ina", "na")+":80", "ina")
	s.in("ina").reaches("tcp", s.addr(150)+":80", "cc")
	s.in("inb").reaches("tcp", s.address("cc", "nb")+":80", "cc")
	s.in("ina").isCutOff("tcp", s.address("inb", "nb")+":80")
	s.in("cc").reaches("tcp", s.server.address+":7000", "server")
	if hosts := s.ok("exec", "cc", "cat", "/etc/hosts"); !strings.Contains(hosts, "\n"+s.addr(150)+"\t") || !strings.Contains(hosts, "\n"+s.address("cc", "nb")+"\t") {
		t.Errorf("hosts: %s", hosts)
	}
	s.fails(1, []string{"cc already exists in network na"}, "network", "connect", "na", "cc")

	// It stays so over a restart.
	s.ok("restart", "-t", "0", "cc")
	s.isUp("cc")
	equal(t, "interfaces after restart", s.addressesAt("cc"), s.addr(150)+"/26 "+s.address("cc", "nb")+"/26")
	s.eventually("it answers", func() bool { _, _, err := s.in("ina").ask("tcp", s.addr(150)+":80", limit); return err == nil })

	// Away from the first network: the rest goes on.
	s.ok("network", "disconnect", "nb", "cc")
	equal(t, "interfaces", s.addressesAt("cc"), s.addr(150)+"/26")
	s.in("cc").reaches("tcp", s.server.address+":7000", "server")
	s.in("ina").reaches("tcp", s.addr(150)+":80", "cc")
	s.resolved(t, "inb", "cc", unknownName)
	s.resolved(t, "cc", "ina", s.address("ina", "na"))
	s.fails(1, []string{"is not connected to network nb"}, "network", "disconnect", "nb", "cc")
	// From all: it still runs.
	s.ok("network", "disconnect", "-f", "na", "cc")
	equal(t, "interfaces", s.interfaces("cc"), "")
	equal(t, "networks", s.inspect("cc", "{{len .NetworkSettings.Networks}}"), "0")
	s.in("cc").isCutOff("tcp", s.server.address+":7000")
	s.ok("network", "connect", "bridge", "cc")
	s.in("cc").reaches("tcp", s.server.address+":7000", "server")
	s.here.reaches("tcp", s.address("cc", "bridge")+":80", "cc")
	s.ok("network", "disconnect", "bridge", "cc")
	s.ok("network", "connect", "nb", "cc")
	if now := s.pid("cc"); now == pid {
		t.Error("restart has kept the process")
	}
	// Connected as at the beginning, there are as many links as then; removed, less.
	s.eventuallyOr(func() string { return strings.Join(s.traces(prefix), "\n") }, func() bool { return len(s.traces(prefix)) <= links+2 })
	s.ok("network", "connect", "na", "cc")
	s.ok("rm", "-f", "cc")
	for _, of := range []string{"na", "nb"} {
		equal(t, "containers of "+of, s.ok("network", "inspect", "-f", "{{len .Containers}}", of), "1")
	}
	s.ok("rm", "-f", "ina", "inb")
	s.ok("network", "rm", "na", "nb")
}

// A container that does not run is connected for its next start.
func TestNetworkConnectStopped(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "na")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "nb")
	s.serves("web", "--network", "nb", "--network-alias", "web-b")
	s.ok("create", "--name", "cc", "--network", "na", "busybox", "sleep", "1000")
	s.ok("network", "connect", "--ip", s.addr(150), "--alias", "al", "nb", "cc")
	s.ok("start", "cc")
	equal(t, "interfaces", s.addressesAt("cc"), s.addr(150)+"/26 "+s.address("cc", "na")+"/26")
	s.resolved(t, "web", "al", s.addr(150))
	s.resolved(t, "cc", "web-b", s.address("web", "nb"))
	s.ok("stop", "-t", "0", "cc")
	s.ok("network", "disconnect", "na", "cc")
	s.ok("start", "cc")
	equal(t, "interfaces", s.interfaces("cc"), "eth0 "+s.addr(150)+"/26")
	s.in("cc").reaches("tcp", s.address("web", "nb")+":80", "web")
	for _, c := range []struct {
		words []string
		args  []string
	}{
		{[]string{"network nope not found"}, []string{"connect", "nope", "cc"}},
		{[]string{"No such container: nope"}, []string{"connect", "na", "nope"}},
		{[]string{"network nope not found"}, []string{"disconnect", "nope", "cc"}},
		{[]string{"No such container: nope"}, []string{"disconnect", "na", "nope"}},
		{[]string{"is not connected to network na"}, []string{"disconnect", "na", "cc"}},
		{[]string{"requires 2 arguments"}, []string{"connect", "na"}},
		{[]string{"requires 2 arguments"}, []string{"disconnect", "na"}},
		{[]string{"10.1.2.3"}, []string{"connect", "--ip", "10.1.2.3", "na", "cc"}},
	} {
		s.fails(1, c.words, append([]string{"network"}, c.args...)...)
	}
	equal(t, "interfaces after what was refused", s.interfaces("cc"), "eth0 "+s.addr(150)+"/26")
	equal(t, "networks", s.inspect("cc", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"), "nb ")
}

// Of several networks one has the default route: of those that lead outside the
// first by name, whichever was connected first.
func TestNetworkDefaultRoute(t *testing.T) {
	s := newSite(t)
	s.server.answers("tcp", s.server.address+":7000", "server")
	s.ok("network", "create", "--internal", "--subnet", s.subnet("32/27"), "na")
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nb")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "nc")
	s.ok("run", "-d", "--name", "cc", "--network", "na", "busybox", "sleep", "1000")
	gateway := func(want string) {
		t.Helper()
		var got []string
		for line := range strings.Lines(s.ok("exec", "cc", "ip", "route")) {
			if f := strings.Fields(line); f[0] == "default" {
				got = append(got, f[2])
			}
		}
		if want != "" {
			equal(t, "default route", strings.Join(got, " "), want)
			s.in("cc").reaches("tcp", s.server.address+":7000", "server")
		} else {
			s.in("cc").isCutOff("tcp", s.server.address+":7000")
		}
	}
	gateway("")
	s.ok("network", "connect", "nc", "cc")
	gateway(s.addr(129))
	s.ok("network", "connect", "nb", "cc")
	gateway(s.addr(65))
	s.ok("restart", "-t", "0", "cc")
	gateway(s.addr(65))
	s.ok("network", "disconnect", "nb", "cc")
	gateway(s.addr(129))
	s.ok("network", "disconnect", "nc", "cc")
	gateway("")
	s.ok("rm", "-f", "cc")
	s.ok("run", "-d", "--name", "cc", "--network", "nc", "--network", "na", "--network", "nb", "busybox", "sleep", "1000")
	gateway(s.addr(65))
}
