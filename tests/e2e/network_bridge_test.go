package e2e

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// A container that asks for nothing is on the default bridge, with an address, a
// way out and its name in /etc/hosts.
func TestNetworkDefaultBridge(t *testing.T) {
	s := newSite(t)
	id := s.serves("web")
	subnet := netip.MustParsePrefix(s.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "bridge"))
	gateway := s.inspect("web", "{{.NetworkSettings.Networks.bridge.Gateway}}")
	equal(t, "gateway", s.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge"), gateway)
	address := s.address("web", "bridge")
	parsed, err := netip.ParseAddr(address)
	if err != nil || !subnet.Contains(parsed) || address == gateway || gateway != subnet.Masked().Addr().Next().String() {
		t.Fatalf("address %q, gateway %q of the subnet %s", address, gateway, subnet)
	}
	equal(t, "inspect, the default network's", s.inspect("web", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Gateway}} {{.NetworkSettings.SandboxKey}}"),
		s.inspect("web", "{{.NetworkSettings.Networks.bridge.IPAddress}} {{.NetworkSettings.Networks.bridge.Gateway}} /proc/{{.State.Pid}}/ns/net"))
	equal(t, "inspect", s.inspect("web", "{{.NetworkSettings.Networks.bridge.IPPrefixLen}} {{len .NetworkSettings.Networks}} "),
		strings.SplitN(subnet.String(), "/", 2)[1]+" 1 ")

	// What the kernel has is what inspect says.
	equal(t, "interfaces", s.ok("exec", "web", "ls", "/sys/class/net"), "eth0\nlo")
	if out := s.ok("exec", "web", "ip", "-4", "-o", "addr", "show", "eth0"); !strings.Contains(out, " "+address+"/"+strings.SplitN(subnet.String(), "/", 2)[1]+" ") {
		t.Errorf("%s is not in %s", address, out)
	}
	if mac := s.inspect("web", "{{.NetworkSettings.Networks.bridge.MacAddress}}"); !strings.Contains(s.ok("exec", "web", "ip", "link", "show", "eth0"), "link/ether "+mac+" ") || mac == "" {
		t.Errorf("MAC address %q: %s", mac, s.ok("exec", "web", "ip", "link", "show", "eth0"))
	}
	if out := s.ok("exec", "web", "ip", "route"); !strings.Contains(out, "default via "+gateway+" dev eth0") || strings.Count(out, "\n") != 1 {
		t.Errorf("routes: %s", out)
	}
	if out := ip(t, "-4", "-o", "addr", "show", s.bridge("bridge")); !strings.Contains(out, " "+gateway+"/") {
		t.Errorf("the bridge has not the address %s: %s", gateway, out)
	}
	equal(t, "MTU", s.ok("exec", "web", "cat", "/sys/class/net/eth0/mtu"), uplinkMTU(t))
	equal(t, "ip_forward", strings.TrimSpace(read(t, "/proc/sys/net/ipv4/ip_forward")), "1")

	// The way out, with the host's address, and to each other.
	s.server.answers("tcp", s.server.address+":7000", "server")
	s.server.answers("udp", s.server.address+":7000", "server")
	for _, network := range []string{"tcp", "udp"} {
		equal(t, network+" is masqueraded", s.in("web").reaches(network, s.server.address+":7000", "server"), s.server.gateway)
	}
	s.ok("exec", "web", "ping", "-c", "1", "-W", "20", s.server.address)
	s.serves("other")
	for _, network := range []string{"tcp", "udp"} {
		equal(t, network+" between containers", s.in("web").reaches(network, s.address("other", "bridge")+":80", "other"), address)
		s.here.reaches(network, address+":80", "web")
	}
	s.ok("exec", "other", "ping", "-c", "1", "-W", "20", address)

	listed := s.ok("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{.IPv4Address}} {{.MacAddress}}\n{{end}}", "bridge")
	if !strings.Contains(listed, "web "+address+"/") || strings.Count(listed, "\n") != 2 {
		t.Errorf("network inspect lists %q", listed)
	}
	s.ok("rm", "-f", id, "other")
	equal(t, "containers", s.ok("network", "inspect", "-f", "{{len .Containers}}", "bridge"), "0")
}

// uplinkMTU is that of the host's interface with the default route.
func uplinkMTU(t *testing.T) string {
	t.Helper()
	f := strings.Fields(ip(t, "-4", "route", "show", "default"))
	for i, word := range f {
		if word == "dev" {
			f = strings.Fields(ip(t, "-o", "link", "show", "dev", f[i+1]))
			return f[slices.Index(f, "mtu")+1]
		}
	}
	return "1500"
}

// The files are as Docker writes them. The default bridge has no names.
func TestNetworkDefaultBridgeFiles(t *testing.T) {
	s := newSite(t)
	fake := s.resolves(nil)
	id := s.ok("run", "-d", "--name", "web", "-h", "host.domain", "--add-host", "one:192.0.2.1", "--add-host", "two=192.0.2.2", "--add-host", "six:fd00::6", "--add-host", "up:host-gateway",
		"busybox", "sleep", "1000")
	gateway := s.inspect("web", "{{.NetworkSettings.Networks.bridge.Gateway}}")
	equal(t, "hosts", s.ok("exec", id, "cat", "/etc/hosts"), dockerHosts+"\n192.0.2.1\tone\n192.0.2.2\ttwo\nfd00::6\tsix\n"+gateway+"\tup\n"+s.address("web", "bridge")+"\thost.domain host")
	other := s.ok("run", "-d", "--name", "other", "--dns", fake.address, "--dns-search", "a.test", "--dns-search", "b.test", "--dns-option", "ndots:2", "--dns-opt", "timeout:3",
		"busybox", "sleep", "1000")
	equal(t, "hosts", s.ok("exec", other, "cat", "/etc/hosts"), dockerHosts+"\n"+s.address("other", "bridge")+"\t"+other[:12])
	equal(t, "resolv.conf", s.ok("exec", other, "cat", "/etc/resolv.conf"), "nameserver "+fake.address+"\nsearch a.test b.test\noptions ndots:2 timeout:3")
	equal(t, "--dns-search .", s.ok("run", "--rm", "--dns-search", ".", "--dns", "192.0.2.9", "busybox", "cat", "/etc/resolv.conf"), "nameserver 192.0.2.9")

	// Without --dns, the host's resolvers, those of its loopback excepted.
	host, _ := os.ReadFile("/etc/resolv.conf")
	for _, server := range strings.Fields(nameservers(string(host))) {
		inside := nameservers(s.ok("exec", id, "cat", "/etc/resolv.conf"))
		if a, err := netip.ParseAddr(server); err == nil && a.Is4() && !a.IsLoopback() && !strings.Contains(" "+inside+" ", " "+server+" ") {
			t.Errorf("the host's resolver %s is not among %s", server, inside)
		}
	}
	for _, name := range []string{"web", id[:12], "web.bridge"} {
		if r := s.try("exec", other, "nslookup", name+".", fake.address); r.code == 0 {
			t.Errorf("the default bridge has no names: %s", r)
		}
	}
	s.fails(125, []string{"only supported for user-defined networks"}, "run", "--rm", "--network-alias", "x", "busybox", "true")

	// The address is taken anew at each start, and the line with it.
	h0 := s.ok("exec", "web", "cat", "/etc/hosts")
	s.ok("restart", "-t", "0", "web")
	equal(t, "hosts after restart", strings.Replace(s.ok("exec", "web", "cat", "/etc/hosts"), s.address("web", "bridge")+"\thost", "ADDRESS\thost", 1),
		h0[:strings.LastIndex(h0, "\n")]+"\nADDRESS\thost.domain host")
}
