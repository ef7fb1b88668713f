package network

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/network"

	"minidocker/mydocker/network/nft"
)

// testNetwork has the subnet given, completed.
func testNetwork(t *testing.T, subnets ...string) *Network {
	t.Helper()
	n := &Network{}
	n.Name, n.ID, n.Driver, n.EnableIPv6 = "net", "n", "bridge", true
	for _, subnet := range subnets {
		n.IPAM.Config = append(n.IPAM.Config, api.IPAMConfig{Subnet: netip.MustParsePrefix(subnet)})
	}
	if err := complete(n); err != nil {
		t.Fatal(err)
	}
	return n
}

func asks(ip string) *api.EndpointSettings {
	if ip == "" {
		return &api.EndpointSettings{}
	}
	return &api.EndpointSettings{IPAMConfig: &api.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr(ip)}}
}

// TestLease goes through a small network: .1 is the gateway, .2 to .6 are free.
func TestLease(t *testing.T) {
	n := testNetwork(t, "10.0.0.0/29")
	all := endpoints{}
	alive := map[string]bool{}
	for _, step := range []struct{ id, wish, want, err string }{
		{"a", "", "10.0.0.2", ""},
		{"b", "", "10.0.0.3", ""},
		{"a", "", "10.0.0.2", ""}, // its own again
		{"c", "10.0.0.5", "10.0.0.5", ""},
		{"d", "10.0.0.5", "", "Address already in use: 10.0.0.5"},
		{"d", "", "10.0.0.4", ""},
		{"e", "", "10.0.0.6", ""},
		{"f", "", "", "no available IPv4 addresses on this network's address pools: net (n)"},
		{"-b", "", "", ""},        // dies, and keeps its address
		{"f", "", "10.0.0.3", ""}, // until another needs it
		{"b", "", "", "no available IPv4 addresses"},
		{"-c", "", "", ""},
		{"b", "10.0.0.5", "10.0.0.5", ""},
		{"c", "", "", "no available IPv4 addresses"},
	} {
		if id, dies := strings.CutPrefix(step.id, "-"); dies {
			alive[id], all[id].Running = false, false
			continue
		}
		e, err := all.lease(n, step.id, asks(step.wish), func(id string) bool { return alive[id] })
		if (err == nil) != (step.err == "") || err != nil && !strings.Contains(err.Error(), step.err) {
			t.Fatalf("%+v: %v", step, err)
		}
		if err != nil {
			continue
		}
		if e.IPv4.String() != step.want || e.MAC.String() != fmt.Sprintf("02:42:0a:00:00:%02x", e.IPv4.As4()[3]) {
			t.Fatalf("%+v: got %s %s", step, e.IPv4, e.MAC)
		}
		e.Running, all[step.id], alive[step.id] = true, e, true
	}
}

func TestLeaseOfALivingIsSafe(t *testing.T) {
	n := testNetwork(t, "10.0.0.0/30", "fd00:1::/64") // one address
	all := endpoints{}
	e, err := all.lease(n, "a", asks(""), nil)
	if err != nil || e.IPv6.String() != "fd00:1::2" {
		t.Fatal(e, err)
	}
	all["a"] = e // not running yet: its monitor is about to start it
	if e, err := all.lease(n, "b", asks(""), func(string) bool { return true }); err == nil {
		t.Errorf("got %v", e)
	}
	if e, err := all.lease(n, "b", asks(""), func(string) bool { return false }); err != nil || e.IPv4.String() != "10.0.0.2" {
		t.Errorf("got %v %v", e, err)
	}
}

func TestCheckEndpoint(t *testing.T) {
	n := testNetwork(t, "10.0.0.0/24")
	for _, test := range []struct {
		wish *api.EndpointSettings
		err  string
	}{
		{asks(""), ""},
		{asks("10.0.0.9"), ""},
		{asks("10.0.1.9"), "10.0.1.9"},
		{asks("10.0.0.1"), "already in use"}, // the gateway
		{&api.EndpointSettings{IPAMConfig: &api.EndpointIPAMConfig{IPv6Address: netip.MustParseAddr("fd00::1")}}, "no configured subnet"},
		{&api.EndpointSettings{Aliases: []string{"db", "a.b-c_d"}}, ""},
		{&api.EndpointSettings{Aliases: []string{"a b"}}, `invalid network alias "a b"`},
		{&api.EndpointSettings{Aliases: []string{""}}, "invalid network alias"},
		{&api.EndpointSettings{Aliases: []string{strings.Repeat("x", 64)}}, "invalid network alias"},
		{&api.EndpointSettings{DriverOpts: map[string]string{"a": "b"}}, "not supported"},
	} {
		err := n.CheckEndpoint(test.wish)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%+v: %v, want %q", test.wish, err, test.err)
		}
	}
	n.Name = "bridge"
	for _, wish := range []*api.EndpointSettings{asks("10.0.0.9"), {Aliases: []string{"db"}}} {
		if n.CheckEndpoint(wish) == nil {
			t.Errorf("%+v on the default network", wish)
		}
	}
}

func TestByPriority(t *testing.T) {
	wishes := map[string]*api.EndpointSettings{"b": {}, "a": {}, "c": {GwPriority: 1}, "d": {GwPriority: -1}}
	order := byPriority(wishes)
	if diff := cmp.Diff([]string{"c", "a", "b", "d"}, order); diff != "" {
		t.Error(diff)
	}
}

func TestRedirected(t *testing.T) {
	at := func(ip, port string) api.PortBinding {
		return api.PortBinding{HostIP: netip.MustParseAddr(ip), HostPort: port}
	}
	got := redirected(api.PortMap{api.MustParsePort("80/tcp"): {at("0.0.0.0", "8080"), at("::", "8080"), at("127.0.0.1", "9"), at("192.0.2.1", "10")}},
		&Endpoint{IPv4: netip.MustParseAddr("10.0.0.2")})
	var lines []string
	for _, p := range got {
		lines = append(lines, fmt.Sprintf("%s %s:%d %s:%d", p.Protocol, p.HostIP, p.HostPort, p.IP, p.Port))
	}
	if diff := cmp.Diff([]string{"tcp 0.0.0.0:8080 10.0.0.2:80", "tcp 192.0.2.1:10 10.0.0.2:80"}, lines); diff != "" {
		t.Error(diff)
	}
}

func TestDescribe(t *testing.T) {
	config := func(subnets ...string) *api.IPAM {
		ipam := &api.IPAM{}
		for _, subnet := range subnets {
			ipam.Config = append(ipam.Config, api.IPAMConfig{Subnet: netip.MustParsePrefix(subnet)})
		}
		return ipam
	}
	yes, no := true, false
	for _, test := range []struct {
		request api.CreateRequest
		err     string
	}{
		{api.CreateRequest{Name: "web"}, ""},
		{api.CreateRequest{Name: "web", Driver: "bridge", EnableIPv6: &yes, IPAM: config("10.0.0.0/8", "fd00::/64")}, ""},
		{api.CreateRequest{Name: " "}, "name is empty"},
		{api.CreateRequest{Name: "host"}, "predefined host network"},
		{api.CreateRequest{Name: "a/b"}, "invalid network name"},
		{api.CreateRequest{Name: "../x"}, "invalid network name"},
		{api.CreateRequest{Name: "web", Driver: "macvlan"}, "could not find plugin macvlan"},
		{api.CreateRequest{Name: "web", EnableIPv4: &no}, "without IPv4"},
		{api.CreateRequest{Name: "web", IPAM: config("10.0.0.0/24", "10.0.1.0/24")}, "one subnet of each family"},
		{api.CreateRequest{Name: "web", IPAM: config("fd00::/64")}, "needs --ipv6"},
		{api.CreateRequest{Name: "web", Options: map[string]string{"com.docker.network.driver.mtu": "60"}}, "invalid MTU"},
		{api.CreateRequest{Name: "web", Options: map[string]string{"com.docker.network.bridge.name": "a/b"}}, "no name for an interface"},
		{api.CreateRequest{Name: "web", Options: map[string]string{"nope": "1"}}, "invalid network option nope"},
	} {
		n, err := describe(test.request)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%+v: %v %v, want %q", test.request, n, err, test.err)
		}
	}
}

func TestPrefix(t *testing.T) {
	for instance, want := range map[string]string{"mydocker": "mydocker", "a": "a"} {
		if got := prefix(instance); got != want {
			t.Errorf("%s: %s", instance, got)
		}
	}
	if long := prefix("a-much-longer-one"); len(long) != 8 || long == prefix("a-much-longer-two") {
		t.Error(long)
	}
}

// Who takes a dead container's address does not get its published ports with it.
func TestLeaseOfDead(t *testing.T) {
	n := testNetwork(t, "10.0.0.0/29")
	address := netip.MustParseAddr("10.0.0.5")
	all := endpoints{"dead": {IPv4: address, Running: true, Gateway: true, Ports: []nft.Port{{Protocol: "tcp", HostPort: 80, IP: address, Port: 80}}}}
	if _, err := all.lease(n, "a", asks("10.0.0.5"), func(string) bool { return false }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Endpoint{}, all["dead"], cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
