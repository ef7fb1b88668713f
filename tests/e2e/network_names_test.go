package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

const unknownName = "NameError"

// In a network of the user's, containers know each other by name, short ID,
// alias and name.network.
func TestNetworkNames(t *testing.T) {
	s := newSite(t)
	fake := s.resolves(nil)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "m")
	on := []string{"--network", "n", "--dns", fake.address}
	web := s.serves("web", append(on, "--network-alias", "al", "--network-alias", "b-e", "-h", "hn")...)
	asker := s.serves("asker", on...)
	stranger := s.serves("stranger", "--network", "m", "--dns", fake.address)
	address := s.address("web", "n")
	names := []string{"web", web[:12], "al", "b-e", "hn"}
	for _, name := range names {
		s.resolved(t, asker, name, address)
		s.resolved(t, asker, name+".n", address)
		s.resolved(t, web, name, address)
		if out := s.ok("exec", asker, "nslookup", name); !strings.Contains(out, "Address: "+address) && !strings.Contains(out, "Address 1: "+address) {
			t.Errorf("nslookup %s: %s", name, out)
		}
		s.ok("exec", asker, "ping", "-c", "1", "-W", "20", name)
	}
	equal(t, "wget by name", s.ok("exec", asker, "sh", "-c", "nc web 80 < /dev/null | cut -d ' ' -f 1"), "web")
	s.resolved(t, asker, "web.m", unknownName)
	s.resolved(t, asker, web[:11], unknownName)
	s.resolved(t, asker, "WEB", address)

	// No IPv6 address is an empty answer; NXDOMAIN would end the asker's search.
	for _, network := range []string{"udp", "tcp"} {
		equal(t, "AAAA by "+network, strings.Join(data(s.query(asker, network, "web", dnsmessage.TypeAAAA, 0)), " "), "Success")
		equal(t, "A by "+network, strings.Join(data(s.query(asker, network, "web", dnsmessage.TypeA, 0)), " "), address)
	}
	equal(t, "PTR", strings.Join(data(s.query(asker, "udp", reversed(address), dnsmessage.TypePTR, 0)), " "), "web.n.")
	if out := s.ok("exec", asker, "nslookup", address); !strings.Contains(out, "web.n") {
		t.Errorf("nslookup %s: %s", address, out)
	}
	for _, name := range append(names, "web.n", reversed(address)) {
		if fake.was(name) {
			t.Errorf("the resolver outside was asked for %s", name)
		}
		s.resolved(t, stranger, name, unknownName)
	}
	known := s.inspect("web", `{{with index .NetworkSettings.Networks "n"}}{{.Aliases}} {{.DNSNames}}{{end}}`)
	for _, name := range names {
		if !strings.Contains(known, name) {
			t.Errorf("inspect knows no name %s: %s", name, known)
		}
	}

	// Who stops is not found, who comes back is, as are renamed ones.
	s.ok("stop", "-t", "0", "web")
	s.resolved(t, asker, "web", unknownName)
	s.resolved(t, asker, "al", unknownName)
	s.ok("start", "web")
	s.resolved(t, asker, "web", s.address("web", "n"))
	s.ok("rename", "web", "www")
	s.resolved(t, asker, "www", s.address("www", "n"))
	s.resolved(t, asker, "web", unknownName)
	equal(t, "PTR after rename", strings.Join(data(s.query(asker, "udp", reversed(s.address("www", "n")), dnsmessage.TypePTR, 0)), " "), "www.n.")
	s.ok("rm", "-f", "www")
	for _, name := range []string{"www", "al", web[:12]} {
		s.resolved(t, asker, name, unknownName)
	}
	// Of a killed monitor nothing is found either, once a command has looked.
	s.serves("again", on...)
	killMonitor(s.host, "again")
	s.ok("ps", "-a")
	s.resolved(t, asker, "again", unknownName)
}

func reversed(address string) string {
	b := netip.MustParseAddr(address).As4()
	return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
}

// Several containers of one alias are all named, each is the first at times, and
// what is too long for a datagram comes by TCP.
func TestNetworkNamesAlias(t *testing.T) {
	s := newSite(t)
	count := 40
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	var lines [][]string
	for range 3 {
		lines = append(lines, []string{"run", "-d", "--network", "n", "--network-alias", "many", "busybox", "sleep", "1000"})
	}
	var all []string
	start := func() {
		t.Helper()
		for _, r := range s.together(lines...) {
			if r.code != 0 {
				t.Fatal(r)
			}
			all = append(all, s.address(strings.TrimSpace(r.out), "n"))
		}
	}
	start()
	asker := s.ok("run", "-d", "--network", "n", "busybox", "sleep", "1000")
	s.resolved(t, asker, "many", all...)
	first := map[string]bool{}
	s.eventually("each of three is the first", func() bool {
		first[s.addresses(asker, "many")[0]] = true
		return len(first) == 3
	})
	for len(lines) < count-3 {
		lines = append(lines, lines[0])
	}
	start()
	slices.Sort(all)
	if short := s.query(asker, "udp", "many", dnsmessage.TypeA, 0); !short.Header.Truncated {
		t.Errorf("%d addresses in 512 bytes: %v", count, data(short))
	}
	for _, m := range []dnsmessage.Message{s.query(asker, "tcp", "many", dnsmessage.TypeA, 0), s.query(asker, "udp", "many", dnsmessage.TypeA, 4096)} {
		got := data(m)
		slices.Sort(got)
		if !slices.Equal(got, all) || m.Header.Truncated {
			t.Errorf("truncated %t, got %v, want %v", m.Header.Truncated, got, all)
		}
	}
}

// Of a container in two networks each network knows the address there; the asker
// of both is told both.
func TestNetworkNamesOfTwo(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "m")
	both := s.ok("run", "-d", "--name", "both", "--network", "name=n,alias=inn", "--network", "name=m,alias=inm", "busybox", "sleep", "1000")
	inN := s.ok("run", "-d", "--name", "in-n", "--network", "n", "busybox", "sleep", "1000")
	inM := s.ok("run", "-d", "--name", "in-m", "--network", "m", "busybox", "sleep", "1000")
	n, m := s.address(both, "n"), s.address(both, "m")
	s.resolved(t, inN, "both", n)
	s.resolved(t, inM, "both", m)
	s.resolved(t, inN, "inn", n)
	s.resolved(t, inM, "inm", m)
	for ref, name := range map[string]string{inN: "inm", inM: "inn"} {
		if got := s.addresses(ref, name); slices.Contains(got, n) || slices.Contains(got, m) {
			t.Errorf("%s of the other network is %v", name, got)
		}
	}
	s.resolved(t, both, "in-n", s.address("in-n", "n"))
	s.resolved(t, both, "in-m", s.address("in-m", "m"))
	s.resolved(t, both, "in-m.m", s.address("in-m", "m"))
	for _, address := range s.addresses(both, "both") {
		if address != n && address != m {
			t.Errorf("it is itself %s", address)
		}
	}
}

// getent, and thereby every program that uses glibc, agrees.
func TestNetworkNamesGlibc(t *testing.T) {
	s := newDebianSite(t)
	fake := s.resolves(map[string][]string{"name.search.test": {"192.0.2.7"}})
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	s.serves("web", "--network", "n", "--network-alias", "al")
	s.ok("run", "-d", "--name", "asker", "--network", "n", "--dns", fake.address, "--dns-search", "search.test", "debian", "sleep", "1000")
	address := s.address("web", "n")
	for _, name := range []string{"web", "al", "web.n", s.inspect("web", "{{.Id}}")[:12]} {
		for _, database := range []string{"hosts", "ahosts", "ahostsv4"} {
			if f := strings.Fields(s.ok("exec", "asker", "getent", database, name)); len(f) == 0 || f[0] != address {
				t.Errorf("getent %s %s: %v", database, name, f)
			}
		}
	}
	if f := strings.Fields(s.ok("exec", "asker", "getent", "hosts", address)); len(f) != 2 || f[1] != "web.n" {
		t.Errorf("getent of the address: %v", f)
	}
	if f := strings.Fields(s.ok("exec", "asker", "getent", "hosts", "name")); len(f) < 2 || f[0] != "192.0.2.7" || f[1] != "name.search.test" {
		t.Errorf("getent by the search domain: %v", f)
	}
	if r := s.try("exec", "asker", "getent", "hosts", "nobody"); r.code != 2 {
		t.Errorf("getent of nobody: %s", r)
	}
	equal(t, "python", s.ok("exec", "asker", "python3", "-c", "import socket; print(socket.gethostbyname('web'), socket.gethostbyaddr('"+address+"')[0], socket.getfqdn('al'))"), address+" web.n web.n")
}
