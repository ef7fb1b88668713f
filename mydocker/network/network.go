// Package network connects containers: bridges, the links from them into the
// containers, the addresses on both, and the rules of the firewall, with ipam
// (addresses), nft (rules), dns (names) and proxy (published ports) below it.
//
// On the host it owns, all named by the engine's instance:
//
//	Root/networks/<ID>.json              what a network was created with; durable
//	RunRoot/networks/<ID>/endpoints.json who is in it: addresses, names, ports
//	RunRoot/networks/lock                flock(2) for a change of any of these
//	/run/mydocker-host/                  the subnets of all engines on this host
//	bridge <prefix>0, <prefix>-<6 hex>   one for each network, from its first use on
//	links <prefix>v<n>                   the host's ends of the containers' eth0
//	nftables table inet <instance>       while any container is in a network
//
// A record of an endpoint is also the lease of its addresses: it says whether the
// container runs, and stays, for it to have the same addresses again, until the
// container is removed or another needs the address more. The rules are a function
// of the records: whoever changes a record brings the kernel's table in line.
//
// What a kill -9 of a monitor leaves: an endpoint that says it runs, and its
// published ports in the table, until the next command that looks at the container.
// The link goes with the container's network namespace, whoever dies, or if another
// container is in that with the same command. One between
// bridge and record leaves a bridge, which the next start uses.
package network

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/network"

	"minidocker/mydocker/network/ipam"
	"minidocker/mydocker/network/nft"
)

// Network is a network's record: Docker's own type, as `network inspect` shows it.
type Network struct{ api.Network }

// The bridge driver's options, by Docker's names.
const (
	optionBridge     = "com.docker.network.bridge.name"
	optionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optionICC        = "com.docker.network.bridge.enable_icc" // may its containers reach each other
	optionBinding    = "com.docker.network.bridge.host_binding_ipv4"
	optionMTU        = "com.docker.network.driver.mtu"
	optionDefault    = "com.docker.network.bridge.default_bridge"
)

// Predefined tells whether a network is there from the beginning: bridge, host, none.
func Predefined(name string) bool {
	return name == api.NetworkBridge || name == api.NetworkHost || name == api.NetworkNone
}

// Bridge is the name of the network's bridge; "": it has none.
func (n *Network) Bridge() string { return n.Options[optionBridge] }

// Named tells whether containers in the network find each other by name: in every
// one that a user made.
func (n *Network) Named() bool { return n.Driver == "bridge" && n.Name != api.NetworkBridge }

// MTU is the largest packet of the network's links that was asked for, in bytes; 0: the
// uplink's.
func (n *Network) MTU() int {
	mtu, _ := strconv.Atoi(n.Options[optionMTU])
	return mtu
}

// HostBinding is the host's address at which ports are published that ask for none;
// invalid: at all.
func (n *Network) HostBinding() netip.Addr {
	addr, _ := netip.ParseAddr(n.Options[optionBinding])
	return addr
}

func (n *Network) option(name string, otherwise bool) bool {
	value, err := strconv.ParseBool(n.Options[name])
	if err != nil {
		return otherwise
	}
	return value
}

// pools are the sources of the network's addresses: IPv4, and if it has it IPv6.
func (n *Network) pools() (v4, v6 *ipam.Pool) {
	for _, c := range n.IPAM.Config {
		pool := &ipam.Pool{Subnet: c.Subnet, Range: c.IPRange, Gateway: c.Gateway, Aux: c.AuxAddress}
		if c.Subnet.Addr().Is6() {
			v6 = pool
		} else if v4 == nil {
			v4 = pool
		}
	}
	return v4, v6
}

// Gateways are the bridge's own addresses, with the subnets' lengths; invalid if the
// network does not have the family.
func (n *Network) Gateways() (v4, v6 netip.Prefix) {
	pool4, pool6 := n.pools()
	if pool4 != nil {
		v4 = netip.PrefixFrom(pool4.Gateway, pool4.Subnet.Bits())
	}
	if pool6 != nil {
		v6 = netip.PrefixFrom(pool6.Gateway, pool6.Subnet.Bits())
	}
	return v4, v6
}

// rules is what the firewall needs to know of the network.
func (n *Network) rules() nft.Network {
	r := nft.Network{Bridge: n.Bridge(), Internal: n.Internal, Masquerade: n.option(optionMasquerade, true)}
	if v4, v6 := n.Gateways(); n.Named() {
		r.Resolver4, r.Resolver6 = v4.Addr(), v6.Addr()
	}
	return r
}

// checkOptions refuses what the bridge driver would not do.
func checkOptions(options map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		var err error
		switch name {
		case optionBridge:
			if value == "" || len(value) > 15 || strings.ContainsAny(value, "/ :%\t\n") || value == "." || value == ".." {
				err = fmt.Errorf("%q is no name for an interface", value)
			}
		case optionMasquerade, optionICC:
			_, err = strconv.ParseBool(value)
		case optionBinding:
			_, err = netip.ParseAddr(value)
		case optionMTU:
			if mtu, nerr := strconv.Atoi(value); nerr != nil || mtu < 68 || mtu > 65535 {
				err = fmt.Errorf("invalid MTU %q: from 68 to 65535", value)
			}
		default:
			err = fmt.Errorf("this option is not supported")
		}
		if err != nil {
			return fmt.Errorf("invalid network option %s: %w", name, err)
		}
	}
	return nil
}

// prefix begins the names of all interfaces of an instance. They have at most 15
// characters (IFNAMSIZ, netdevice(7)), instances may have more.
func prefix(instance string) string {
	if len(instance) <= 8 {
		return instance
	}
	sum := sha256.Sum256([]byte(instance))
	return "m" + hex.EncodeToString(sum[:])[:7]
}

// fixedID is the ID of a predefined network: the same for as long as the root lives.
func fixedID(root, name string) string {
	sum := sha256.Sum256([]byte(root + "\x00" + name))
	return hex.EncodeToString(sum[:])
}
