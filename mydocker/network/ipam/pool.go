// Package ipam chooses addresses: which of them a container gets from its network,
// and which subnet a network gets from the host.
//
// On the host it owns subnets.json and subnets.lock in the directory it is given. A
// crash leaves at most a lease whose network was never recorded: see Leases, Release.
package ipam

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// What Docker says when nothing can be had.
var (
	ErrUsedUp   = errors.New("No available addresses on this pool")
	ErrInUse    = errors.New("Address already in use")
	ErrNoSubnet = errors.New("could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network")
)

// Pool is where a network's addresses of one family come from.
type Pool struct {
	Subnet  netip.Prefix
	Range   netip.Prefix          // zero: the whole subnet
	Gateway netip.Addr            // zero: Complete chooses the first usable of the range
	Aux     map[string]netip.Addr // addresses that belong to others, by name
}

// Complete checks what the user gave, with Docker's errors, clears the host bits of
// Subnet and Range, and chooses the gateway: before it looks at Aux, as Docker does,
// so who wants the first address for something else names the gateway too.
func (p *Pool) Complete() (err error) {
	known := Pool{Subnet: p.Subnet.Masked(), Range: p.Range.Masked(), Aux: map[string]netip.Addr{}}
	if p.Range.IsValid() && (!known.Subnet.Contains(p.Range.Addr()) || p.Range.Bits() < p.Subnet.Bits()) {
		return fmt.Errorf("no matching subnet for range %s", p.Range)
	}
	check := func(what, kind string, addr netip.Addr) error {
		err := known.Check(addr)
		if err == ErrInUse {
			return fmt.Errorf("failed to allocate %s: %w", what, err)
		} else if err != nil {
			return fmt.Errorf("no matching subnet for %s %s", kind, addr)
		}
		return nil
	}
	gateway := p.Gateway
	if gateway.IsValid() {
		err = check(fmt.Sprintf("gateway (%s)", gateway), "gateway", gateway)
	} else if gateway, err = known.Pick(func(netip.Addr) bool { return false }); err != nil {
		err = fmt.Errorf("failed to allocate gateway (): %w", err)
	}
	if err != nil {
		return err
	}
	known.Gateway = gateway
	for _, name := range slices.Sorted(maps.Keys(p.Aux)) {
		addr := p.Aux[name]
		if err := check(fmt.Sprintf("secondary ip address (%s:%s)", name, addr), "aux-address", addr); err != nil {
			return err
		}
		known.Aux[name] = addr
	}
	*p = known
	return nil
}

// Pick gives the lowest address of the range that is neither taken nor reserved (see
// Check); ErrUsedUp if there is none.
func (p Pool) Pick(taken func(netip.Addr) bool) (netip.Addr, error) {
	within := cmp.Or(p.Range, p.Subnet)
	for addr := within.Masked().Addr(); within.Contains(addr); addr = addr.Next() {
		if p.Check(addr) == nil && !taken(addr) {
			return addr, nil
		}
	}
	return netip.Addr{}, ErrUsedUp
}

// Check says whether a container may have an address of the user's choice: inside
// the subnet (outside the range is fine, as in Docker) and not reserved, which is
// ErrInUse, as it is when another container has it. Reserved are gateway and Aux, in
// IPv4 network and broadcast address, in IPv6 the subnet-router anycast address (RFC 4291, 2.6.1).
func (p Pool) Check(addr netip.Addr) error {
	if !p.Subnet.Contains(addr) {
		return fmt.Errorf("Invalid address %s: It does not belong to any of this network's subnets", addr)
	}
	broadcast := addr.Is4() && !p.Subnet.Contains(addr.Next())
	if broadcast || addr == p.Subnet.Masked().Addr() || addr == p.Gateway || slices.Contains(slices.Collect(maps.Values(p.Aux)), addr) {
		return ErrInUse
	}
	return nil
}
