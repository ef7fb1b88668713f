package ipam

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func prefix(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func pool(subnet, within, gateway string, aux ...string) Pool {
	p := Pool{Subnet: prefix(subnet), Range: prefix(within), Gateway: addr(gateway), Aux: map[string]netip.Addr{}}
	for i := 0; i < len(aux); i += 2 {
		p.Aux[aux[i]] = addr(aux[i+1])
	}
	return p
}

var byValue = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}

// TestComplete has the errors of docker network create (CLI 28, daemon 20.10).
func TestComplete(t *testing.T) {
	for _, test := range []struct {
		name        string
		given, want Pool
		err         string
	}{
		{"first address", pool("10.1.0.0/24", "", ""), pool("10.1.0.0/24", "", "10.1.0.1"), ""},
		{"host bits", pool("10.1.0.5/24", "10.1.0.19/28", ""), pool("10.1.0.0/24", "10.1.0.16/28", "10.1.0.16"), ""},
		{"gateway outside the range", pool("10.1.0.0/24", "10.1.0.16/28", "10.1.0.9"), pool("10.1.0.0/24", "10.1.0.16/28", "10.1.0.9"), ""},
		{"range from the first", pool("10.1.0.0/24", "10.1.0.0/25", ""), pool("10.1.0.0/24", "10.1.0.0/25", "10.1.0.1"), ""},
		{"aux", pool("10.1.0.0/24", "", "", "a", "10.1.0.7"), pool("10.1.0.0/24", "", "10.1.0.1", "a", "10.1.0.7"), ""},
		{"IPv6", pool("fd00:1::/64", "", ""), pool("fd00:1::/64", "", "fd00:1::1"), ""},
		{"last of IPv6", pool("fd00:1::/64", "", "fd00:1::ffff:ffff:ffff:ffff"), pool("fd00:1::/64", "", "fd00:1::ffff:ffff:ffff:ffff"), ""},
		{"last there is", pool("255.255.255.252/30", "", "", "a", "255.255.255.254"), pool("255.255.255.252/30", "", "255.255.255.253", "a", "255.255.255.254"), ""},

		{"gateway outside", pool("10.1.0.0/24", "", "10.2.0.1"), Pool{}, "no matching subnet for gateway 10.2.0.1"},
		{"gateway of the other family", pool("10.1.0.0/24", "", "fd00::1"), Pool{}, "no matching subnet for gateway fd00::1"},
		{"network address", pool("10.1.0.0/24", "", "10.1.0.0"), Pool{}, "failed to allocate gateway (10.1.0.0): Address already in use"},
		{"broadcast address", pool("10.1.0.0/24", "", "10.1.0.255"), Pool{}, "failed to allocate gateway (10.1.0.255): Address already in use"},
		{"anycast address", pool("fd00:1::/64", "", "fd00:1::"), Pool{}, "failed to allocate gateway (fd00:1::): Address already in use"},
		{"range outside", pool("10.1.0.0/24", "10.2.0.0/28", ""), Pool{}, "no matching subnet for range 10.2.0.0/28"},
		{"range of the other family", pool("10.1.0.0/24", "fd00::/70", ""), Pool{}, "no matching subnet for range fd00::/70"},
		{"range too wide", pool("10.1.0.0/24", "10.1.0.0/16", ""), Pool{}, "no matching subnet for range 10.1.0.0/16"},
		{"range of the broadcast address", pool("10.1.0.0/24", "10.1.0.255/32", ""), Pool{}, "failed to allocate gateway (): No available addresses on this pool"},
		{"two addresses", pool("10.1.0.0/31", "", ""), Pool{}, "failed to allocate gateway (): No available addresses on this pool"},
		{"one address", pool("10.1.0.0/32", "", ""), Pool{}, "failed to allocate gateway (): No available addresses on this pool"},
		{"aux outside", pool("10.1.0.0/24", "", "", "a", "10.2.0.3"), Pool{}, "no matching subnet for aux-address 10.2.0.3"},
		{"aux is the chosen gateway", pool("10.1.0.0/24", "", "", "a", "10.1.0.1"), Pool{}, "failed to allocate secondary ip address (a:10.1.0.1): Address already in use"},
		{"aux is the gateway", pool("10.1.0.0/24", "", "10.1.0.7", "a", "10.1.0.7"), Pool{}, "failed to allocate secondary ip address (a:10.1.0.7): Address already in use"},
		{"aux is the network", pool("10.1.0.0/24", "", "", "a", "10.1.0.0"), Pool{}, "failed to allocate secondary ip address (a:10.1.0.0): Address already in use"},
		{"aux twice", pool("10.1.0.0/24", "", "", "b", "10.1.0.9", "a", "10.1.0.9"), Pool{}, "failed to allocate secondary ip address (b:10.1.0.9): Address already in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.given
			err := got.Complete()
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				test.want = test.given // untouched
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, byValue); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestPickEach takes a whole /26: each usable address comes once, in order.
func TestPickEach(t *testing.T) {
	p := pool("10.1.0.64/26", "", "10.1.0.65", "printer", "10.1.0.70")
	var want, got []string
	for i := 66; i < 127; i++ {
		if i != 70 {
			want = append(want, netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}).String())
		}
	}
	taken := map[netip.Addr]bool{}
	for {
		picked, err := p.Pick(func(a netip.Addr) bool { return taken[a] })
		if err != nil {
			if err != ErrUsedUp {
				t.Error(err)
			}
			break
		}
		if taken[picked] {
			t.Fatalf("%s twice", picked)
		}
		taken[picked] = true
		got = append(got, picked.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPick(t *testing.T) {
	for _, test := range []struct {
		name  string
		pool  Pool
		taken int // so many from the network address on
		want  string
	}{
		{"lowest of the range", pool("10.1.0.0/24", "10.1.0.16/28", "10.1.0.1"), 0, "10.1.0.16"},
		{"gateway in the range", pool("10.1.0.0/24", "10.1.0.16/28", "10.1.0.16"), 0, "10.1.0.17"},
		{"IPv6", pool("fd00:1::/64", "", "fd00:1::1"), 3000, "fd00:1::bb8"},
		{"last of IPv6", pool("fd00:1::/126", "", "fd00:1::1"), 3, "fd00:1::3"},
		{"range of IPv6", pool("fd00:1::/64", "fd00:1:0:0:5::/80", "fd00:1::1"), 0, "fd00:1::5:0:0:0"},
		{"a /16 with thousands taken", pool("10.1.0.0/16", "", "10.1.0.1"), 60000, "10.1.234.96"},
		{"used up", pool("10.1.0.0/30", "", "10.1.0.1"), 3, ""},
		{"used-up range", pool("10.1.0.0/24", "10.1.0.0/30", "10.1.0.200"), 4, ""},
		{"at the end of all addresses", pool("255.255.255.252/30", "", "255.255.255.253"), 3, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			taken := map[netip.Addr]bool{}
			for a := test.pool.Subnet.Addr(); len(taken) < test.taken; a = a.Next() {
				taken[a] = true
			}
			got, err := test.pool.Pick(func(a netip.Addr) bool { return taken[a] })
			if test.want == "" && !errors.Is(err, ErrUsedUp) || test.want != "" && err != nil {
				t.Fatal(err)
			}
			if got != addr(test.want) {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestCheck has the errors of docker run --ip.
func TestCheck(t *testing.T) {
	four := pool("10.1.0.0/24", "10.1.0.16/28", "10.1.0.16", "a", "10.1.0.17")
	six := pool("fd00:1::/64", "", "fd00:1::1")
	for _, test := range []struct {
		pool      Pool
		addr, err string
	}{
		{four, "10.1.0.1", ""},
		{four, "10.1.0.200", ""},
		{four, "10.1.0.18", ""},
		{four, "10.1.0.0", "Address already in use"},
		{four, "10.1.0.16", "Address already in use"},
		{four, "10.1.0.17", "Address already in use"},
		{four, "10.1.0.255", "Address already in use"},
		{four, "10.2.0.3", "Invalid address 10.2.0.3: It does not belong to any of this network's subnets"},
		{four, "fd00:1::5", "Invalid address fd00:1::5: It does not belong to any of this network's subnets"},
		{six, "fd00:1::5", ""},
		{six, "fd00:1::ffff:ffff:ffff:ffff", ""}, // Docker 20.10: "bit does not belong to the sequence"
		{six, "fd00:1::", "Address already in use"},
		{six, "fd00:1::1", "Address already in use"},
		{six, "fd00:2::1", "Invalid address fd00:2::1: It does not belong to any of this network's subnets"},
	} {
		got := ""
		if err := test.pool.Check(addr(test.addr)); err != nil {
			got = err.Error()
		}
		if got != test.err {
			t.Errorf("%s: %q, want %q", test.addr, got, test.err)
		}
	}
}
