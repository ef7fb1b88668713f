package nft

import (
	"encoding/binary"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A chain and its rules. A chain without a hook is one that others jump to.
type chain struct {
	nftables.Chain
	rules [][]expr.Any
}

// chains returns the chains in the order of the package comment: one that is
// jumped to must be there before the jump.
func chains(resolverPort uint16) []chain {
	accept, drop, back := &expr.Verdict{Kind: expr.VerdictAccept}, &expr.Verdict{Kind: expr.VerdictDrop}, &expr.Verdict{Kind: expr.VerdictReturn}
	dnatted := conntrack(expr.CtKeySTATUS, statusDNAT)
	masquerade := []expr.Any{&expr.Masq{}}
	toHost := compare(&expr.Fib{Register: firstWord, FlagDADDR: true, ResultADDRTYPE: true}, expr.CmpOpEq, unix.RTN_LOCAL)
	toPublish := append(toHost, &expr.Verdict{Kind: expr.VerdictJump, Chain: "publish"})
	// What br_netfilter passes from a bridge has, after routing, no interface
	// it came in by, and unlike the host's own packets a foreign source.
	bridged := append(compare(&expr.Meta{Key: expr.MetaKeyIIF, Register: firstWord}, expr.CmpOpEq, 0),
		compare(&expr.Fib{Register: firstWord, FlagSADDR: true, ResultADDRTYPE: true}, expr.CmpOpNeq, unix.RTN_LOCAL)...)
	policy := nftables.ChainPolicyAccept
	base := func(name string, t nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...[]expr.Any) chain {
		return chain{nftables.Chain{Name: name, Type: t, Hooknum: hook, Priority: priority, Policy: &policy}, rules}
	}
	return []chain{
		{nftables.Chain{Name: "publish"}, [][]expr.Any{
			dnat(unix.NFPROTO_IPV4, "published4_at", daddr4, l4proto, dport),
			dnat(unix.NFPROTO_IPV4, "published4", l4proto, dport),
			dnat(unix.NFPROTO_IPV6, "published6_at", daddr6, l4proto, dport),
			dnat(unix.NFPROTO_IPV6, "published6", l4proto, dport),
		}},
		base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest,
			slices.Concat(in("resolvers4", iifname, daddr4, l4proto, dport), redirect(resolverPort)),
			slices.Concat(in("resolvers6", iifname, daddr6, l4proto, dport), redirect(resolverPort)),
			toPublish,
		),
		base("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest,
			append(equal(net127, 127), back),
			append(equal(daddr6, net.IPv6loopback...), back),
			toPublish,
		),
		base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter,
			slices.Concat(notIn("bridges", iifname), notIn("bridges", oifname), []expr.Any{accept}),
			append(conntrack(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), accept),
			append(in("inside", iifname, oifname), accept),
			append(in("internal", iifname), drop),
			append(in("internal", oifname), drop),
			append(dnatted, accept),
			slices.Concat(in("bridges", iifname), notIn("bridges", oifname), []expr.Any{accept}),
			[]expr.Any{drop},
		),
		base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource,
			slices.Concat(in("inside", iifname, oifname), dnatted, masquerade),
			slices.Concat(bridged, in("bridges", oifname), dnatted, masquerade),
			slices.Concat(in("masqueraded", iifname), notIn("bridges", oifname), masquerade),
		),
	}
}

func sameChain(have *nftables.Chain, want chain) bool {
	if want.Hooknum == nil || have.Hooknum == nil {
		return have.Name == want.Name && have.Hooknum == want.Hooknum
	}
	return have.Name == want.Name && have.Type == want.Type && *have.Hooknum == *want.Hooknum &&
		*have.Priority == *want.Priority && *have.Policy == *want.Policy
}

// tag returns the user data of a rule. It tells rules of another version, and
// rules changed or deleted by somebody, without comparing them. nft does not
// print types of user data that it does not know.
func tag(resolverPort uint16, number int) []byte {
	data := binary.BigEndian.AppendUint32([]byte{tagType, 7}, version)
	return append(data, byte(resolverPort>>8), byte(resolverPort), byte(number))
}

const (
	version    = 0xa8b85ea1 // hash of sets and rules, which a test verifies
	tagType    = 0x6d       // libnftnl has 0 and 1
	statusDNAT = 1 << 5     // IPS_DST_NAT of nf_conntrack_common.h
	firstWord  = unix.NFT_REG32_00
)

// A field of a packet. It is loaded into as many registers of 4 bytes as it
// needs, so that fields side by side are the key of a set.
type field struct {
	meta   expr.MetaKey // or, if base is set, part of a header:
	base   expr.PayloadBase
	offset uint32
	bytes  uint32
	family byte // that the packet must be of to have it; 0: any
}

var (
	iifname = field{meta: expr.MetaKeyIIFNAME, bytes: unix.IFNAMSIZ}
	oifname = field{meta: expr.MetaKeyOIFNAME, bytes: unix.IFNAMSIZ}
	l4proto = field{meta: expr.MetaKeyL4PROTO, bytes: 1}
	dport   = field{base: expr.PayloadBaseTransportHeader, offset: 2, bytes: 2}
	daddr4  = field{base: expr.PayloadBaseNetworkHeader, offset: 16, bytes: 4, family: unix.NFPROTO_IPV4}
	daddr6  = field{base: expr.PayloadBaseNetworkHeader, offset: 24, bytes: 16, family: unix.NFPROTO_IPV6}
	net127  = field{base: expr.PayloadBaseNetworkHeader, offset: 16, bytes: 1, family: unix.NFPROTO_IPV4}
)

func load(fields ...field) (exprs []expr.Any) {
	for _, f := range fields {
		if f.family != 0 {
			exprs = append(exprs, &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: firstWord},
				&expr.Cmp{Op: expr.CmpOpEq, Register: firstWord, Data: []byte{f.family}})
		}
	}
	register := uint32(firstWord)
	for _, f := range fields {
		if f.base != 0 {
			exprs = append(exprs, &expr.Payload{DestRegister: register, Base: f.base, Offset: f.offset, Len: f.bytes})
		} else {
			exprs = append(exprs, &expr.Meta{Key: f.meta, Register: register})
		}
		register += (f.bytes + 3) / 4
	}
	return exprs
}

func in(set string, fields ...field) []expr.Any {
	return append(load(fields...), &expr.Lookup{SourceRegister: firstWord, SetName: set})
}

func notIn(set string, f field) []expr.Any {
	return append(load(f), &expr.Lookup{SourceRegister: firstWord, SetName: set, Invert: true})
}

func equal(f field, data ...byte) []expr.Any {
	return append(load(f), &expr.Cmp{Op: expr.CmpOpEq, Register: firstWord, Data: data})
}

// dnat takes the new address and port from a map; what is not in it goes on to
// the next rule.
func dnat(family uint32, set string, fields ...field) []expr.Any {
	words := uint32(1)
	if family == unix.NFPROTO_IPV6 {
		words = 4
	}
	return append(load(fields...),
		&expr.Lookup{SourceRegister: firstWord, SetName: set, DestRegister: firstWord, IsDestRegSet: true},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: firstWord, RegProtoMin: firstWord + words})
}

func redirect(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: firstWord, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Redir{RegisterProtoMin: firstWord, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED},
	}
}

// conntrack matches a connection with one of the bits.
func conntrack(key expr.CtKey, bits uint32) []expr.Any {
	mask := &expr.Bitwise{SourceRegister: firstWord, DestRegister: firstWord, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)}
	return append([]expr.Any{&expr.Ct{Key: key, Register: firstWord}}, compare(mask, expr.CmpOpNeq, 0)...)
}

// compare compares what load leaves in the first register.
func compare(load expr.Any, op expr.CmpOp, number uint32) []expr.Any {
	return []expr.Any{load, &expr.Cmp{Op: op, Register: firstWord, Data: binaryutil.NativeEndian.PutUint32(number)}}
}
