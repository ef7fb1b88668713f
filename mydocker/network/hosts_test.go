package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestHosts(t *testing.T) {
	extra := []HostEntry{
		{netip.MustParseAddr("1.2.3.4"), []string{"x"}},
		{netip.MustParseAddr("fd00::5"), []string{"x"}},
	}
	own := []HostEntry{
		{netip.MustParseAddr("172.21.0.2"), HostNames("hh", "dd.org")},
		{netip.MustParseAddr("fd00:1::2"), HostNames("hh", "")},
	}
	const six = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
1.2.3.4	x
fd00::5	x
172.21.0.2	hh.dd.org hh
fd00:1::2	hh
`
	const four = `127.0.0.1	localhost
1.2.3.4	x
172.21.0.2	hh.dd.org hh
`
	if diff := cmp.Diff(six, Hosts(own, extra, true)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(four, Hosts(own, extra, false)); diff != "" {
		t.Errorf("without IPv6 (-want +got)\n%s", diff)
	}
}

func TestHostNames(t *testing.T) {
	for _, test := range []struct {
		hostname, domain string
		want             []string
	}{
		{"hh", "", []string{"hh"}},
		{"hh", "dd.org", []string{"hh.dd.org", "hh"}},
		{"hh.ex.org", "", []string{"hh.ex.org", "hh"}},
	} {
		if diff := cmp.Diff(test.want, HostNames(test.hostname, test.domain)); diff != "" {
			t.Errorf("%v (-want +got)\n%s", test, diff)
		}
	}
}

// TestExtraHosts has what the docker CLI 28 says to the same values.
func TestExtraHosts(t *testing.T) {
	for _, test := range []struct{ line, name, addr, err string }{
		{"x:1.2.3.4", "x", "1.2.3.4", ""},
		{"x=1.2.3.4", "x", "1.2.3.4", ""},
		{"x=[1.2.3.4]", "x", "1.2.3.4", ""},
		{"x:::1", "x", "::1", ""},
		{"x:[::1]", "x", "::1", ""},
		{"x=::1", "x", "::1", ""},
		{"x:FD00:0:0::1", "x", "fd00::1", ""},
		{"x: 1.2.3.4", "x", "1.2.3.4", ""},
		{"x:host-gateway", "x", "172.17.0.1", ""},
		{"x=host-gateway", "x", "172.17.0.1", ""},
		{"", "", "", `bad format for add-host: ""`},
		{"bad", "", "", `bad format for add-host: "bad"`},
		{":1.2.3.4", "", "", `bad format for add-host: ":1.2.3.4"`},
		{"x:a=1.2.3.4", "", "", `bad format for add-host: "x:a=1.2.3.4"`},
		{"bad:", "", "", `invalid IP address in add-host: ""`},
		{"x=a:1.2.3.4", "", "", `invalid IP address in add-host: "a:1.2.3.4"`},
		{"x:[::1", "", "", `invalid IP address in add-host: "[::1"`},
		{"x:1.2.3", "", "", `invalid IP address in add-host: "1.2.3"`},
		{"x=1.2.3.04", "", "", `invalid IP address in add-host: "1.2.3.04"`},
		{"x=fe80::1%eth0", "", "", `invalid IP address in add-host: "fe80::1%eth0"`},
		{"x:HOST-GATEWAY", "", "", `invalid IP address in add-host: "HOST-GATEWAY"`},
		{"x=[host-gateway]", "", "", `invalid IP address in add-host: "host-gateway"`},
	} {
		gateway := func() netip.Addr { return netip.MustParseAddr("172.17.0.1") }
		got, err := ExtraHosts([]string{test.line}, gateway)
		valid := ValidAddHost(test.line)
		if test.err != "" {
			if err == nil || err.Error() != test.err || valid == nil || valid.Error() != test.err {
				t.Errorf("%q: %v, %v, want %s", test.line, err, valid, test.err)
			}
			continue
		}
		if err != nil || valid != nil {
			t.Errorf("%q: %v, %v", test.line, err, valid)
			continue
		}
		want := []HostEntry{{netip.MustParseAddr(test.addr), []string{test.name}}}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%q (-want +got)\n%s", test.line, diff)
		}
	}
	_, err := ExtraHosts([]string{"x:host-gateway"}, func() netip.Addr { return netip.Addr{} })
	if want := "unable to derive the IP value for host-gateway"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
