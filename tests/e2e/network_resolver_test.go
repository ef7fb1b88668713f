package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// What is no container's name is asked of the resolvers that --dns names.
func TestNetworkResolver(t *testing.T) {
	s := newSite(t)
	zone := map[string][]string{"outside.test": {s.server.address, "fd00::7"}, "v4only.test": {"192.0.2.4"}, "short.search.test": {s.server.address}, "web": {"192.0.2.66"}}
	for i := range 60 {
		zone["big.test"] = append(zone["big.test"], fmt.Sprintf("192.0.2.%d", i+1))
	}
	fake := s.resolves(zone)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	s.serves("web", "--network", "n")
	s.ok("run", "-d", "--name", "asker", "--network", "n", "--dns", fake.address, "--dns-search", "search.test", "--dns-option", "timeout:9", "busybox", "sleep", "1000")

	resolv := s.ok("exec", "asker", "cat", "/etc/resolv.conf")
	for _, want := range []string{"search search.test\n", "options ", "timeout:9"} {
		if !strings.Contains(resolv, want) {
			t.Errorf("%q is not in resolv.conf: %s", want, resolv)
		}
	}
	if servers := strings.Fields(nameservers(resolv)); len(servers) != 1 || servers[0] == fake.address {
		t.Errorf("names could not be answered: %s", resolv)
	}
	for _, network := range []string{"udp", "tcp"} {
		equal(t, "A by "+network, strings.Join(data(s.query("asker", network, "outside.test", dnsmessage.TypeA, 0)), " "), s.server.address)
		equal(t, "AAAA by "+network, strings.Join(data(s.query("asker", network, "outside.test", dnsmessage.TypeAAAA, 0)), " "), "fd00::7")
		equal(t, "no AAAA by "+network, strings.Join(data(s.query("asker", network, "v4only.test", dnsmessage.TypeAAAA, 0)), " "), "Success")
		equal(t, "nothing by "+network, strings.Join(data(s.query("asker", network, "nothing.test", dnsmessage.TypeA, 0)), " "), unknownName)
		// A container's name is not asked outside, where it is another's.
		equal(t, "web by "+network, strings.Join(data(s.query("asker", network, "web", dnsmessage.TypeA, 0)), " "), s.address("web", "n"))
	}
	if fake.was("web") {
		t.Error("the resolver outside was asked for a container")
	}
	// Too long for a datagram of the asker.
	if short := s.query("asker", "udp", "big.test", dnsmessage.TypeA, 0); !short.Header.Truncated {
		t.Errorf("60 addresses in 512 bytes: %v", data(short))
	}
	for _, m := range []dnsmessage.Message{s.query("asker", "tcp", "big.test", dnsmessage.TypeA, 0), s.query("asker", "udp", "big.test", dnsmessage.TypeA, 4096)} {
		got, want := data(m), slices.Clone(zone["big.test"])
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("truncated %t, got %v, want %v", m.Header.Truncated, got, want)
		}
	}
	s.ok("exec", "asker", "ping", "-c", "1", "-W", "20", "outside.test")
	s.ok("exec", "asker", "ping", "-c", "1", "-W", "20", "short") // by the search domain
	s.ok("exec", "asker", "ping", "-c", "1", "-W", "20", "web")   // before the search domain, or after it

	// The first of its resolvers that answers, when one is dead.
	s.ok("run", "-d", "--name", "patient", "--network", "n", "--dns", s.client.address, "--dns", fake.address, "busybox", "sleep", "1000")
	s.resolved(t, "patient", "outside.test", s.server.address)
}

// An internal network has no way out for questions either.
func TestNetworkResolverInternal(t *testing.T) {
	s := newSite(t)
	fake := s.resolves(map[string][]string{"outside.test": {"192.0.2.7"}})
	s.ok("network", "create", "--internal", "--subnet", s.subnet("64/26"), "n")
	s.serves("web", "--network", "n")
	s.ok("run", "-d", "--name", "asker", "--network", "n", "--dns", fake.address, "busybox", "sleep", "1000")
	s.resolved(t, "asker", "web", s.address("web", "n"))
	if m := s.query("asker", "udp", "outside.test", dnsmessage.TypeA, 0); m.Header.RCode == dnsmessage.RCodeSuccess || len(m.Answers) > 0 {
		t.Errorf("outside.test: %v", data(m))
	}
	if fake.was("outside.test") {
		t.Error("the resolver outside was asked")
	}
	// Also in a network that is not internal, it may ask.
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "m")
	s.ok("network", "connect", "m", "asker")
	s.resolved(t, "asker", "outside.test", "192.0.2.7")
	s.resolved(t, "asker", "web", s.address("web", "n"))
	s.ok("network", "disconnect", "m", "asker")
	if m := s.query("asker", "udp", "outside.test", dnsmessage.TypeA, 0); len(m.Answers) > 0 {
		t.Errorf("outside.test after disconnect: %v", data(m))
	}
}

// A container may itself serve port 53, to others and to the outside, and still
// has its own resolver.
func TestNetworkResolverBesideServer(t *testing.T) {
	s := newSite(t)
	fake := s.resolves(map[string][]string{"outside.test": {"192.0.2.7"}})
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "n")
	s.serves("dns", "--network", "n", "--dns", fake.address, "-p", s.port(0)+":53/udp", "-p", s.port(0)+":53", "--", "udp/:53", "tcp/:53")
	s.ok("run", "-d", "--name", "other", "--network", "n", "--dns", fake.address, "busybox", "sleep", "1000")
	for _, network := range []string{"udp", "tcp"} {
		s.in("other").reaches(network, s.address("dns", "n")+":53", "dns")
		s.client.reaches(network, s.client.gateway+":"+s.port(0), "dns")
		for _, ref := range []string{"dns", "other"} {
			equal(t, network+" of "+ref, strings.Join(data(s.query(ref, network, "outside.test", dnsmessage.TypeA, 0)), " "), "192.0.2.7")
			equal(t, network+" of "+ref, strings.Join(data(s.query(ref, network, "dns", dnsmessage.TypeA, 0)), " "), s.address("dns", "n"))
		}
		// Questions to a resolver of the container's choice go there.
		equal(t, "nslookup at the server outside", fmt.Sprint(s.try("exec", "other", "nslookup", "outside.test", fake.address).code), "0")
	}
	// The resolver is the containers', not the world's.
	server := nameservers(s.ok("exec", "other", "cat", "/etc/resolv.conf"))
	s.client.isCutOff("tcp", server+":53")
	s.client.isCutOff("udp", server+":53")
	// It lives as long as one container of the network does.
	s.ok("rm", "-f", "dns")
	s.resolved(t, "other", "outside.test", "192.0.2.7")
	s.resolved(t, "other", "other", s.address("other", "n"))
	s.ok("restart", "-t", "0", "other")
	s.resolved(t, "other", "outside.test", "192.0.2.7")
}
