package e2e

import "testing"

// Networks are strangers to each other, in both directions.
func TestNetworkIsolation(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "aa")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "bb")
	where := map[string]string{"ca": "aa", "cb": "bb", "cd": "bridge"}
	for name, network := range where {
		s.serves(name, "--network", network)
	}
	for from := range where {
		for to := range where {
			address := s.address(to, where[to])
			if from == to {
				continue
			}
			for _, network := range []string{"tcp", "udp"} {
				s.in(from).isCutOff(network, address+":80")
			}
			if r := s.try("exec", from, "ping", "-c", "1", "-W", "1", address); r.code == 0 {
				t.Errorf("from %s to %s: %s", from, to, r)
			}
		}
	}
	// Within a network all is open, and the host reaches every container.
	s.serves("ca2", "--network", "aa")
	for _, network := range []string{"tcp", "udp"} {
		s.in("ca2").reaches(network, s.address("ca", "aa")+":80", "ca")
		s.in("ca").reaches(network, s.address("ca2", "aa")+":80", "ca2")
		for name, of := range where {
			s.here.reaches(network, s.address(name, of)+":80", name)
		}
	}
	// A machine outside that takes the host for a router comes to no port that is
	// not published, and a container with a false sender's address comes nowhere.
	for name, of := range where {
		for _, network := range []string{"tcp", "udp"} {
			s.client.isCutOff(network, s.address(name, of)+":80")
		}
	}
	if r := s.try("run", "--rm", "--network", "aa", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c",
		"ip addr add "+s.addr(190)+"/32 dev eth0 && ping -c 1 -W 1 -I "+s.addr(190)+" "+s.address("cb", "bb")); r.code == 0 {
		t.Errorf("with an address of the other network: %s", r)
	}
	// In both networks, it reaches both, and does not join them.
	s.serves("both", "--network", "aa", "--network", "bb")
	s.in("both").reaches("tcp", s.address("ca", "aa")+":80", "ca")
	s.in("both").reaches("tcp", s.address("cb", "bb")+":80", "cb")
	s.in("ca").isCutOff("tcp", s.address("cb", "bb")+":80")
	// The other network's coming and going changes nothing for who stays.
	s.ok("rm", "-f", "both", "cb", "cd")
	s.ok("network", "rm", "bb")
	s.in("ca2").reaches("tcp", s.address("ca", "aa")+":80", "ca")
	s.serves("again")
	s.in("again").isCutOff("tcp", s.address("ca", "aa")+":80")
	s.in("ca").isCutOff("tcp", s.address("again", "bridge")+":80")
}

// An internal network has no way out and none in.
func TestNetworkInternal(t *testing.T) {
	s := newSite(t)
	s.server.answers("tcp", s.server.address+":7000", "server")
	s.server.answers("udp", s.server.address+":7000", "server")
	s.ok("network", "create", "--internal", "--subnet", s.subnet("64/26"), "inner")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "outer")
	s.serves("in1", "--network", "inner", "-p", s.port(0)+":80")
	s.serves("in2", "--network", "inner")
	s.serves("out", "--network", "outer")
	address := s.address("in1", "inner")
	for _, network := range []string{"tcp", "udp"} {
		s.in("in2").reaches(network, address+":80", "in1")
		s.in("in1").isCutOff(network, s.server.address+":7000")
		s.in("in1").isCutOff(network, s.client.address+":7000")
		s.in("in1").isCutOff(network, s.address("out", "outer")+":80")
		s.in("out").isCutOff(network, address+":80")
		s.client.isCutOff(network, address+":80")
		s.client.isCutOff(network, s.client.gateway+":"+s.port(0))
	}
	// Nor when the container gives itself the route.
	r := s.try("run", "--rm", "--network", "inner", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c",
		"ip route replace default via "+s.addr(65)+" && ping -c 1 -W 1 "+s.server.address)
	if r.code == 0 {
		t.Errorf("with a route of its own: %s", r)
	}
	// Another network is a way out, as long as it is connected.
	s.ok("network", "connect", "outer", "in1")
	s.in("in1").reaches("tcp", s.server.address+":7000", "server")
	s.in("in1").reaches("tcp", s.address("out", "outer")+":80", "out")
	s.in("in2").reaches("tcp", address+":80", "in1")
	s.in("in2").isCutOff("tcp", s.server.address+":7000")
	s.ok("network", "disconnect", "outer", "in1")
	s.in("in1").isCutOff("tcp", s.server.address+":7000")
	s.in("in2").reaches("tcp", address+":80", "in1")
}

// Containers of a network without icc do not talk to each other, but to the world.
func TestNetworkWithoutICC(t *testing.T) {
	s := newSite(t)
	s.server.answers("tcp", s.server.address+":7000", "server")
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "-o", "com.docker.network.bridge.enable_icc=false", "apart")
	s.serves("c1", "--network", "apart", "-p", s.port(0)+":80")
	s.serves("c2", "--network", "apart")
	s.in("c2").isCutOff("tcp", s.address("c1", "apart")+":80")
	s.in("c1").isCutOff("udp", s.address("c2", "apart")+":80")
	s.in("c2").reaches("tcp", s.server.address+":7000", "server")
	s.client.reaches("tcp", s.client.gateway+":"+s.port(0), "c1")
	// Without masquerade, packets leave as they are: the server cannot answer
	// them, the client, whose way is the host, can.
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "-o", "com.docker.network.bridge.enable_ip_masquerade=false", "plain")
	s.client.answers("tcp", s.client.address+":7000", "client")
	s.serves("c3", "--network", "plain")
	equal(t, "sender", s.in("c3").reaches("tcp", s.client.address+":7000", "client"), s.address("c3", "plain"))
	s.in("c3").isCutOff("tcp", s.server.address+":7000")
}
