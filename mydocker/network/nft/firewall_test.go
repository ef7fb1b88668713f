package nft

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docker gives a host what Docker makes of its filter.
func (h host) docker(iptables string) {
	h.t.Helper()
	for _, line := range []string{
		"-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -s 192.0.2.99 -j DROP", "-A DOCKER-USER -j RETURN",
	} {
		if iptables == "ip6tables" {
			line = strings.ReplaceAll(line, "192.0.2.99", "2001:db8::99")
		}
		h.run(append([]string{iptables}, strings.Fields(line)...)...)
	}
}

func TestDocker(t *testing.T) {
	h := newHost(t, "docker")
	accept := func(ipv6 bool) uint32 {
		before := h.generation()
		if err := h.do(func() error { return AcceptInDocker("mydocker", []string{"mydocker0"}, ipv6) }); err != nil {
			t.Fatal(err)
		}
		return h.generation() - before
	}
	leave := func() {
		if err := h.do(func() error { return AcceptInDocker("mydocker", nil, true) }); err != nil {
			t.Fatal(err)
		}
	}
	if n := accept(true); n != 0 {
		t.Errorf("%d transactions without Docker", n)
	}
	leave()

	h.docker("iptables")
	h.docker("ip6tables")
	h.run("iptables", "-N", "others") // whatever others have there must not be an error
	for _, rule := range []string{
		"-p tcp --dport 22 -j ACCEPT", "-p udp --sport 53 -j RETURN", "-m conntrack --ctstate NEW -m comment --comment x -j DROP",
		"-m addrtype --dst-type LOCAL -j LOG", "-m limit --limit 1/s -j ACCEPT", "-p tcp -m multiport --dports 1,2 -j REJECT",
		"-m mark --mark 1 -j MARK --set-mark 2", "-p tcp --syn -j TCPMSS --clamp-mss-to-pmtu", "-p icmp --icmp-type 8 -j ACCEPT",
		"-m statistic --mode random --probability 0.5 -j DROP", "-m owner --uid-owner 0", "-m time --timestart 10:00 -j DROP",
	} {
		if out, err := exec.Command("ip", append([]string{"netns", "exec", h.name, "iptables", "-A", "others"}, strings.Fields(rule)...)...).CombinedOutput(); err != nil {
			t.Logf("%s: %s", rule, out) // the kernel has no such match
		}
	}
	if err := h.do(func() error { _, err := Blocked("mydocker", 30053); return err }); err != nil {
		t.Error(err)
	}
	user4 := "-N DOCKER-USER\n-A DOCKER-USER -s 192.0.2.99/32 -j DROP\n-A DOCKER-USER -j RETURN\n"
	user6 := "-N DOCKER-USER\n-A DOCKER-USER -s 2001:db8::99/128 -j DROP\n-A DOCKER-USER -j RETURN\n"
	opened := func(s string) string {
		return strings.Replace(s, "-N DOCKER-USER\n", "-N DOCKER-USER\n-A DOCKER-USER -i mydocker0 -o docker0 -j RETURN\n-A DOCKER-USER -i mydocker0 -o br-+ -j RETURN\n-A DOCKER-USER -i mydocker0 -j ACCEPT\n-A DOCKER-USER -o mydocker0 -j ACCEPT\n", 1)
	}
	check := func(step, want4, want6 string) {
		t.Helper()
		if diff := cmp.Diff(want4, h.run("iptables", "-S", "DOCKER-USER")); diff != "" {
			t.Errorf("%s:\n%s", step, diff)
		}
		if diff := cmp.Diff(want6, h.run("ip6tables", "-S", "DOCKER-USER")); diff != "" {
			t.Errorf("%s:\n%s", step, diff)
		}
	}
	if n := accept(false); n != 1 {
		t.Errorf("first: %d transactions", n)
	}
	check("IPv4 only", opened(user4), user6)
	accept(true)
	check("both", opened(user4), opened(user6))
	if n := accept(true); n != 0 {
		t.Errorf("again: %d transactions", n)
	}
	h.run("iptables", "-D", "DOCKER-USER", "-i", "mydocker0", "-j", "ACCEPT")
	accept(true)
	check("one put back", opened(user4), opened(user6))
	leave()
	check("left", user4, user6)
}

func TestBlocked(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(h host)
		want   []string
		open   []string // what opens it
	}{
		{name: "nothing", before: func(h host) { h.run("iptables", "-N", "mine") }},
		{name: "the engine's own", before: func(h host) { h.apply(example()) }},
		{name: "docker", before: func(h host) { h.docker("iptables") }},
		{name: "ufw", before: func(h host) {
			for _, iptables := range []string{"iptables", "ip6tables"} {
				h.run(iptables, "-P", "FORWARD", "DROP")
				h.run(iptables, "-N", "ufw-user-forward")
				h.run(iptables, "-A", "FORWARD", "-j", "ufw-user-forward")
			}
		}, want: []string{
			"chain FORWARD of nftables table ip filter drops what comes from containers or goes to them; to open it: ufw route allow in on mydocker0 && ufw route allow out on mydocker0",
			"chain FORWARD of nftables table ip6 filter drops what comes from containers or goes to them; to open it: ufw route allow in on mydocker0 && ufw route allow out on mydocker0",
		}, open: []string{
			"iptables -A ufw-user-forward -i mydocker0 -j ACCEPT", "iptables -A ufw-user-forward -o mydocker0 -j ACCEPT",
			"ip6tables -A ufw-user-forward -i mydocker0 -j ACCEPT", "ip6tables -A ufw-user-forward -o mydocker0 -j ACCEPT",
		}},
		{name: "firewalld", before: func(h host) {
			h.nft(`table inet firewalld {
				chain filter_FWD_trusted { accept; }
				chain filter_FORWARD_ZONES { iifname "eth0" drop; }
				chain filter_FORWARD {
					type filter hook forward priority filter + 10; policy accept;
					ct state established,related accept
					jump filter_FORWARD_ZONES
					reject with icmpx admin-prohibited
				}
			}`)
		}, want: []string{
			"chain filter_FORWARD of nftables table inet firewalld drops what comes from containers or goes to them; to open it: firewall-cmd --permanent --zone=trusted --add-interface=mydocker0 && firewall-cmd --reload",
		}, open: []string{"nft insert rule inet firewalld filter_FORWARD_ZONES iifname mydocker0 goto filter_FWD_trusted"}},
		{name: "iptables", before: func(h host) { h.run("iptables", "-A", "FORWARD", "-j", "REJECT") }, want: []string{
			"chain FORWARD of nftables table ip filter drops what comes from containers or goes to them; to open it: iptables -I FORWARD -i mydocker+ -j ACCEPT && iptables -I FORWARD -o mydocker+ -j ACCEPT",
		}, open: []string{"iptables -I FORWARD -i mydocker+ -j ACCEPT && iptables -I FORWARD -o mydocker+ -j ACCEPT"}},
		{name: "nftables", before: func(h host) {
			h.nft(`table ip mine { chain pass { type filter hook forward priority 0; policy drop; }; }`)
		}, want: []string{
			`chain pass of nftables table ip mine drops what comes from containers or goes to them; to open it: nft insert rule ip mine pass iifname '"mydocker*"' accept && nft insert rule ip mine pass oifname '"mydocker*"' accept`,
		}, open: []string{`nft insert rule ip mine pass iifname '"mydocker*"' accept && nft insert rule ip mine pass oifname '"mydocker*"' accept`}},
		{name: "input of ufw", before: func(h host) {
			h.run("iptables", "-P", "INPUT", "DROP")
			h.run("iptables", "-N", "ufw-user-input")
			h.run("iptables", "-N", "ufw-user-forward")
			h.run("iptables", "-A", "INPUT", "-j", "ufw-user-input")
			h.run("iptables", "-A", "ufw-user-forward", "-i", "mydocker0", "-j", "ACCEPT") // not for this
		}, want: []string{
			"chain INPUT of nftables table ip filter drops what containers ask of names; to open it: ufw allow in on mydocker+ to any port 30053",
		}, open: []string{"iptables -A ufw-user-input -i mydocker+ -p udp --dport 30053 -j ACCEPT"}},
		{name: "input of iptables", before: func(h host) { h.run("iptables", "-A", "INPUT", "-j", "REJECT") }, want: []string{
			"chain INPUT of nftables table ip filter drops what containers ask of names; to open it: iptables -I INPUT -i mydocker+ -p udp --dport 30053 -j ACCEPT && iptables -I INPUT -i mydocker+ -p tcp --dport 30053 -j ACCEPT",
		}, open: []string{"iptables -I INPUT -i mydocker+ -p udp --dport 30053 -j ACCEPT && iptables -I INPUT -i mydocker+ -p tcp --dport 30053 -j ACCEPT"}},
		{name: "input of nftables", before: func(h host) {
			h.nft(`table inet mine { chain in { type filter hook input priority 0; policy drop; }; }`)
		}, want: []string{
			`chain in of nftables table inet mine drops what containers ask of names; to open it: nft insert rule inet mine in iifname '"mydocker*"' th dport 30053 accept`,
		}, open: []string{`nft insert rule inet mine in iifname '"mydocker*"' th dport 30053 accept`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t, "blocked")
			test.before(h)
			blocked := func() (list []string) {
				if err := h.do(func() (err error) { list, err = Blocked("mydocker", 30053); return err }); err != nil {
					t.Fatal(err)
				}
				return list
			}
			if diff := cmp.Diff(test.want, blocked()); diff != "" {
				t.Error(diff)
			}
			for _, line := range test.open {
				h.run("sh", "-c", line)
			}
			if got := blocked(); len(test.open) > 0 && got != nil {
				t.Errorf("opened: %s", got)
			}
		})
	}
}
