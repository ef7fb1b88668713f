package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// table tells whether the engine has rules.
func (s *site) table() bool {
	s.t.Helper()
	return strings.Contains(s.script("nft list tables"), "table inet "+s.instance+"\n")
}

// Rules are there as long as a container is that needs them, and the bridge until prune.
func TestNetworkFirewallLeavesNothing(t *testing.T) {
	s := newSite(t)
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	nothing := func(what string) {
		t.Helper()
		s.eventuallyOr(func() string { return what + " leaves\n" + strings.Join(s.traces(prefix), "\n") }, func() bool { return len(s.traces(prefix)) == 0 })
	}
	nothing("the beginning")
	for _, prune := range []string{"network prune -f", "system prune -f"} {
		s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
		s.serves("web", "-p", s.port(0)+":80")
		s.serves("web2", "--network", "nn", "-p", s.port(1)+":80")
		if !s.table() {
			t.Error("no rules while containers run")
		}
		s.ok("rm", "-f", "web")
		s.client.reaches("tcp", s.client.gateway+":"+s.port(1), "web2")
		s.ok("stop", "-t", "0", "web2")
		s.eventually("no rules when no container runs", func() bool { return !s.table() })
		s.ok("start", "web2")
		s.isUp("web2")
		s.client.reaches("tcp", s.client.gateway+":"+s.port(1), "web2")
		s.ok("rm", "-f", "web2")
		s.eventually("no rules when no container is", func() bool { return !s.table() })
		if out := s.script("ip -o link"); !strings.Contains(out, s.bridge("bridge")+":") || strings.Contains(out, prefix+"v") {
			t.Errorf("there should be the bridge and no veth: %s", out)
		}
		s.ok(strings.Fields(prune)...)
		nothing(prune)
	}
	s.ok("run", "--rm", "-p", s.port(0)+":80", "busybox", "true")
	s.eventually("no rules after run --rm", func() bool { return !s.table() })
}

// Rules that somebody has taken away come back with the next start.
func TestNetworkFirewallGone(t *testing.T) {
	s := newSite(t)
	s.server.answers("tcp", s.server.address+":7000", "server")
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
	s.serves("web", "--network", "nn", "-p", s.port(0)+":80")
	s.script("nft delete table inet " + s.instance)
	s.here.reaches("tcp", "127.0.0.1:"+s.port(0), "web") // by the proxy
	if r := s.try("system", "check"); r.code == 0 {
		t.Errorf("system check does not miss the rules: %s", r)
	}
	s.serves("next", "-p", s.port(1)+":80")
	s.client.reaches("tcp", s.client.gateway+":"+s.port(0), "web")
	s.client.reaches("tcp", s.client.gateway+":"+s.port(1), "next")
	s.in("web").reaches("tcp", s.server.address+":7000", "server")
	s.in("web").isCutOff("tcp", s.address("next", "bridge")+":80")
	s.resolved(t, "web", "web", s.address("web", "nn"))
	// Where the rules are gone, their removal is no error.
	s.script("nft delete table inet " + s.instance)
	s.ok("rm", "-f", "web", "next")
	// And links that somebody has taken away: the container goes without.
	s.serves("web", "-p", s.port(0)+":80")
	s.script("ip link del " + s.bridge("bridge"))
	s.serves("next", "-p", s.port(1)+":80")
	s.client.reaches("tcp", s.client.gateway+":"+s.port(1), "next")
	s.ok("restart", "-t", "0", "web")
	s.isUp("web")
	s.eventually("it answers", func() bool {
		name, _, err := s.client.ask("tcp", s.client.gateway+":"+s.port(0), limit)
		return err == nil && name == "web"
	})
}

// A host that forwards nothing, with Docker's firewall: rules of its own kind, of
// which nothing is lost, and packets of nobody else pass.
func TestNetworkFirewallOfDocker(t *testing.T) {
	s := newRoom(t)
	s.script(`
		sysctl -qw net.ipv4.ip_forward=0
		nft add table ip filter
		nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
		nft add chain ip filter DOCKER-USER
		nft add rule ip filter DOCKER-USER counter return
		nft add rule ip filter FORWARD counter jump DOCKER-USER
		nft 'add table ip6 filter'
		nft 'add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }'
		nft add chain ip6 filter DOCKER-USER
		nft add rule ip6 filter DOCKER-USER counter return
		nft add rule ip6 filter FORWARD counter jump DOCKER-USER`)
	const listing = "nft -s list table ip filter; nft -s list table ip6 filter"
	before := s.script(listing)
	equal(t, "info before", s.ok("info", "--format", "{{.IPv4Forwarding}}"), "false")
	if r := s.try("info"); !strings.Contains(r.out+r.err, "IPv4 forwarding") {
		t.Errorf("info does not say that packets are not forwarded: %s", r)
	}
	s.here.answers("tcp", s.room.gateway+":"+s.port(9), "server")
	s.here.answers("udp", s.room.gateway+":"+s.port(9), "server")
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
	for _, network := range []string{"bridge", "nn"} {
		s.serves("web", "--network", network, "-p", s.port(0)+":80", "-p", s.port(0)+":80/udp")
		s.serves("beside", "--network", network)
		for _, by := range []string{"tcp", "udp"} {
			equal(t, by+" is masqueraded", s.in("web").reaches(by, s.room.gateway+":"+s.port(9), "server"), s.room.address)
			equal(t, by+" from outside", s.here.reaches(by, s.room.address+":"+s.port(0), "web"), s.room.gateway)
			s.room.reaches(by, s.room.address+":"+s.port(0), "web")
			s.in("beside").reaches(by, s.address("web", network)+":80", "web")
		}
		s.ok("rm", "-f", "web", "beside")
	}
	equal(t, "ip_forward", strings.TrimSpace(s.script("cat /proc/sys/net/ipv4/ip_forward")), "1")
	equal(t, "info", s.ok("info", "--format", "{{.IPv4Forwarding}}"), "true")
	s.ok("network", "prune", "-f")
	s.eventuallyOr(func() string { return "Docker's rules:\n" + s.script(listing) + "were:\n" + before }, func() bool { return s.script(listing) == before })
	// They come while containers run; the next start opens the way again.
	s.script("nft flush ruleset")
	s.serves("web", "-p", s.port(0)+":80")
	s.script("nft -f - <<'END'\n" + before + "END")
	s.serves("next", "-p", s.port(1)+":80")
	s.here.reaches("tcp", s.room.address+":"+s.port(0), "web")
	s.here.reaches("tcp", s.room.address+":"+s.port(1), "next")
	s.in("web").reaches("tcp", s.room.gateway+":"+s.port(9), "server")
	s.ok("rm", "-f", "web", "next")
}

// Somebody flushes all rules of the host.
func TestNetworkFirewallFlushed(t *testing.T) {
	s := newRoom(t)
	s.here.answers("tcp", s.room.gateway+":"+s.port(9), "server")
	s.serves("web", "-p", s.port(0)+":80")
	s.here.reaches("tcp", s.room.address+":"+s.port(0), "web")
	s.script("nft flush ruleset")
	s.ok("run", "--rm", "busybox", "true")
	s.here.reaches("tcp", s.room.address+":"+s.port(0), "web")
	s.in("web").reaches("tcp", s.room.gateway+":"+s.port(9), "server")
	s.script("nft flush ruleset")
	s.ok("restart", "-t", "0", "web")
	s.eventually("it answers", func() bool {
		name, _, err := s.here.ask("tcp", s.room.address+":"+s.port(0), limit)
		return err == nil && name == "web"
	})
	s.script("nft flush ruleset")
	s.ok("system", "check", "--repair")
	s.here.reaches("tcp", s.room.address+":"+s.port(0), "web")
}

// A firewall that drops what is forwarded, as ufw and firewalld do: the engine
// does not tear it open, doctor says what is closed and how to open it.
func TestNetworkFirewallDoctor(t *testing.T) {
	s := newRoom(t)
	fine := s.try("doctor")
	if strings.Contains(fine.out, "e2ewall") {
		t.Fatal(fine)
	}
	for i, rules := range []string{
		"nft add table inet e2ewall; nft 'add chain inet e2ewall forwarding { type filter hook forward priority 10; policy drop; }'",
		"nft add table inet e2ewall; nft 'add chain inet e2ewall forwarding { type filter hook forward priority 10; policy accept; }'; nft add rule inet e2ewall forwarding ct state established accept; nft add rule inet e2ewall forwarding reject",
	} {
		s.script(rules)
		r := s.try("doctor")
		for _, word := range []string{"e2ewall", "forward", strings.TrimSuffix(s.bridge("bridge"), "0")} {
			if !strings.Contains(r.out+r.err, word) {
				t.Errorf("firewall %d: doctor does not say %q: %s", i, word, r)
			}
		}
		before := s.script("nft -s list table inet e2ewall")
		s.ok("run", "--rm", "-p", s.port(0)+":80", "busybox", "true")
		equal(t, "the firewall afterwards", s.script("nft -s list table inet e2ewall"), before)
		s.script("nft delete table inet e2ewall")
	}
	equal(t, "doctor without a firewall", fmt.Sprint(s.try("doctor").code), fmt.Sprint(fine.code))
}

// The default bridge where --bip says.
func TestNetworkBridgeAddress(t *testing.T) {
	s := newSite(t)
	bip := []string{"--bip", s.addr(70) + "/26"}
	s.ok(append(bip, "run", "-d", "--name", "cc", "busybox", "sleep", "1000")...)
	equal(t, "address", s.inspect("cc", "{{.NetworkSettings.Networks.bridge.Gateway}} {{.NetworkSettings.Networks.bridge.IPAddress}}"), s.addr(70)+" "+s.addr(65))
	equal(t, "interfaces", s.interfaces("cc"), "eth0 "+s.addr(65)+"/26")
	s.ok("rm", "-f", "cc")
	for _, bad := range []string{"nope", "198.18.0", s.addr(70), s.addr(64) + "/26", s.addr(127) + "/26", "10.1.2.3/33"} {
		r := s.try("--bip", bad, "run", "--rm", "busybox", "true")
		if r.code == 0 || !strings.Contains(r.err, bad) && !strings.Contains(r.err, strings.Split(bad, "/")[0]) {
			t.Errorf("--bip %s: %s", bad, r)
		}
	}
}
