package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// What cannot be is refused with a word on what it is, before anything is made.
func TestNetworkErrors(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	before := s.traces(prefix)
	for _, c := range []struct {
		words []string
		flags []string
	}{
		{[]string{"invalid hostPort: a"}, []string{"-p", "a:80"}},
		{[]string{"invalid containerPort: a"}, []string{"-p", "80:a"}},
		{[]string{"invalid hostPort: 70000"}, []string{"-p", "70000:80"}},
		{[]string{"invalid containerPort: 70000"}, []string{"-p", "80:70000"}},
		{[]string{"no port specified"}, []string{"-p", "8080:"}},
		{[]string{"no port specified"}, []string{"-p", ":"}},
		{[]string{"no port specified"}, []string{"-p", ""}},
		{[]string{"invalid IP address: 1.2.3"}, []string{"-p", "1.2.3:80:80"}},
		{[]string{"invalid IP address: 1.2.3.400"}, []string{"-p", "1.2.3.400:80:80"}},
		{[]string{"invalid IP address: localhost"}, []string{"-p", "localhost:80:80"}},
		{[]string{"invalid ranges specified for container and host Ports: 80-82 and 8000"}, []string{"-p", "8000:80-82"}},
		{[]string{"invalid ranges specified for container and host Ports: 80-82 and 8000-8001"}, []string{"-p", "8000-8001:80-82"}},
		{[]string{"invalid hostPort: 8002-8000"}, []string{"-p", "8002-8000:80-82"}},
		{[]string{"invalid hostPort: -1"}, []string{"-p", "-1:80"}},
		{[]string{"invalid containerPort:  80"}, []string{"-p", " 80"}},
		{[]string{"invalid proto: xyz"}, []string{"-p", "80/xyz"}},
		{[]string{"sctp"}, []string{"-p", s.port(0) + ":80/sctp"}},
		{[]string{"192.0.2.200"}, []string{"-p", "192.0.2.200:" + s.port(0) + ":80"}}, // not an address of this host
		{[]string{"invalid range format for --expose: "}, []string{"--expose", "x"}},
		{[]string{"invalid range format for --expose: "}, []string{"--expose", "80-x"}},
		{[]string{"network nope not found"}, []string{"--network", "nope"}},
		{[]string{"network nope not found"}, []string{"--network", "nn", "--network", "nope"}},
		{[]string{"conflicting options"}, []string{"--network", "host", "--network", "nn"}},
		{[]string{"conflicting options"}, []string{"--network", "none", "--network", "nn"}},
		{[]string{"nn"}, []string{"--network", "nn", "--network", "nn"}},
		{nil, []string{"--network", ""}},
		{nil, []string{"--network", "name=nn,nope=1"}},
		{nil, []string{"--network", "name=nn,ip=nope"}},
		{[]string{`bad format for add-host: "a"`}, []string{"--add-host", "a"}},
		{[]string{`invalid IP address in add-host: "1.2.3"`}, []string{"--add-host", "a:1.2.3"}},
		{[]string{"IP address is not correctly formatted: nope"}, []string{"--dns", "nope"}},
		{[]string{"nope nope"}, []string{"--dns-search", "nope nope"}},
		{[]string{"a b"}, []string{"--network", "nn", "--network-alias", "a b"}},
		{[]string{".."}, []string{"--network", "nn", "--network-alias", "a..b"}},
		{[]string{"-a"}, []string{"--network", "nn", "--network-alias=-a"}},
		{nil, []string{"--network", "nn", "--network-alias", strings.Repeat("a", 64)}},
		{[]string{"network-scoped alias"}, []string{"--network-alias", "a"}},
		{[]string{"--link"}, []string{"--link", "x"}},
	} {
		r := s.fails(125, c.words, append(append([]string{"run"}, c.flags...), "busybox", "echo", "ran")...)
		if r.out != "" {
			t.Errorf("it ran: %s", r)
		}
		if strings.Contains(r.err, "panic") || strings.Count(r.err, "\n") > 6 {
			t.Errorf("not one clear error: %s", r)
		}
		for _, id := range strings.Fields(s.ok("ps", "-aq")) {
			equal(t, fmt.Sprint("state after ", c.flags), s.inspect(id, "{{.State.Status}}"), "created")
			s.ok("rm", id)
		}
	}
	if now := s.traces(prefix); len(now) > len(before) {
		t.Errorf("left:\n%s", strings.Join(now, "\n"))
	}
	equal(t, "containers", s.ok("network", "inspect", "-f", "{{len .Containers}}", "nn"), "0")
}

// The kernel gives a bridge 1,023 ports.
func TestNetworkBridgeFull(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand interfaces")
	}
	s := newRoom(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "-o", "com.docker.network.bridge.name=full", "nn")
	s.ok("run", "-d", "--name", "first", "--network", "nn", "busybox", "sleep", "1000")
	s.script(`i=0; while [ $i -lt 511 ]; do echo "link add fill$i group 77 master full type veth peer name fell$i group 77 master full"; echo "link set fell$i group 77 master full"; i=$((i + 1)); done | ip -batch -`)
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	before := len(s.traces(prefix))
	for range 2 {
		r := s.fails(125, []string{"full", "1023"}, "run", "--name", "late", "--network", "nn", "busybox", "echo", "ran")
		if r.out != "" {
			t.Errorf("it ran: %s", r)
		}
		s.ok("rm", "late")
		if now := s.traces(prefix); len(now) > before {
			t.Errorf("left:\n%s", strings.Join(now, "\n"))
		}
	}
	s.ok("run", "-d", "--name", "late", "busybox", "sleep", "1000")
	s.fails(1, []string{"full", "1023"}, "network", "connect", "nn", "late")
	equal(t, "interfaces", strings.Fields(s.interfaces("late"))[0], "eth0")
	equal(t, "networks", s.inspect("late", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"), "bridge ")
	equal(t, "containers", s.ok("network", "inspect", "-f", "{{len .Containers}}", "nn"), "1")
	s.script("ip link del fill7")
	s.ok("network", "connect", "nn", "late")
	s.ok("exec", "late", "ping", "-c", "1", "-W", "20", s.address("first", "nn"))
	s.script("ip link del group 77")
}
