package nft

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// content is what the sets hold: by name of the set the values by keys, both as
// the kernel has them. The value of an element of a plain set is "".
type content map[string]map[string]string

// A set, or with values a map.
type set struct{ name, key, value string }

func sets() []set {
	return []set{
		{"bridges", "ifname", ""},
		{"internal", "ifname", ""},
		{"masqueraded", "ifname", ""},
		{"inside", "ifname . ifname", ""},
		{"resolvers4", "ifname . ipv4_addr . inet_proto . inet_service", ""},
		{"resolvers6", "ifname . ipv6_addr . inet_proto . inet_service", ""},
		{"published4", "inet_proto . inet_service", "ipv4_addr . inet_service"},
		{"published4_at", "ipv4_addr . inet_proto . inet_service", "ipv4_addr . inet_service"},
		{"published6", "inet_proto . inet_service", "ipv6_addr . inet_service"},
		{"published6_at", "ipv6_addr . inet_proto . inet_service", "ipv6_addr . inet_service"},
	}
}

func (s set) in(t *nftables.Table) *nftables.Set {
	key, value := nftables.MustConcatSetType(parts(s.key)...), nftables.MustConcatSetType(parts(s.value)...)
	return &nftables.Set{Table: t, Name: s.name, KeyType: key, DataType: value, IsMap: s.value != "",
		KeyByteOrder: binaryutil.NativeEndian} // without it nft prints no names of interfaces
}

// text returns an element as nft prints it.
func (s set) text(e nftables.SetElement) string {
	if s.value == "" {
		return text(s.key, string(e.Key))
	}
	return text(s.key, string(e.Key)) + " : " + text(s.value, string(e.Val))
}

// parts returns the types that a type is a concatenation of.
func parts(t string) []nftables.SetDatatype {
	return nftables.ConcatSetTypeElements(nftables.SetDatatype{Name: t})
}

// elements returns what the sets must hold.
func elements(r Rules) content {
	all := content{}
	for _, s := range sets() {
		all[s.name] = map[string]string{}
	}
	for _, n := range r.Networks {
		bridge := encode(n.Bridge)
		all["bridges"][bridge] = ""
		all["inside"][bridge+bridge] = ""
		if n.Internal {
			all["internal"][bridge] = ""
		}
		if n.Masquerade {
			all["masqueraded"][bridge] = ""
		}
		for _, protocol := range []string{"tcp", "udp"} {
			if n.Resolver4.IsValid() {
				all["resolvers4"][bridge+encode(n.Resolver4)+service(protocol, 53)] = ""
			}
			if n.Resolver6.IsValid() {
				all["resolvers6"][bridge+encode(n.Resolver6)+service(protocol, 53)] = ""
			}
		}
	}
	for _, p := range r.Ports {
		if p.HostIP.IsLoopback() || p.HostIP.BitLen() != p.IP.BitLen() {
			continue
		}
		name, key := "published4", service(p.Protocol, p.HostPort)
		if p.IP.Is6() {
			name = "published6"
		}
		if !p.HostIP.IsUnspecified() {
			name, key = name+"_at", encode(p.HostIP)+key
		}
		all[name][key] = encode(p.IP) + encode(p.Port)
	}
	return all
}

func service(protocol string, port uint16) string {
	if protocol == "udp" {
		return encode(byte(unix.IPPROTO_UDP)) + encode(port)
	}
	return encode(byte(unix.IPPROTO_TCP)) + encode(port)
}

// encode returns a part of a key or value as the kernel has it in registers:
// big endian, filled up with zeros to a multiple of 4 bytes, names to 16.
func encode(part any) string {
	switch v := part.(type) {
	case string:
		return v + strings.Repeat("\x00", max(0, unix.IFNAMSIZ-len(v)))
	case netip.Addr:
		return string(v.AsSlice())
	case uint16:
		return string([]byte{byte(v >> 8), byte(v), 0, 0})
	default:
		return string([]byte{v.(byte), 0, 0, 0})
	}
}

// text returns a key or value as nft prints it.
func text(t, encoded string) string {
	var words []string
	for _, part := range parts(t) {
		b := []byte(encoded[:part.Bytes])
		encoded = encoded[(part.Bytes+3)/4*4:]
		switch part.Name {
		case "ifname":
			words = append(words, `"`+strings.TrimRight(string(b), "\x00")+`"`)
		case "inet_proto":
			words = append(words, map[byte]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp"}[b[0]])
		case "inet_service":
			words = append(words, fmt.Sprint(binary.BigEndian.Uint16(b)))
		default:
			address, _ := netip.AddrFromSlice(b)
			words = append(words, address.String())
		}
	}
	return strings.Join(words, " . ")
}

// lacking returns the elements of a that b does not have with the same value.
func lacking(a, b map[string]string) (list []nftables.SetElement) {
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if value, ok := b[key]; !ok || value != a[key] {
			list = append(list, nftables.SetElement{Key: []byte(key), Val: []byte(a[key])})
		}
	}
	return list
}
