// Package nft keeps the one nftables table an engine has, `inet INSTANCE`:
// address translation, published ports and the isolation of networks.
//
// The table is a pure function of [Rules]. [Apply] reads what the kernel has
// and sends what differs as one transaction, which the kernel takes whole or
// not at all, so a crash leaves the table as it was before or as it is after.
// Beside a Docker it owns two more rules, see [AcceptInDocker].
//
// A published port is an element of a map and a network an element of sets:
// the rules themselves never change. An example, as `nft list table` prints it,
// of a default network with two ports published and an internal one:
//
//	table inet mydocker {
//		set bridges { type ifname; elements = { "mydocker0", "mydocker-8c1f2a" }; }
//		set internal { type ifname; elements = { "mydocker-8c1f2a" }; }
//		set masqueraded { type ifname; elements = { "mydocker0" }; }
//		set inside { type ifname . ifname; elements = { "mydocker0" . "mydocker0", "mydocker-8c1f2a" . "mydocker-8c1f2a" }; }
//		set resolvers4 { type ifname . ipv4_addr . inet_proto . inet_service;
//			elements = { "mydocker-8c1f2a" . 172.19.0.1 . tcp . 53, "mydocker-8c1f2a" . 172.19.0.1 . udp . 53 }; }
//		set resolvers6 { type ifname . ipv6_addr . inet_proto . inet_service; }
//		map published4 { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 8080 : 172.18.0.2 . 80 }; }
//		map published4_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;
//			elements = { 192.0.2.10 . udp . 5353 : 172.18.0.2 . 53 }; }
//		map published6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
//		map published6_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
//
//		chain publish {
//			dnat ip to ip daddr . meta l4proto . th dport map @published4_at
//			dnat ip to meta l4proto . th dport map @published4
//			dnat ip6 to ip6 daddr . meta l4proto . th dport map @published6_at
//			dnat ip6 to meta l4proto . th dport map @published6
//		}
//		chain prerouting {
//			type nat hook prerouting priority dstnat; policy accept;
//			iifname . ip daddr . meta l4proto . th dport @resolvers4 redirect to :30053
//			iifname . ip6 daddr . meta l4proto . th dport @resolvers6 redirect to :30053
//			fib daddr type local jump publish
//		}
//		chain output {
//			type nat hook output priority -100; policy accept;
//			ip daddr 127.0.0.0/8 return
//			ip6 daddr ::1 return
//			fib daddr type local jump publish
//		}
//		chain forward {
//			type filter hook forward priority filter; policy accept;
//			iifname != @bridges oifname != @bridges accept
//			ct state established,related accept
//			iifname . oifname @inside accept
//			iifname @internal drop
//			oifname @internal drop
//			ct status dnat accept
//			iifname @bridges oifname != @bridges accept
//			drop
//		}
//		chain postrouting {
//			type nat hook postrouting priority srcnat; policy accept;
//			iifname . oifname @inside ct status dnat masquerade
//			iif 0 fib saddr type != local oifname @bridges ct status dnat masquerade
//			iifname @masqueraded oifname != @bridges masquerade
//		}
//	}
//
// The last rule of forward drops what comes from outside to a port that is not
// published, and what goes from one network to another. The first two of
// postrouting are the hairpin: a container that reaches another of its bridge,
// or itself, through the host's address must get the answer by way of the host,
// which alone can undo the translation. The second of them is for hosts with
// br_netfilter, as Docker sets it up: there the bridge itself takes such a packet
// back to the port it came from, which needs that port in hairpin mode.
package nft

import "net/netip"

// Network is what the rules need to know of a bridge.
type Network struct {
	Bridge     string     // name of the interface
	Internal   bool       // nothing is forwarded out of it or into it
	Masquerade bool       // what leaves it for elsewhere than a bridge gets the host's address
	Resolver4  netip.Addr // gateway whose port 53, udp and tcp, leads to Rules.ResolverPort; zero: none
	Resolver6  netip.Addr
}

// Port is a published port. One whose HostIP is on the loopback, or of another
// family than IP, is for a proxy: the rules leave it out.
type Port struct {
	Protocol string     // "tcp" or "udp"
	HostIP   netip.Addr // 0.0.0.0 or ::, every local address of the family except the loopback's
	HostPort uint16
	IP       netip.Addr // the container's
	Port     uint16
}

// Rules is all that a table is made of. Without networks there is no table.
type Rules struct {
	Table        string // name of the table, of family inet
	Networks     []Network
	Ports        []Port
	ResolverPort uint16 // of the host, where Network.Resolver4 and 6 lead
}
