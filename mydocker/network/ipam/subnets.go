package ipam

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/disk"

	"github.com/vishvananda/netlink"
)

// Owner is the network that leases a subnet: ID Network of the engine at Root. Name is for errors.
type Owner struct{ Root, Network, Name string }

// OverlapError says that a subnet shares addresses with one that is leased.
type OverlapError struct {
	Subnet, Other netip.Prefix
	Network       string // the name of the network that wants Subnet
	Owner         Owner  // of Other
}

func (e *OverlapError) Error() string {
	return fmt.Sprintf("Pool overlaps with other one on this address space: %s of network %s with %s of network %s in %s",
		e.Subnet, e.Network, e.Other, e.Owner.Name, e.Owner.Root)
}

// Lease leases subnets for a network, host-wide, all or none; what its owner has it
// may lease again. When somebody else has a part the error is an *OverlapError.
func Lease(dir string, owner Owner, subnets ...netip.Prefix) error {
	return update(dir, func(leases map[netip.Prefix]Owner) error {
		for other, holder := range leases {
			i := slices.IndexFunc(subnets, other.Overlaps)
			if i >= 0 && (holder.Root != owner.Root || holder.Network != owner.Network) {
				return &OverlapError{Subnet: subnets[i], Network: owner.Name, Other: other, Owner: holder}
			}
		}
		for _, subnet := range subnets {
			leases[subnet.Masked()] = owner
		}
		return nil
	})
}

// AddressPool is a block that is cut into subnets of one size.
type AddressPool struct {
	Base netip.Prefix
	Size int // prefix length of the subnets
}

// DefaultPools are Docker's: 172.17.0.0/16 to 172.31.0.0/16 whole, 192.168.0.0/16 as /20.
func DefaultPools() (pools []AddressPool) {
	for second := byte(17); second < 32; second++ {
		pools = append(pools, AddressPool{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, second}), 16), 16})
	}
	return append(pools, AddressPool{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168}), 16), 20})
}

// LeaseFree leases the first subnet of the pools that overlaps neither a lease nor
// one of avoid (the host's routes). The error is ErrNoSubnet when there is none.
func LeaseFree(dir string, owner Owner, pools []AddressPool, avoid []netip.Prefix) (subnet netip.Prefix, err error) {
	err = update(dir, func(leases map[netip.Prefix]Owner) error {
		used := slices.AppendSeq(slices.Clone(avoid), maps.Keys(leases))
		for _, pool := range pools {
			for addr := pool.Base.Masked().Addr(); pool.Base.Contains(addr); {
				candidate := netip.PrefixFrom(addr, pool.Size)
				i := slices.IndexFunc(used, candidate.Overlaps)
				if i < 0 {
					subnet, leases[candidate] = candidate, owner
					return nil
				}
				addr = after(netip.PrefixFrom(addr, min(used[i].Bits(), pool.Size))) // the larger of the two
			}
		}
		return ErrNoSubnet
	})
	return subnet, err
}

// after is the address that follows a prefix, the zero Addr if there is none.
func after(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last.Next()
}

// Release ends all leases of a network. That it has none is a success.
func Release(dir string, root, network string) error {
	return update(dir, func(leases map[netip.Prefix]Owner) error {
		maps.DeleteFunc(leases, func(_ netip.Prefix, o Owner) bool { return o.Root == root && o.Network == network })
		return nil
	})
}

// Leases are all leases of the host.
func Leases(dir string) (map[netip.Prefix]Owner, error) {
	leases := map[netip.Prefix]Owner{}
	if err := disk.ReadJSON(filepath.Join(dir, "subnets.json"), &leases); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return leases, nil
}

// update changes the leases under the lock; they stay as they are if change fails.
func update(dir string, change func(map[netip.Prefix]Owner) error) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := disk.Acquire(filepath.Join(dir, "subnets.lock"), disk.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	leases, err := Leases(dir)
	if err == nil {
		err = change(leases)
	}
	if err == nil {
		err = disk.WriteJSON(filepath.Join(dir, "subnets.json"), leases, disk.Volatile)
	}
	return err
}

// UniqueLocal is a /64 in fd00::/8 (RFC 4193) for a network that wants IPv6 and
// names no subnet. Its global and subnet ID are a hash of the seed.
func UniqueLocal(seed string) netip.Prefix {
	sum := sha256.Sum256([]byte(seed))
	sum[0] = 0xfd
	return netip.PrefixFrom(netip.AddrFrom16([16]byte(sum[:16])), 64).Masked()
}

// HostRoutes are the destinations the host has already: in all its routing tables
// (one has its own addresses), without default routes, also the halves of one that
// VPNs set, and its name servers (as Docker), which may lie behind a default route.
func HostRoutes() (found []netip.Prefix, err error) {
	var routes []netlink.Route
	for try := 0; try == 0 || try < 10 && errors.Is(err, netlink.ErrDumpInterrupted); try++ { // they changed meanwhile
		routes, err = netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	}
	if err != nil {
		return nil, fmt.Errorf("list the host's routes: %w", err)
	}
	for _, route := range routes {
		if prefix, err := netip.ParsePrefix(route.Dst.String()); err == nil && prefix.Bits() > 1 { // no Dst: default
			found = append(found, prefix.Masked())
		}
	}
	resolv, _ := os.ReadFile("/etc/resolv.conf") // there may be none
	for line := range strings.Lines(string(resolv)) {
		words := append(strings.Fields(line), "", "")
		if addr, err := netip.ParseAddr(words[1]); err == nil && words[0] == "nameserver" {
			found = append(found, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return found, nil
}
