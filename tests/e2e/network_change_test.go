package e2e

import (
	"net"
	"strings"
	"testing"
)

// A connect that fails leaves no link, and can be tried again.
func TestNetworkConnectFails(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "na")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "--gateway", s.addr(129), "nb")
	s.ok("run", "-d", "--name", "cc", "--network", "na", "busybox", "sleep", "1000")
	var taken net.PacketConn
	if err := s.here.do(func() (err error) { taken, err = net.ListenPacket("udp", s.addr(129)+":30053"); return err }); err != nil {
		t.Fatal(err)
	}
	s.fails(1, []string{"names of network nb", "address already in use"}, "network", "connect", "nb", "cc")
	equal(t, "interfaces", s.interfaces("cc"), "eth0 "+s.address("cc", "na")+"/26")
	taken.Close()
	s.ok("network", "connect", "nb", "cc")
	s.ok("network", "disconnect", "na", "cc")
	equal(t, "interfaces", s.addressesAt("cc"), s.address("cc", "nb")+"/26")
}

// Ports are published in the first network of a container that has started without.
func TestNetworkConnectPorts(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "na")
	s.serves("cc", "--network", "na", "-p", s.port(0)+":80")
	s.ok("network", "disconnect", "na", "cc")
	s.ok("stop", "-t", "0", "cc")
	s.ok("start", "cc")
	equal(t, "ports", s.ok("port", "cc"), "")
	s.ok("network", "connect", "na", "cc")
	equal(t, "ports", s.ok("port", "cc", "80"), "0.0.0.0:"+s.port(0)+"\n[::]:"+s.port(0))
	s.isUp("cc")
	s.client.reaches("tcp", s.client.gateway+":"+s.port(0), "cc")
	s.here.reaches("tcp", "127.0.0.1:"+s.port(0), "cc")
}

// What began without IPv6 comes into a network that has it.
func TestNetworkConnectIPv6(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "four")
	s.ok("network", "create", "--ipv6", "--subnet", s.subnet6(16), "--subnet", s.subnet("128/26"), "six")
	s.serves("cc", "--network", "four")
	s.ok("run", "-d", "--name", "beside", "--network", "six", "busybox", "sleep", "1000")
	s.ok("network", "connect", "six", "cc")
	s.in("beside").reaches("tcp", "["+s.address6("cc", "six")+"]:80", "cc")
}

// A renamed container keeps its new name when its way out changes.
func TestNetworkConnectRenamed(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nb")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "na")
	s.ok("run", "-d", "--name", "before", "--network", "nb", "--network-alias", "after", "busybox", "sleep", "1000")
	s.ok("run", "-d", "--name", "asker", "--network", "nb", "--dns", s.resolves(nil).address, "busybox", "sleep", "1000")
	s.resolved(t, "asker", "after", s.address("before", "nb"))
	s.ok("rename", "before", "after")
	s.ok("network", "connect", "na", "after")                 // by its name the way out
	s.resolved(t, "asker", "after", s.address("after", "nb")) // one address, though it is name and alias
	s.resolved(t, "asker", "before", unknownName)
}

// The link of a container whose monitor was lost goes, also if another container has
// stayed in its network namespace: the address is somebody else's next.
func TestNetworkSharedLost(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--internal", "--subnet", s.subnet("64/26"), "nn")
	for _, next := range []string{"ps -a", "run --rm --network nn busybox true", "start owner"} {
		s.ok("run", "-d", "--name", "owner", "--network", "nn", "busybox", "sleep", "1000")
		s.ok("run", "-d", "--name", "guest", "--network", "container:owner", "busybox", "sleep", "1000")
		equal(t, "interfaces", s.interfaces("guest"), "eth0 "+s.address("owner", "nn")+"/26")
		killMonitor(s.host, "owner")
		s.ok(strings.Fields(next)...)
		equal(t, "interfaces after "+next, s.interfaces("guest"), "")
		s.ok("rm", "-f", "owner", "guest")
	}
}
