package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	api "github.com/moby/moby/api/types/network"

	"minidocker/mydocker/network/ipam"
)

// checkSubnets refuses what a bridge cannot have.
func checkSubnets(n *Network) error {
	var v4, v6 int
	for _, c := range n.IPAM.Config {
		switch {
		case !c.Subnet.IsValid():
			return errors.New("invalid network config: a gateway or an ip-range needs a subnet")
		case c.Subnet != c.Subnet.Masked():
			return fmt.Errorf("invalid network config:\ninvalid subnet %s: it should be %s", c.Subnet, c.Subnet.Masked())
		case c.Subnet.Addr().Is4():
			v4++
		default:
			v6++
		}
	}
	switch {
	case v4 > 1 || v6 > 1:
		return fmt.Errorf("network %s: one subnet of each family is supported", n.Name)
	case v6 > 0 && !n.EnableIPv6:
		return fmt.Errorf("network %s: an IPv6 subnet needs --ipv6", n.Name)
	}
	return nil
}

// complete checks the network's subnets and fills in what was not asked for.
func complete(n *Network) error {
	for i := range n.IPAM.Config {
		c := &n.IPAM.Config[i]
		pool := ipam.Pool{Subnet: c.Subnet, Range: c.IPRange, Gateway: c.Gateway, Aux: c.AuxAddress}
		if err := pool.Complete(); err != nil {
			return err
		}
		c.Subnet, c.Gateway = pool.Subnet, pool.Gateway
	}
	return nil
}

// leaseFree leases a subnet that is free.
func (s *Store) leaseFree(owner ipam.Owner, v6 bool) (netip.Prefix, error) {
	pools := slices.DeleteFunc(slices.Clone(s.AddressPools), func(p ipam.AddressPool) bool { return p.Base.Addr().Is4() == v6 })
	switch {
	case len(pools) == 0 && v6:
		return ipam.UniqueLocal(owner.Network), nil
	case len(pools) == 0:
		pools = ipam.DefaultPools()
	}
	avoid, err := ipam.HostRoutes()
	if err != nil {
		return netip.Prefix{}, err
	}
	return ipam.LeaseFree(HostDir, owner, pools, avoid)
}

// leaseAsked leases the subnets of pools.
func (s *Store) leaseAsked(owner ipam.Owner, pools []ipam.Pool) error {
	var subnets []netip.Prefix
	for _, pool := range pools {
		subnets = append(subnets, pool.Subnet)
	}
	return ipam.Lease(HostDir, owner, subnets...)
}

// dropStale gives back the subnets of engines whose root was deleted, and of networks of
// our own that were never finished: the caller holds the lock, so nobody is making one.
func (s *Store) dropStale() error {
	leases, err := ipam.Leases(HostDir)
	for _, owner := range leases {
		path := owner.Root
		if owner.Root == s.root {
			path = s.path(owner.Network)
		}
		if _, gone := os.Stat(path); errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, ipam.Release(HostDir, owner.Root, owner.Network))
		}
	}
	return err
}

// begin makes the default network at its first use, or anew if its bridge is to have
// another address and nobody is in it.
func (s *Store) begin(n *Network) error {
	if v4, _ := n.Gateways(); v4.IsValid() {
		all, err := s.Endpoints(n.ID)
		if err == nil && endpoints(all).running() > 0 {
			err = fmt.Errorf("its bridge is to have the address %s, but containers run with %s", s.BridgeAddress, v4)
		}
		if err == nil {
			err = s.dismantle(n)
		}
		if err != nil {
			return err
		}
		*n = *s.predefined(n.Name, n.Driver)
	}
	n.Created = time.Now().UTC()
	n.Options[optionMTU] = strconv.Itoa(uplinkMTU())
	if s.BridgeAddress != "" {
		address, err := netip.ParsePrefix(s.BridgeAddress)
		if err != nil {
			return fmt.Errorf("address of the default bridge %q: %w", s.BridgeAddress, err)
		}
		n.IPAM.Config = []api.IPAMConfig{{Subnet: address.Masked(), Gateway: address.Addr()}}
	}
	return s.establish(n)
}
