package network

import (
	"net/netip"
	"slices"
	"testing"

	api "github.com/moby/moby/api/types/network"
	"golang.org/x/net/bpf"
)

func TestGuardProgram(t *testing.T) {
	e := &Endpoint{}
	e.MAC, e.IPv4, e.IPv6 = api.HardwareAddr{2, 0x42, 10, 0, 0, 2}, netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2")
	mac, other := []byte(e.MAC), []byte{2, 0x42, 10, 0, 0, 3}
	local := netip.MustParseAddr("fe80::42:aff:fe00:2").AsSlice()
	v4, v6 := netip.MustParseAddr("10.0.0.3").AsSlice(), netip.MustParseAddr("fd00::3").AsSlice()
	ether := func(source []byte, kind byte, high byte, rest ...[]byte) []byte {
		return slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, source, []byte{high, kind}, slices.Concat(rest...))
	}
	arp := func(mac, ip []byte) []byte {
		return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 2}, mac, ip, make([]byte, 10))
	}
	ip6 := func(next byte, source []byte, kind byte, target []byte) []byte {
		return slices.Concat([]byte{0x60, 0, 0, 0, 0, 24, next, 255}, source, make([]byte, 16), []byte{kind, 0, 0, 0, 0, 0, 0, 0}, target)
	}
	ip4 := func(source []byte) []byte { return slices.Concat(make([]byte, 12), source, make([]byte, 4)) }
	own4, own6, none := e.IPv4.AsSlice(), e.IPv6.AsSlice(), make([]byte, 16)
	for _, test := range []struct {
		name   string
		packet []byte
		pass   bool
	}{
		{"ARP", ether(mac, 6, 8, arp(mac, own4)), true},
		{"ARP for a neighbour", ether(mac, 6, 8, arp(mac, v4)), false},
		{"ARP for the neighbour's hardware", ether(mac, 6, 8, arp(other, own4)), false},
		{"ARP by another's hardware", ether(other, 6, 8, arp(mac, own4)), false},
		{"IPv4", ether(mac, 0, 8, ip4(own4)), true},
		{"IPv4 from a neighbour", ether(mac, 0, 8, ip4(v4)), false},
		{"IPv4 by another's hardware", ether(other, 0, 8, ip4(own4)), false},
		{"IPv6", ether(mac, 0xdd, 0x86, ip6(17, own6, 0, none)), true},
		{"IPv6, link-local", ether(mac, 0xdd, 0x86, ip6(17, local, 0, none)), true},
		{"IPv6 from nobody, as to detect duplicates", ether(mac, 0xdd, 0x86, ip6(58, none, 135, own6)), true},
		{"IPv6 from a neighbour", ether(mac, 0xdd, 0x86, ip6(17, v6, 0, none)), false},
		{"solicitation", ether(mac, 0xdd, 0x86, ip6(58, own6, 135, v6)), true},
		{"advertisement", ether(mac, 0xdd, 0x86, ip6(58, local, 136, own6)), true},
		{"advertisement for a neighbour", ether(mac, 0xdd, 0x86, ip6(58, own6, 136, v6)), false},
		{"advertisement of a router", ether(mac, 0xdd, 0x86, ip6(58, local, 134, none)), false},
		{"redirect", ether(mac, 0xdd, 0x86, ip6(58, local, 137, own6)), false},
		{"spanning tree", ether(mac, 38, 0, make([]byte, 38)), false},
		{"cut off", ether(mac, 0, 8), false},
	} {
		vm, err := bpf.NewVM(guardProgram(e))
		if err != nil {
			t.Fatal(err)
		}
		got, err := vm.Run(test.packet)
		// What is too short ends the program with 0, which is dropped further on anyway.
		if pass := got == 0 && test.name != "cut off"; err != nil || pass != test.pass {
			t.Errorf("%s: %d, %v", test.name, got, err)
		}
	}
}
