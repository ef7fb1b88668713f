package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// address6 is a container's IPv6 address in a network.
func (s *site) address6(ref, network string) string {
	s.t.Helper()
	return s.inspect(ref, `{{(index .NetworkSettings.Networks "`+network+`").GlobalIPv6Address}}`)
}

func TestNetworkIPv6(t *testing.T) {
	s := newSite(t)
	fake := s.resolves(map[string][]string{"outside.test": {s.server.address6}})
	s.server.answers("tcp", "["+s.server.address6+"]:7000", "server")
	s.server.answers("udp", "["+s.server.address6+"]:7000", "server")
	s.ok("network", "create", "--ipv6", "--subnet", s.subnet6(16), "--subnet", s.subnet("64/26"), "six")
	s.ok("network", "create", "--ipv6", "--subnet", s.subnet6(17), "--gateway", s.addr6(17, 99), "--subnet", s.subnet("128/26"), "six2")
	equal(t, "inspect", s.ok("network", "inspect", "-f", "{{.EnableIPv6}} {{len .IPAM.Config}}", "six"), "true 2")
	s.serves("web", "--network", "six", "-p", s.port(0)+":80", "-p", s.port(0)+":80/udp", "-p", "[::1]:"+s.port(1)+":80", "--network-alias", "al")
	s.serves("beside", "--network", "six", "--dns", fake.address)
	s.serves("away", "--network", "six2")
	s.serves("fixed", "--network", "six2", "--ip6", s.addr6(17, 0x77))
	s.ok("run", "-d", "--name", "four", "busybox", "sleep", "1000")
	address := s.address6("web", "six")
	if parsed, err := netip.ParseAddr(address); err != nil || !netip.MustParsePrefix(s.subnet6(16)).Contains(parsed) {
		t.Fatalf("address %q of %s", address, s.subnet6(16))
	}
	equal(t, "inspect", s.inspect("web", `{{with .NetworkSettings.Networks.six}}{{.GlobalIPv6PrefixLen}} {{.IPv6Gateway}}{{end}}`), "64 "+s.addr6(16, 1))
	equal(t, "--ip6", s.address6("fixed", "six2"), s.addr6(17, 0x77))
	equal(t, "gateway", s.inspect("away", `{{.NetworkSettings.Networks.six2.IPv6Gateway}}`), s.addr6(17, 99))
	if out := s.ok("exec", "web", "ip", "-6", "addr", "show", "eth0"); !strings.Contains(out, " "+address+"/64 scope global") || strings.Contains(out, address+"/64 scope global tentative") {
		t.Errorf("addresses: %s", out)
	}
	if out := s.ok("exec", "web", "ip", "-6", "route"); !strings.Contains(out, "default via "+s.addr6(16, 1)+" dev eth0") {
		t.Errorf("routes: %s", out)
	}
	hosts := s.ok("exec", "web", "cat", "/etc/hosts")
	if id := s.inspect("web", "{{.Id}}")[:12]; !strings.Contains(hosts, "\n"+address+"\t"+id) || !strings.Contains(hosts, "\n"+s.address("web", "six")+"\t"+id) {
		t.Errorf("hosts: %s", hosts)
	}
	// A container without IPv6 has no address by which it could be reached.
	if out := s.ok("exec", "four", "sh", "-c", "ip -6 addr show eth0"); strings.Contains(out, "inet6") {
		t.Errorf("IPv6 of a network without: %s", out)
	}

	for _, network := range []string{"tcp", "udp"} {
		s.in("beside").reaches(network, "["+address+"]:80", "web")
		equal(t, network+" is masqueraded", s.in("web").reaches(network, "["+s.server.address6+"]:7000", "server"), s.server.gateway6)
		equal(t, network+" from outside", s.client.reaches(network, "["+s.client.gateway6+"]:"+s.port(0), "web"), s.client.address6)
		equal(t, network+" from outside by IPv4", s.client.reaches(network, s.client.gateway+":"+s.port(0), "web"), s.client.address)
		s.here.reaches(network, "[::1]:"+s.port(0), "web")
		s.here.reaches(network, "127.0.0.1:"+s.port(0), "web")
		s.here.reaches(network, "["+s.client.gateway6+"]:"+s.port(0), "web")
		for _, from := range []string{"web", "beside", "away"} {
			s.in(from).reaches(network, "["+s.client.gateway6+"]:"+s.port(0), "web")
		}
		s.in("away").isCutOff(network, "["+address+"]:80")
		s.client.isCutOff(network, "["+s.address6("away", "six2")+"]:80")
		s.client.isCutOff(network, "["+s.client.gateway6+"]:"+s.port(1))
	}
	s.here.reaches("tcp", "[::1]:"+s.port(1), "web")
	s.ok("exec", "beside", "ping", "-6", "-c", "1", "-W", "20", address)
	s.ok("exec", "web", "ping", "-6", "-c", "1", "-W", "20", s.server.address6)

	// Names have both addresses.
	for _, name := range []string{"web", "al", "web.six"} {
		s.resolved(t, "beside", name, s.address("web", "six"))
		equal(t, "AAAA of "+name, strings.Join(data(s.query("beside", "udp", name, dnsmessage.TypeAAAA, 0)), " "), address)
	}
	var reverse []string
	for _, b := range netip.MustParseAddr(address).As16() {
		reverse = append(reverse, string("0123456789abcdef"[b>>4]), string("0123456789abcdef"[b&15]))
	}
	slices.Reverse(reverse)
	equal(t, "PTR", strings.Join(data(s.query("beside", "udp", strings.Join(reverse, ".")+".ip6.arpa", dnsmessage.TypePTR, 0)), " "), "web.six.")
	equal(t, "AAAA from outside", strings.Join(data(s.query("beside", "udp", "outside.test", dnsmessage.TypeAAAA, 0)), " "), s.server.address6)

	// connect and restart.
	s.ok("network", "connect", "six2", "web")
	s.in("away").reaches("tcp", "["+s.address6("web", "six2")+"]:80", "web")
	s.ok("restart", "-t", "0", "beside")
	equal(t, "forwarding", strings.TrimSpace(read(t, "/proc/sys/net/ipv6/conf/all/forwarding")), "1")
	s.ok("rm", "-f", "web")
	s.client.isCutOff("tcp", "["+s.client.gateway6+"]:"+s.port(0))

	// Without a subnet of its own, one is chosen; an internal network has no way out.
	s.ok("network", "create", "--ipv6", "--internal", "chosen")
	s.serves("in1", "--network", "chosen")
	s.serves("in2", "--network", "chosen")
	if a, err := netip.ParseAddr(s.address6("in1", "chosen")); err != nil || !a.IsPrivate() {
		t.Errorf("chosen address: %v, %v", a, err)
	}
	s.in("in1").reaches("tcp", "["+s.address6("in2", "chosen")+"]:80", "in2")
	s.in("in1").isCutOff("tcp", "["+s.server.address6+"]:7000")
	s.client.isCutOff("tcp", "["+s.address6("in1", "chosen")+"]:80")

	for _, c := range []struct {
		words []string
		args  []string
	}{
		{[]string{"overlap", "six"}, []string{"network", "create", "--ipv6", "--subnet", s.subnet6(16), "seven"}},
		{[]string{"IPv6"}, []string{"network", "create", "--subnet", s.subnet6(18), "seven"}}, // without --ipv6
		{[]string{"no matching subnet for gateway"}, []string{"network", "create", "--ipv6", "--subnet", s.subnet6(18), "--gateway", s.addr6(19, 1), "seven"}},
	} {
		s.fails(1, c.words, c.args...)
	}
	for _, ip6 := range []string{s.addr6(18, 5), "nope", s.addr(70), s.addr6(17, 0x77)} {
		s.fails(125, nil, "run", "--rm", "--network", "six2", "--ip6", ip6, "busybox", "true")
	}
}
