package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A published port is reached from everywhere that it should be.
func TestNetworkPublish(t *testing.T) {
	for _, on := range []string{"bridge", "nn"} {
		t.Run(on, func(t *testing.T) {
			s := newSite(t)
			s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
			s.ok("network", "create", "--subnet", s.subnet("128/26"), "other")
			tcp, udp, echo := s.port(0), s.port(1), s.port(2)
			s.serves("web", "--network", on, "-p", tcp+":80", "-p", udp+":80/udp", "-p", echo+":81", "--", "tcp/:80", "udp/:80", "echo/:81")
			s.ok("run", "-d", "--name", "beside", "--network", on, "busybox", "sleep", "1000")
			s.ok("run", "-d", "--name", "away", "--network", "other", "busybox", "sleep", "1000")
			host := s.client.gateway

			// From outside, who asks is seen as what it is.
			equal(t, "tcp from outside", s.client.reaches("tcp", host+":"+tcp, "web"), s.client.address)
			equal(t, "udp from outside", s.client.reaches("udp", host+":"+udp, "web"), s.client.address)
			s.server.reaches("tcp", s.server.gateway+":"+tcp, "web")
			s.server.reaches("udp", s.server.gateway+":"+udp, "web")
			s.client.reaches("tcp", s.server.gateway+":"+tcp, "web") // an address of the host on another wire
			// By IPv6, although the container has only IPv4.
			s.client.reaches("tcp", "["+s.client.gateway6+"]:"+tcp, "web")
			s.client.reaches("udp", "["+s.client.gateway6+"]:"+udp, "web")
			// From the host by each of its addresses, from a container of the same and
			// of another network, and from itself.
			gateway := s.inspect("web", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}")
			for _, address := range []string{"127.0.0.1", "[::1]", host, s.server.gateway, "[" + s.client.gateway6 + "]", gateway} {
				s.here.reaches("tcp", address+":"+tcp, "web")
				s.here.reaches("udp", address+":"+udp, "web")
				s.here.echoes(address + ":" + echo)
			}
			for _, from := range []*place{s.in("beside"), s.in("away"), s.in("web")} {
				for _, address := range []string{host, gateway} {
					from.reaches("tcp", address+":"+tcp, "web")
					from.reaches("udp", address+":"+udp, "web")
				}
				from.echoes(host + ":" + echo)
			}
			s.client.echoes(host + ":" + echo)
			s.client.echoes("[" + s.client.gateway6 + "]:" + echo)

			// The container's port by its address remains its network's.
			s.client.isCutOff("tcp", s.address("web", on)+":80")
			s.in("away").isCutOff("tcp", s.address("web", on)+":80")
			// UDP is not TCP.
			s.client.isCutOff("udp", host+":"+tcp)
			s.client.isCutOff("tcp", host+":"+udp)

			s.ok("rm", "-f", "web")
			for _, network := range []string{"tcp", "udp"} {
				s.client.isCutOff(network, host+":"+map[string]string{"tcp": tcp, "udp": udp}[network])
				s.here.isCutOff(network, "127.0.0.1:"+map[string]string{"tcp": tcp, "udp": udp}[network])
			}
		})
	}
}

// A port published on one address is published on no other.
func TestNetworkPublishAddress(t *testing.T) {
	s := newSite(t)
	local, local6, outer := s.port(0), s.port(1), s.port(2)
	s.serves("web", "-p", "127.0.0.1:"+local+":80", "-p", "127.0.0.1:"+local+":80/udp", "-p", "[::1]:"+local6+":80", "-p", "[::1]:"+local6+":80/udp",
		"-p", s.client.gateway+":"+outer+":80", "-p", s.client.gateway+":"+outer+":80/udp")
	s.ok("run", "-d", "--name", "beside", "busybox", "sleep", "1000")
	gateway := s.inspect("web", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}")
	for _, network := range []string{"tcp", "udp"} {
		s.here.reaches(network, "127.0.0.1:"+local, "web")
		s.here.reaches(network, "[::1]:"+local6, "web")
		s.here.reaches(network, s.client.gateway+":"+outer, "web")
		s.client.reaches(network, s.client.gateway+":"+outer, "web")
		s.in("beside").reaches(network, s.client.gateway+":"+outer, "web")
		for _, address := range []string{"[::1]:" + local, s.client.gateway + ":" + local, "127.0.0.1:" + local6, s.client.gateway + ":" + local6, "127.0.0.1:" + outer, s.server.gateway + ":" + outer} {
			s.here.isCutOff(network, address)
		}
		for _, port := range []string{local, local6} {
			s.client.isCutOff(network, s.client.gateway+":"+port)
			s.client.isCutOff(network, "["+s.client.gateway6+"]:"+port)
			s.in("beside").isCutOff(network, gateway+":"+port)
			s.in("beside").isCutOff(network, s.client.gateway+":"+port)
		}
		s.server.isCutOff(network, s.server.gateway+":"+outer)
	}
	// Nor by the trick of a route to the loopback address: no interface takes it.
	ip(t, "-n", s.client.name, "addr", "add", "127.0.0.2/32", "dev", "eth0")
	ip(t, "-n", s.client.name, "link", "set", "lo", "down")
	ip(t, "-n", s.client.name, "route", "replace", "127.0.0.1/32", "via", s.client.gateway, "dev", "eth0")
	if name, _, err := s.client.ask("tcp", "127.0.0.1:"+local, 1e9); err == nil {
		t.Errorf("from outside 127.0.0.1 is answered by %s", name)
	}
	files, _ := filepath.Glob("/proc/sys/net/ipv4/conf/*/route_localnet")
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if value, err := os.ReadFile(file); err == nil && strings.HasPrefix(name, strings.TrimSuffix(s.bridge("bridge"), "0")) && string(value) != "0\n" {
			t.Errorf("%s is %q", file, value)
		}
	}
	if _, err := os.Stat("/proc/sys/net/ipv4/conf/" + s.bridge("bridge") + "/route_localnet"); err != nil {
		t.Error(err)
	}
}

// Published ports follow the container: from network to network, over a restart
// by policy, through a pause.
func TestNetworkPublishLife(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "na")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "nb")
	at := s.client.gateway + ":" + s.port(0)
	reached := func(what string) {
		t.Helper()
		s.eventually(what, func() bool { name, _, err := s.client.ask("tcp", at, limit); return err == nil && name == "web" })
		s.here.reaches("tcp", "127.0.0.1:"+s.port(0), "web")
		s.here.reaches("udp", "[::1]:"+s.port(0), "web")
		s.client.reaches("udp", at, "web")
	}
	s.serves("web", "--network", "na", "--restart", "always", "-p", s.port(0)+":80", "-p", s.port(0)+":80/udp")
	reached("started")
	s.ok("network", "connect", "nb", "web")
	reached("connected")
	s.ok("network", "disconnect", "na", "web")
	reached("disconnected from the first")
	s.ok("restart", "-t", "0", "web")
	reached("restarted")
	killProcess(s.host, "web")
	s.eventually("its next life", func() bool { return s.inspect("web", "{{.RestartCount}} {{.State.Running}}") == "1 true" })
	reached("restarted by policy")
	s.ok("pause", "web")
	s.client.isCutOff("tcp", at)
	s.ok("unpause", "web")
	reached("unpaused")
	s.ok("rename", "web", "www")
	reached("renamed")
	s.ok("stop", "-t", "0", "www")
	s.client.isCutOff("tcp", at)
	s.client.isCutOff("udp", at)
	s.here.isCutOff("tcp", "127.0.0.1:"+s.port(0))
	s.ok("start", "www")
	reached("started again")

	// A flow of datagrams that began before the container was there, and one that
	// outlives it, reach who publishes the port now.
	s.ok("rm", "-f", "www")
	s.client.isCutOff("udp", at)
	s.serves("web", "-p", s.port(0)+":80/udp")
	s.client.reaches("udp", at, "web")
	s.ok("rm", "-f", "web")
	s.serves("second", "-p", s.port(0)+":80/udp")
	s.client.reaches("udp", at, "second")
}
