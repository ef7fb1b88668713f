package nft

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// connect joins h to a bridge of router by a veth, as a container.
func (h host) connect(router host, bridge, address4, address6, gateway4, gateway6 string) {
	h.t.Helper()
	port := "v" + strings.TrimPrefix(h.name[strings.Index(h.name, "-"):], "-")
	router.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.name)
	router.run("ip", "link", "set", port, "master", bridge, "up")
	router.run("ip", "link", "set", port, "type", "bridge_slave", "hairpin", "on")
	h.addresses("eth0", address4, address6)
	h.run("ip", "route", "add", "default", "via", gateway4)
	h.run("ip", "route", "add", "default", "via", gateway6)
}

func (h host) addresses(link string, addresses ...string) {
	h.t.Helper()
	h.run("ip", "link", "set", link, "up")
	for _, address := range addresses {
		if strings.Contains(address, ":") {
			h.run("ip", "address", "add", address, "dev", link, "nodad")
		} else {
			h.run("ip", "address", "add", address, "dev", link)
		}
	}
}

// serve answers on a port, tcp and udp, who it is and who has asked.
func (h host) serve(name string, port int) {
	h.t.Helper()
	err := h.do(func() error {
		listener, err := net.Listen("tcp", fmt.Sprint(":", port))
		if err != nil {
			return err
		}
		h.t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(conn, name, " to ", conn.RemoteAddr().(*net.TCPAddr).IP)
				conn.Close()
			}
		}()
		socket, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			return err
		}
		h.t.Cleanup(func() { socket.Close() })
		go func() {
			buffer := make([]byte, 100)
			for {
				_, from, err := socket.ReadFromUDP(buffer)
				if err != nil {
					return
				}
				socket.WriteTo(fmt.Append(nil, name, " to ", from.IP), from)
			}
		}()
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// ask returns what an address answers, "" if nothing.
func (h host) ask(network, address string, wait time.Duration) (answer string) {
	h.do(func() error {
		conn, err := net.DialTimeout(network, address, wait)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(wait))
		if network == "udp" {
			conn.Write([]byte("?"))
		}
		buffer := make([]byte, 100)
		n, err := conn.Read(buffer)
		answer = string(buffer[:n])
		return err
	})
	return answer
}

func TestTraffic(t *testing.T) {
	for _, bridged := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+bridged, func(t *testing.T) { testTraffic(t, bridged) })
	}
}

func testTraffic(t *testing.T, bridged string) {
	router, out := newHost(t, "router"), newHost(t, "out")
	for _, name := range []string{"iptables", "ip6tables"} {
		file := "/proc/sys/net/bridge/bridge-nf-call-" + name
		if _, err := os.Stat(file); err == nil {
			router.run("sh", "-c", "echo "+bridged+" >"+file)
		} else if bridged == "1" {
			t.Skip("module br_netfilter is not loaded")
		}
	}
	router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	router.run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", out.name)
	router.addresses("uplink", "192.0.2.10/24", "2001:db8::10/64")
	out.addresses("eth0", "192.0.2.2/24", "2001:db8::2/64")
	containers := map[string]host{"router": router, "out": out}
	for i, names := range []string{"a b", "c", "d"} {
		bridge := fmt.Sprint("mydocker", i)
		router.run("ip", "link", "add", bridge, "type", "bridge")
		router.addresses(bridge, fmt.Sprintf("172.18.%d.1/24", i), fmt.Sprintf("fd00:%d::1/64", i))
		for j, name := range strings.Fields(names) {
			c := newHost(t, name)
			containers[name] = c
			c.connect(router, bridge, fmt.Sprintf("172.18.%d.%d/24", i, j+2), fmt.Sprintf("fd00:%d::%d/64", i, j+2),
				fmt.Sprintf("172.18.%d.1", i), fmt.Sprintf("fd00:%d::1", i))
			c.serve(name, 80)
		}
		out.run("ip", "route", "add", fmt.Sprintf("172.18.%d.0/24", i), "via", "192.0.2.10")
		out.run("ip", "route", "add", fmt.Sprintf("fd00:%d::/64", i), "via", "2001:db8::10")
	}
	out.serve("out", 80)
	router.serve("resolver", 30053)
	containers["a"].serve("a's own resolver", 53)

	rules := Rules{Table: "mydocker", ResolverPort: 30053, Networks: []Network{
		{Bridge: "mydocker0", Masquerade: true, Resolver4: netip.MustParseAddr("172.18.0.1"), Resolver6: netip.MustParseAddr("fd00:0::1")},
		{Bridge: "mydocker1"},
		{Bridge: "mydocker2", Internal: true, Masquerade: true, Resolver4: netip.MustParseAddr("172.18.2.1")},
	}}
	for _, protocol := range []string{"tcp", "udp"} {
		rules.Ports = append(rules.Ports,
			port(protocol, "0.0.0.0", 8080, "172.18.0.3", 80), port(protocol, "::", 8080, "fd00:0::3", 80),
			port(protocol, "192.0.2.10", 8081, "172.18.0.2", 80), port(protocol, "2001:db8::10", 8081, "fd00:0::2", 80),
			port(protocol, "0.0.0.0", 8082, "172.18.1.2", 80), port(protocol, "0.0.0.0", 8083, "172.18.2.2", 80),
		)
	}
	router.docker("iptables") // all goes as well beside a Docker, which drops what it does not know
	router.docker("ip6tables")
	if err := router.do(func() error { return AcceptInDocker("mydocker", []string{"mydocker0", "mydocker1", "mydocker2"}, true) }); err != nil {
		t.Fatal(err)
	}
	router.apply(rules)
	for _, test := range []struct{ from, to, want string }{
		{"out", "192.0.2.10:8080", "b to 192.0.2.2"},
		{"out", "[2001:db8::10]:8080", "b to 2001:db8::2"},
		{"out", "192.0.2.10:8081", "a to 192.0.2.2"},
		{"out", "[2001:db8::10]:8081", "a to 2001:db8::2"},
		{"router", "192.0.2.10:8080", "b to 192.0.2.10"},
		{"router", "[2001:db8::10]:8080", "b to 2001:db8::10"},
		{"router", "172.18.1.1:8080", "b to 172.18.1.1"},
		{"router", "127.0.0.1:8080", ""}, // for the proxy
		{"router", "[::1]:8080", ""},
		{"router", "172.18.0.1:8081", ""}, // published at another address
		{"router", "172.18.0.3:80", "b to 172.18.0.1"},

		{"a", "192.0.2.10:8080", "b"}, // of the same bridge
		{"a", "[2001:db8::10]:8080", "b"},
		{"b", "192.0.2.10:8080", "b to 172.18.0.1"}, // itself
		{"b", "[2001:db8::10]:8080", "b to fd00::1"},
		{"b", "172.18.0.1:8080", "b to 172.18.0.1"},
		{"c", "192.0.2.10:8080", "b to 172.18.1.2"}, // of another bridge
		{"c", "[2001:db8::10]:8080", "b to fd00:1::2"},
		{"c", "172.18.1.1:8080", "b to 172.18.1.2"},
		{"a", "192.0.2.10:8082", "c to 172.18.0.2"},

		{"a", "172.18.0.3:80", "b to 172.18.0.2"}, // not published:
		{"a", "[fd00:0::3]:80", "b to fd00::2"},
		{"out", "172.18.0.3:80", ""},
		{"out", "[fd00:0::3]:80", ""},
		{"a", "172.18.1.2:80", ""},
		{"c", "[fd00:0::3]:80", ""},

		{"a", "192.0.2.2:80", "out to 192.0.2.10"},
		{"a", "[2001:db8::2]:80", "out to 2001:db8::10"},
		{"c", "192.0.2.2:80", "out to 172.18.1.2"}, // not masqueraded

		{"d", "192.0.2.2:80", ""}, // internal
		{"d", "172.18.0.3:80", ""},
		{"d", "192.0.2.10:8080", ""},
		{"out", "192.0.2.10:8083", ""},
		{"a", "192.0.2.10:8083", ""},
		{"router", "172.18.2.2:80", "d to 172.18.2.1"},

		{"a", "172.18.0.1:53", "resolver to 172.18.0.2"},
		{"a", "[fd00:0::1]:53", "resolver to fd00::2"},
		{"d", "172.18.2.1:53", "resolver to 172.18.2.2"},
		{"b", "172.18.0.2:53", "a's own resolver to 172.18.0.3"},
		{"a", "172.18.1.1:53", ""}, // the gateway of another network
		{"out", "192.0.2.10:53", ""},
	} {
		for _, network := range []string{"tcp", "udp"} {
			wait := 10 * time.Second
			if test.want == "" {
				wait = 300 * time.Millisecond
			}
			answer := containers[test.from].ask(network, test.to, wait)
			if answer != test.want && (test.want != "b" || !strings.HasPrefix(answer, "b to ")) {
				t.Errorf("%s to %s/%s: %q, want %q", test.from, test.to, network, answer, test.want)
			}
		}
	}
}
