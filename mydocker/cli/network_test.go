package cli

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// recordedNetworks is what Docker's command line 28.2 sent to an engine, and printed
// of the engine's answers.
type recordedNetworks struct {
	Create []struct {
		Args    []string
		Request network.CreateRequest
		Error   string
	}
	Networks []network.Inspect
	Ls       []struct {
		Args   []string
		Output string
	}
	Columns []struct {
		Ports  []api.PortSummary
		Column string
	}
	Published network.PortMap
	Port      []struct {
		Args          []string
		Output, Error string
	}
}

func recorded(t *testing.T) (r recordedNetworks) {
	t.Helper()
	data, err := os.ReadFile("testdata/docker-network.json")
	if err != nil {
		t.Fatal(err)
	}
	decode(t, data, &r)
	return r
}

func TestNetworkCreate(t *testing.T) {
	for _, test := range recorded(t).Create {
		o := &networkOptions{}
		words, _, err := parse(o.command(nil), test.Args, true)
		if err == nil {
			o.Name = words[0]
			err = o.check()
		}
		line := strings.Join(test.Args, " ")
		switch {
		case strings.Contains(line, "--ipv4=false"):
			if err == nil {
				t.Errorf("%s: no error", line)
			}
		case test.Error != "":
			if err == nil || strings.TrimSpace(err.Error()) != test.Error {
				t.Errorf("%s: error %v, docker's %s", line, err, test.Error)
			}
		case err != nil:
			t.Errorf("%s: %v", line, err)
		default:
			equal := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
			if diff := cmp.Diff(test.Request, o.CreateRequest, equal); diff != "" {
				t.Errorf("%s (-docker +mydocker):\n%s", line, diff)
			}
		}
	}
	for args, want := range map[string]string{
		"--scope swarm n":                        "only local networks",
		"--ipam-driver x n":                      `plugin "x" not found`,
		"--subnet x n":                           "invalid subnet x",
		"--config-only n":                        "flag --config-only is not supported",
		"--subnet 10.1.0.0/16 --aux-address h n": "no matching subnet for aux-address",
	} {
		o := &networkOptions{}
		_, _, err := parse(o.command(nil), strings.Fields(args), true)
		if err == nil {
			err = o.check()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("network create %s: error %v, want %q", args, err, want)
		}
	}
}

func TestNetworkLs(t *testing.T) {
	r := recorded(t)
	for _, test := range r.Ls {
		var got strings.Builder
		o := &networksOptions{}
		setFlags(t, o.command(nil), test.Args...)
		if err := o.write(&got, r.Networks); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.Output, got.String()); diff != "" {
			t.Errorf("network ls %s (-docker +mydocker):\n%s", test.Args, diff)
		}
	}
	if keys, _ := json.Marshal(networkRow{}); strings.Contains(string(keys), "labels") {
		t.Errorf("%s", keys)
	}
}

func TestConnectFlags(t *testing.T) {
	c := networkConnectCommand(&session{})
	rest, _, err := parse(c, strings.Fields("--alias x --alias y,z --ip 10.0.0.1 --gw-priority -2 net web"), true)
	if err != nil || strings.Join(rest, " ") != "net web" {
		t.Fatalf("%v, %v", rest, err)
	}
	a := attachment{ip: netip.MustParseAddr("10.0.0.1"), ip6: netip.MustParseAddr("fd00::1"), aliases: []string{"x"}, priority: -2}
	a.setDriverOpt(" k = v ")
	got := a.settings()
	want := &network.EndpointSettings{Aliases: []string{"x"}, DriverOpts: map[string]string{"k": "v"}, GwPriority: -2,
		IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: netip.MustParseAddr("10.0.0.1"), IPv6Address: netip.MustParseAddr("fd00::1")}}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if a.setDriverOpt("x") || a.setDriverOpt("=x") {
		t.Error("an option without a name or a value is taken")
	}
}

func TestPorts(t *testing.T) {
	r := recorded(t)
	for _, test := range r.Columns {
		if got := shownPorts(test.Ports); got != test.Column {
			t.Errorf("%+v: %q, docker's %q", test.Ports, got, test.Column)
		}
	}
	for _, test := range r.Port {
		var got strings.Builder
		err := printPorts(&got, r.Published, test.Args)
		if got.String() != test.Output && test.Args[len(test.Args)-1] != "80/TCP" { // Docker 28 does not find it
			t.Errorf("port %s: %q, docker's %q", test.Args, got.String(), test.Output)
		}
		if want := test.Error; strings.HasPrefix(want, "Error: No") && got.Len() == 0 && "Error: "+err.Error() != want || err == nil && got.Len() == 0 {
			t.Errorf("port %s: error %v, docker's %s", test.Args, err, want)
		}
	}
}

func TestNetworkValues(t *testing.T) {
	o := &containerOptions{}
	for _, wrong := range []string{"name=a,b", "name=a,=b", "name=a,gw-priority=99999999999999999999", `name=a,"`} {
		if err := o.addNetwork(wrong); err == nil {
			t.Errorf("--network %s: no error", wrong)
		}
	}
	long := strings.Repeat(strings.Repeat("a", 63)+".", 4)
	for _, wrong := range []string{"", ".", "-a", "a..b", "1.2", "a_b", long} {
		if err := o.addSearch(wrong); (err == nil) != (wrong == ".") {
			t.Errorf("--dns-search %q: %v", wrong, err)
		}
	}
}
