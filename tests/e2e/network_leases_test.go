package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// A hundred containers started at once get a hundred addresses.
func TestNetworkLeasesAtOnce(t *testing.T) {
	s := newSite(t)
	count := 100
	if testing.Short() {
		count = 40
	}
	s.ok("network", "create", "--subnet", s.subnet("128/25"), "nn")
	var lines [][]string
	for range count {
		lines = append(lines, []string{"run", "-d", "--network", "nn", "busybox", "sleep", "1000"})
	}
	var ids []string
	for _, r := range s.together(lines...) {
		if r.code != 0 {
			t.Fatal(r)
		}
		ids = append(ids, strings.TrimSpace(r.out))
	}
	subnet := netip.MustParsePrefix(s.subnet("128/25"))
	seen := map[string]bool{s.addr(128): true, s.addr(129): true, s.addr(255): true}
	macs := map[string]bool{}
	for i, line := range strings.Split(s.ok(append([]string{"inspect", "-f", "{{.NetworkSettings.Networks.nn.IPAddress}} {{.NetworkSettings.Networks.nn.MacAddress}}"}, ids...)...), "\n") {
		address, mac, _ := strings.Cut(line, " ")
		if parsed, err := netip.ParseAddr(address); err != nil || !subnet.Contains(parsed) || seen[address] || macs[mac] {
			t.Errorf("%s has %s, %s", ids[i], address, mac)
		}
		seen[address], macs[mac] = true, true
		if i%10 == 0 {
			equal(t, "interfaces", s.interfaces(ids[i]), "eth0 "+address+"/25")
		}
	}
	equal(t, "containers", s.ok("network", "inspect", "-f", "{{len .Containers}}", "nn"), fmt.Sprint(count))
	s.serves("web", "--network", "nn")
	s.in(ids[0]).reaches("tcp", s.address("web", "nn")+":80", "web")
	s.in(ids[count-1]).reaches("tcp", s.address("web", "nn")+":80", "web")

	// All at once they go, and their addresses come back.
	var removals [][]string
	for _, id := range ids {
		removals = append(removals, []string{"rm", "-f", id})
	}
	for _, r := range s.together(removals...) {
		if r.code != 0 {
			t.Error(r)
		}
	}
	equal(t, "containers", s.ok("network", "inspect", "-f", "{{len .Containers}}", "nn"), "1")
	s.in("web").reaches("tcp", s.address("web", "nn")+":80", "web")
	for range 2 {
		if address := s.address(s.ok("run", "-d", "--network", "nn", "busybox", "sleep", "1000"), "nn"); !subnet.Contains(netip.MustParseAddr(address)) {
			t.Errorf("afterwards: %s", address)
		}
	}
}

// An address stays with its container through restarts and crashes.
func TestNetworkLeasesKept(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
	s.ok("run", "-d", "--name", "first", "--network", "nn", "busybox", "sleep", "1000")
	s.ok("run", "-d", "--name", "cc", "--network", "nn", "busybox", "sleep", "1000")
	address, mac := s.address("cc", "nn"), s.inspect("cc", "{{.NetworkSettings.Networks.nn.MacAddress}}")
	same := func(what string) {
		t.Helper()
		equal(t, "address after "+what, s.address("cc", "nn"), address)
		equal(t, "interfaces after "+what, s.interfaces("cc"), "eth0 "+address+"/26")
		equal(t, "MAC address after "+what, s.inspect("cc", "{{.NetworkSettings.Networks.nn.MacAddress}}"), mac)
	}
	other := 0
	another := func(what string) { // which must not get it
		t.Helper()
		other++
		id := s.ok("run", "-d", "--name", fmt.Sprint("other", other), "--network", "nn", "busybox", "sleep", "1000")
		if got := s.address(id, "nn"); got == address || got == s.address("first", "nn") {
			t.Errorf("%s, another gets %s", what, got)
		}
	}
	s.ok("restart", "-t", "0", "cc")
	same("restart")
	s.ok("stop", "-t", "0", "cc")
	equal(t, "address of a stopped one", s.address("cc", "nn"), "")
	s.ok("rm", "-f", "first") // free is what it had; that of the stopped one is not needed
	s.ok("run", "-d", "--name", "first", "--network", "nn", "busybox", "sleep", "1000")
	another("stopped")
	s.ok("start", "cc")
	same("stop and start")
	killMonitor(s.host, "cc")
	another("its monitor killed")
	s.ok("start", "cc")
	same("the death of its monitor")
	killProcess(s.host, "cc")
	s.becomes("cc", "exited")
	another("its process killed")
	s.ok("start", "cc")
	same("the death of its process")
	s.ok("network", "disconnect", "nn", "cc")
	s.ok("network", "connect", "--ip", address, "nn", "cc")
	s.ok("rm", "-f", "cc")
	equal(t, "address of a removed one", s.address(s.ok("run", "-d", "--network", "nn", "--ip", address, "busybox", "sleep", "1000"), "nn"), address)
}

// A used-up subnet says so, and takes from the stopped.
func TestNetworkLeasesUsedUp(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/29"), "small") // gateway and five
	run := []string{"run", "-d", "--network", "small", "busybox", "sleep", "1000"}
	var ids []string
	seen := map[string]bool{}
	for range 5 {
		id := s.ok(run...)
		seen[s.address(id, "small")] = true
		ids = append(ids, id)
	}
	equal(t, "addresses", fmt.Sprint(len(seen)), "5")
	refused := func(code int, args ...string) {
		t.Helper()
		s.fails(code, []string{"no available", "small"}, args...)
	}
	refused(125, append([]string{"run", "--name", "late"}, run[2:]...)...)
	equal(t, "state", s.ok("ps", "-a", "--filter", "name=late", "--format", "{{.State}}"), "created")
	refused(1, "start", "late")
	s.ok("run", "-d", "--name", "elsewhere", "busybox", "sleep", "1000")
	refused(1, "network", "connect", "small", "elsewhere")
	equal(t, "networks", s.inspect("elsewhere", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"), "bridge ")
	s.ok("rm", "-f", "elsewhere")
	// Of a stopped one, another takes it. Then that one has to wait.
	s.ok("stop", "-t", "0", ids[0])
	s.ok("start", "late")
	refused(1, "start", ids[0])
	s.ok("rm", "-f", ids[1])
	s.ok("start", ids[0])
	refused(125, run...)
	s.ok("rm", s.ok("ps", "-aq", "--filter", "status=created"))
	// Killed ones are not running ones.
	killMonitor(s.host, ids[2])
	s.ok(run...)
	refused(1, "start", ids[2])
	// The range ends earlier than the subnet.
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "--ip-range", s.subnet("144/31"), "--gateway", s.addr(129), "ranged")
	equal(t, "of a range", s.address(s.ok("run", "-d", "--network", "ranged", "busybox", "sleep", "1000"), "ranged"), s.addr(144))
	equal(t, "of a range", s.address(s.ok("run", "-d", "--network", "ranged", "busybox", "sleep", "1000"), "ranged"), s.addr(145))
	s.fails(125, []string{"no available", "ranged"}, "run", "--rm", "--network", "ranged", "busybox", "true")
	s.ok("run", "--rm", "--network", "ranged", "--ip", s.addr(150), "busybox", "true") // of the subnet
}

// Addresses by choice.
func TestNetworkLeasesChosen(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "--aux-address", "printer="+s.addr(100), "nn")
	s.ok("network", "create", "free")
	show := []string{"busybox", "ip", "-4", "-o", "addr", "show", "eth0"}
	s.ok("run", "-d", "--name", "cc", "--network", "nn", "--ip", s.addr(90), "--mac-address", "02:42:c0:00:00:99", "busybox", "sleep", "1000")
	equal(t, "interfaces", s.interfaces("cc"), "eth0 "+s.addr(90)+"/26")
	if out := s.ok("exec", "cc", "ip", "link", "show", "eth0"); !strings.Contains(out, "link/ether 02:42:c0:00:00:99 ") {
		t.Errorf("--mac-address: %s", out)
	}
	equal(t, "inspect", s.inspect("cc", `{{with .NetworkSettings.Networks.nn}}{{.IPAddress}} {{.MacAddress}} {{.IPAMConfig.IPv4Address}}{{end}}`), s.addr(90)+" 02:42:c0:00:00:99 "+s.addr(90))
	for _, c := range []struct {
		words []string
		flags []string
	}{
		{[]string{"already in use"}, []string{"--network", "nn", "--ip", s.addr(90)}},
		{[]string{"already in use"}, []string{"--network", "nn", "--ip", s.addr(65)}},  // the gateway
		{[]string{"already in use"}, []string{"--network", "nn", "--ip", s.addr(100)}}, // not ours
		{[]string{"already in use"}, []string{"--network", "nn", "--ip", s.addr(64)}},
		{[]string{"already in use"}, []string{"--network", "nn", "--ip", s.addr(127)}},
		{[]string{s.addr(130), "does not belong"}, []string{"--network", "nn", "--ip", s.addr(130)}},
		{[]string{"nope"}, []string{"--network", "nn", "--ip", "nope"}},
		{[]string{"fd00::1"}, []string{"--network", "nn", "--ip", "fd00::1"}},
		{[]string{"subnet"}, []string{"--network", "nn", "--ip6", "fd00::1"}},
		{[]string{"does not belong"}, []string{"--network", "free", "--ip", s.addr(90)}},
		{[]string{"user defined networks"}, []string{"--ip", "172.17.0.9"}},
		{[]string{"nope is not a valid mac address"}, []string{"--mac-address", "nope"}},
		{[]string{"MAC address 01:00:5e:00:00:01"}, []string{"--mac-address", "01:00:5e:00:00:01"}}, // multicast
	} {
		r := s.fails(125, c.words, append(append([]string{"run", "--rm"}, c.flags...), show...)...)
		if r.out != "" {
			t.Errorf("it ran: %s", r)
		}
	}
	equal(t, "containers", s.ok("ps", "-aq", "--no-trunc"), s.inspect("cc", "{{.Id}}"))
	// The choice holds for every start, unless another has it.
	s.ok("restart", "-t", "0", "cc")
	equal(t, "interfaces", s.interfaces("cc"), "eth0 "+s.addr(90)+"/26")
	s.ok("stop", "-t", "0", "cc")
	s.ok("run", "-d", "--name", "thief", "--network", "nn", "--ip", s.addr(90), "busybox", "sleep", "1000")
	s.fails(1, []string{"already in use"}, "start", "cc")
	s.ok("rm", "-f", "thief")
	s.ok("start", "cc")
	equal(t, "interfaces", s.interfaces("cc"), "eth0 "+s.addr(90)+"/26")
	// A chosen address is given to nobody by chance.
	s.ok("run", "-d", "--name", "third", "--network", "nn", "--ip", s.addr(67), "busybox", "sleep", "1000")
	for range 3 {
		s.ok("run", "-d", "--network", "nn", "busybox", "sleep", "1000")
	}
	s.ok("exec", "third", "ping", "-c", "1", "-W", "20", s.addr(90))
}

// Two engines of one host share its address space.
func TestNetworkLeasesHostwide(t *testing.T) {
	s := newSite(t)
	other := emptyHost(t)
	var all []*process
	for i := range 6 {
		all = append(all, s.begin("network", "create", fmt.Sprint("net", i)), other.begin("network", "create", fmt.Sprint("net", i)))
	}
	for _, p := range all {
		if r := p.wait(); r.code != 0 {
			t.Fatal(r)
		}
	}
	var subnets []netip.Prefix
	for _, h := range []*host{s.host, other} {
		for i := range 6 {
			subnet := netip.MustParsePrefix(h.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", fmt.Sprint("net", i)))
			for _, taken := range subnets {
				if taken.Overlaps(subnet) {
					t.Errorf("%s and %s overlap", taken, subnet)
				}
			}
			subnets = append(subnets, subnet)
		}
	}
	other.fails(1, []string{"overlap", subnets[0].String()}, "network", "create", "--subnet", subnets[0].String(), "mine")
	s.ok("network", "rm", "net0")
	other.ok("network", "create", "--subnet", subnets[0].String(), "mine")
}
