package e2e

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/network"
)

func TestNetworkCreate(t *testing.T) {
	s := newSite(t)
	link := fmt.Sprintf("e2ebr%d", s.number)
	id := s.ok("network", "create", "-d", "bridge", "--subnet", s.subnet("64/26"), "--gateway", s.addr(65), "--ip-range", s.subnet("96/27"), "--aux-address", "router="+s.addr(96),
		"--aux-address", "printer="+s.addr(97), "--internal", "--attachable", "--label", "one=1", "--label", "two", "-o", "com.docker.network.bridge.name="+link,
		"--opt", "com.docker.network.driver.mtu=1400", "full")
	if len(id) != 64 {
		t.Errorf("create says %q", id)
	}
	var got []api.Inspect
	if err := json.Unmarshal([]byte(s.ok("network", "inspect", "full")), &got); err != nil {
		t.Fatal(err)
	}
	n := got[0]
	if n.Created.IsZero() {
		t.Error("created never")
	}
	if diff := cmp.Diff(map[string]any{"id": n.ID, "name": n.Name, "driver": n.Driver, "scope": n.Scope, "internal": n.Internal, "attachable": n.Attachable, "ipv6": n.EnableIPv6, "labels": n.Labels,
		"options": n.Options, "containers": len(n.Containers), "ipam": n.IPAM.Driver},
		map[string]any{"id": id, "name": "full", "driver": "bridge", "scope": "local", "internal": true, "attachable": true, "ipv6": false, "labels": map[string]string{"one": "1", "two": ""},
			"options": map[string]string{"com.docker.network.bridge.name": link, "com.docker.network.driver.mtu": "1400"}, "containers": 0, "ipam": "default"}); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	equal(t, "IPAM", s.ok("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}} {{.AuxiliaryAddresses.router}} {{.AuxiliaryAddresses.printer}}{{end}}", "full"),
		strings.Join([]string{s.subnet("64/26"), s.subnet("96/27"), s.addr(65), s.addr(96), s.addr(97)}, " "))

	// Addresses come from the range, and never those that others have.
	c := s.ok("run", "-d", "--network", "full", "busybox", "sleep", "1000")
	equal(t, "first address", s.address(c, "full"), s.addr(98))
	equal(t, "MTU", s.ok("exec", c, "cat", "/sys/class/net/eth0/mtu"), "1400")
	if out := ip(t, "-4", "-o", "addr", "show", link); !strings.Contains(out, " "+s.addr(65)+"/26 ") {
		t.Errorf("addresses of the bridge: %s", out)
	}
	// By ID and its beginning.
	for _, ref := range []string{id, id[:12], id[:5], "full"} {
		equal(t, "inspect "+ref, s.ok("network", "inspect", "-f", "{{.Name}}", ref), "full")
	}
	s.ok("rm", "-f", c)
	equal(t, "rm", s.ok("network", "rm", id[:12]), id[:12])
	if out := ip(t, "-o", "link"); strings.Contains(out, link) {
		t.Errorf("the bridge is left: %s", out)
	}

	// What is not said is chosen: a private subnet of its own for each.
	var subnets []netip.Prefix
	for _, name := range []string{"a1", "a2", "a3"} {
		s.ok("network", "create", name)
		subnet := netip.MustParsePrefix(s.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", name))
		for _, other := range subnets {
			if other.Overlaps(subnet) {
				t.Errorf("%s and %s overlap", subnet, other)
			}
		}
		for line := range strings.Lines(ip(t, "-4", "route")) {
			if route, err := netip.ParsePrefix(strings.Fields(line)[0]); err == nil && route.Overlaps(subnet) && !strings.Contains(line, " src "+subnet.Addr().Next().String()) {
				t.Errorf("the subnet %s overlaps the host's route %s", subnet, line)
			}
		}
		subnets = append(subnets, subnet)
		c := s.ok("run", "-d", "--network", name, "busybox", "sleep", "1000")
		if !subnet.Contains(netip.MustParseAddr(s.address(c, name))) || !subnet.Addr().IsPrivate() {
			t.Errorf("%s of %s", s.address(c, name), subnet)
		}
	}
}

func TestNetworkCreateRefused(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "first")
	before := s.ok("network", "ls", "--no-trunc", "-q")
	for _, c := range []struct {
		words []string
		args  []string
	}{
		{[]string{"network with name first already exists"}, []string{"first"}},
		{[]string{"overlap", "first", "second"}, []string{"--subnet", s.subnet("64/26"), "second"}},
		{[]string{"overlap", "first", "second"}, []string{"--subnet", s.subnet("64/28"), "second"}},
		{[]string{"overlap", "first", "second"}, []string{"--subnet", s.subnet("0/24"), "second"}},
		{[]string{"bridge"}, []string{"bridge"}},
		{[]string{"host"}, []string{"host"}},
		{[]string{"none"}, []string{"none"}},
		{[]string{"nope"}, []string{"-d", "nope", "second"}},
		{[]string{"invalid CIDR"}, []string{"--subnet", "10.1.2", "second"}},
		{[]string{"invalid CIDR"}, []string{"--subnet", "10.1.2.0/33", "second"}},
		{[]string{"invalid subnet 10.1.2.3/24: it should be 10.1.2.0/24"}, []string{"--subnet", "10.1.2.3/24", "second"}},
		{[]string{"no matching subnet for gateway 10.78.1.1"}, []string{"--subnet", s.subnet("128/26"), "--gateway", "10.78.1.1", "second"}},
		{[]string{"no matching subnet for range 10.78.1.0/25"}, []string{"--subnet", s.subnet("128/26"), "--ip-range", "10.78.1.0/25", "second"}},
		{[]string{"no matching subnet for aux-address 10.78.1.1"}, []string{"--subnet", s.subnet("128/26"), "--aux-address", "x=10.78.1.1", "second"}},
		{[]string{"every ip-range or gateway must have a corresponding subnet"}, []string{"--gateway", "10.78.1.1", "second"}},
		{[]string{"every ip-range or gateway must have a corresponding subnet"}, []string{"--ip-range", "10.78.1.0/25", "second"}},
		{[]string{"subnet"}, []string{"--subnet", s.subnet("128/26"), "--subnet", s.subnet("192/26"), "second"}},
		{nil, []string{"--subnet", s.subnet("128/26"), "-o", "com.docker.network.bridge.name=much-too-long-for-a-link", "second"}},
		{nil, []string{"--subnet", s.subnet("128/26"), "-o", "com.docker.network.bridge.name=any%d", "second"}}, // the kernel would number it
		{[]string{"lo"}, []string{"--subnet", s.subnet("128/26"), "-o", "com.docker.network.bridge.name=" + s.bridge("bridge"), "-o", "com.docker.network.bridge.name=lo", "second"}},
		{[]string{"com.docker.network.driver.mtu"}, []string{"--subnet", s.subnet("128/26"), "-o", "com.docker.network.driver.mtu=nope", "second"}},
		{nil, []string{""}},
		{nil, []string{"a b"}},
		{nil, []string{"a/b"}},
		{nil, []string{"_x"}},
		{[]string{"requires 1 argument"}, nil},
	} {
		r := s.fails(1, c.words, append([]string{"network", "create"}, c.args...)...)
		if r.out != "" {
			t.Errorf("says a name: %s", r)
		}
	}
	equal(t, "networks afterwards", s.ok("network", "ls", "--no-trunc", "-q"), before)
}

func TestNetworkLs(t *testing.T) {
	s := newSite(t)
	id := s.ok("network", "create", "--subnet", s.subnet("64/26"), "--label", "one=1", "--label", "two", "net-a")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "--internal", "--label", "one=2", "net-b")
	s.ok("run", "-d", "--network", "net-b", "busybox", "sleep", "1000")
	table := strings.Split(s.ok("network", "ls"), "\n")
	equal(t, "header", strings.Join(strings.Fields(table[0]), " "), "NETWORK ID NAME DRIVER SCOPE")
	var rows []string
	for _, line := range table[1:] {
		rows = append(rows, strings.Join(strings.Fields(line)[1:], " "))
	}
	equal(t, "ls", strings.Join(rows, "; "), "bridge bridge local; host host local; net-a bridge local; net-b bridge local; none null local")
	for _, c := range []struct{ filter, want string }{
		{"driver=bridge", "bridge net-a net-b"}, {"driver=host", "host"}, {"driver=null", "none"}, {"driver=overlay", ""},
		{"label=one", "net-a net-b"}, {"label=one=1", "net-a"}, {"label=two", "net-a"}, {"label=three", ""},
		{"name=net", "net-a net-b"}, {"name=net-b", "net-b"}, {"id=" + id[:10], "net-a"}, {"scope=local", "bridge host net-a net-b none"},
		{"type=custom", "net-a net-b"}, {"type=builtin", "bridge host none"}, {"dangling=true", "net-a"}, {"dangling=false", "bridge host net-b none"},
	} {
		equal(t, c.filter, strings.Join(strings.Fields(s.ok("network", "ls", "--filter", c.filter, "--format", "{{.Name}}")), " "), c.want)
	}
	equal(t, "two filters", s.ok("network", "list", "-f", "label=one", "-f", "label=two", "--format", "{{.Name}}"), "net-a")
	s.fails(1, []string{"nope"}, "network", "ls", "--filter", "nope=1")
	s.fails(1, []string{"type"}, "network", "ls", "--filter", "type=nope")
	s.fails(1, []string{"dangling"}, "network", "ls", "--filter", "dangling=nope")
	equal(t, "a pattern", s.ok("network", "ls", "--filter", "name=^net-a$", "--format", "{{.Name}}"), "net-a")
	equal(t, "-q", s.ok("network", "ls", "-q", "--filter", "name=net-a"), id[:12])
	equal(t, "--no-trunc", s.ok("network", "ls", "-q", "--no-trunc", "--filter", "name=net-a"), id)
	equal(t, "format", s.ok("network", "ls", "--filter", "name=net-a", "--format", `{{.ID}} {{.Name}} {{.Driver}} {{.Scope}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label "one"}}`),
		id[:12]+" net-a bridge local false false one=1,two= 1")
	var fields map[string]string
	if err := json.Unmarshal([]byte(s.ok("network", "ls", "--filter", "name=net-b", "--format", "json")), &fields); err != nil || fields["Name"] != "net-b" || fields["Internal"] != "true" {
		t.Errorf("json: %v, %v", fields, err)
	}
	r := s.fails(1, []string{"network nope not found"}, "network", "inspect", "-f", "{{.Name}}", "net-a", "nope", "net-b")
	equal(t, "inspect of those there are", r.out, "net-a\nnet-b\n")
	if r := s.fails(1, []string{"network nope not found"}, "network", "inspect", "nope"); strings.TrimSpace(r.out) != "[]" {
		t.Errorf("%s", r)
	}
}

func TestNetworkRemove(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "--label", "keep", "used")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "--label", "keep", "free")
	running := s.ok("run", "-d", "--name", "running", "--network", "used", "busybox", "sleep", "1000")
	for _, name := range []string{"bridge", "host", "none"} {
		s.fails(1, []string{name + " is a pre-defined network and cannot be removed"}, "network", "rm", name)
	}
	s.fails(1, []string{"network nope not found"}, "network", "rm", "nope")
	equal(t, "rm -f of nobody", s.ok("network", "rm", "-f", "nope"), "")
	s.fails(1, []string{"requires at least 1 argument"}, "network", "rm")
	s.fails(1, []string{"network used", "has active endpoints"}, "network", "rm", "used")
	r := s.fails(1, []string{"network nope not found", "has active endpoints"}, "network", "remove", "nope", "used", "free")
	equal(t, "removed", r.out, "free\n")
	equal(t, "it runs", s.inspect(running, "{{.State.Running}}"), "true")

	// A stopped container does not hold its network; afterwards it cannot start,
	// until it is connected elsewhere.
	s.ok("stop", "-t", "0", "running")
	equal(t, "rm", s.ok("network", "rm", "used"), "used")
	s.fails(1, []string{"network", "not found"}, "start", "running")
	equal(t, "state", s.inspect("running", "{{.State.Running}}"), "false")
	s.ok("network", "disconnect", "-f", "used", "running")
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "used2")
	s.ok("network", "connect", "used2", "running")
	s.ok("start", "running")
	equal(t, "networks", s.inspect("running", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"), "used2 ")

	// prune takes those that no container is in, running or not, and answers as
	// Docker does.
	s.ok("network", "create", "--label", "keep", "p1")
	s.ok("network", "create", "p2")
	s.ok("network", "create", "p3")
	s.ok("create", "--network", "p3", "busybox", "true")
	r = s.tryWith("n\n", "network", "prune")
	if !strings.Contains(r.out+r.err, "This will remove all custom networks not used by at least one container") || !slices.Contains(strings.Fields(s.ok("network", "ls", "--format", "{{.Name}}")), "p2") {
		t.Errorf("prune asks: %s", r)
	}
	equal(t, "prune by time", s.ok("network", "prune", "-f", "--filter", "until=1h"), "")
	equal(t, "prune by label", strings.TrimSpace(s.ok("network", "prune", "-f", "--filter", "label=keep")), "Deleted Networks:\np1")
	s.fails(1, []string{"nope"}, "network", "prune", "-f", "--filter", "nope=1")
	out := s.ok("network", "prune", "-f")
	if !strings.HasPrefix(out, "Deleted Networks:\n") || !strings.Contains(out, "\np2\n") || strings.Contains(out, "used2") {
		t.Errorf("prune: %q", out)
	}
	equal(t, "nothing to prune", s.ok("network", "prune", "-f"), "")
	if names := strings.Fields(s.ok("network", "ls", "--format", "{{.Name}}")); !slices.Contains(names, "used2") || slices.Contains(names, "p2") {
		t.Errorf("left: %v", names)
	}
	s.serves("web", "--network", "used2")
	s.in("running").reaches("tcp", s.address("web", "used2")+":80", "web")
}
