package network

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"minidocker/mydocker/network/ipam"
	"minidocker/mydocker/network/nft"
)

// Leftover is something a crash left, or damage.
type Leftover struct {
	Kind   string // "bridge", "link", "lease", "rule"
	Object string
	Why    string
	Err    error // why it could not be repaired; nil: it was, or nobody asked
}

// Check looks for what belongs to no network and no container: bridges, links,
// leases of addresses and subnets, rules. exists and alive tell of a container
// whether it is there, and whether it has a monitor. With repair all is removed.
func (s *Store) Check(repair bool, exists, alive func(id string) bool) ([]Leftover, error) {
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	networks, err := s.List()
	if err != nil {
		return nil, err
	}
	c := &checker{Store: s, repair: repair, networks: networks, exists: exists, alive: alive}
	err = errors.Join(c.endpoints(), c.links(), c.subnets())
	if repair && err == nil && len(c.found) > 0 {
		err = s.applyRules(true)
	}
	return c.found, errors.Join(err, c.rules())
}

type checker struct {
	*Store
	repair        bool
	networks      []*Network
	exists, alive func(id string) bool
	found         []Leftover
}

func (c *checker) report(kind, object, why string, repair func() error) {
	var err error
	if c.repair {
		err = repair()
	}
	c.found = append(c.found, Leftover{kind, object, why, err})
}

// endpoints finds those of containers that are gone, and those that say that a dead one runs.
func (c *checker) endpoints() error {
	for _, n := range c.networks {
		all, err := c.Endpoints(n.ID)
		if err != nil {
			return err
		}
		for id, e := range all {
			object := fmt.Sprintf("%s in network %s", e.IPv4, n.Name)
			switch {
			case !c.exists(id):
				c.report("lease", object, "container "+id+" does not exist", func() error {
					delete(all, id)
					return c.saveEndpoints(n.ID, all)
				})
			case e.Running && !c.alive(id):
				c.report("lease", object, "container "+id+" does not run", func() error {
					e.leave()
					return c.saveEndpoints(n.ID, all)
				})
			}
		}
	}
	return nil
}

// links finds interfaces with a name of ours that are nobody's.
func (c *checker) links() error {
	links, err := listLinks()
	if err != nil {
		return err
	}
	for _, link := range links {
		name, mark := link.Attrs().Name, link.Attrs().Alias
		rest, ours := strings.CutPrefix(name, prefix(c.instance))
		switch {
		case !ours:
		case link.Type() == "veth" && strings.HasPrefix(rest, "v") && !c.alive(mark):
			c.report("link", name, "no container lives at its other end", func() error { return Unplug([]Link{{link.Attrs().Index, name}}) })
		case link.Type() == "bridge" && (rest == "0" || strings.HasPrefix(rest, "-")) && !slices.ContainsFunc(c.networks, func(n *Network) bool { return n.Bridge() == name && len(n.IPAM.Config) > 0 }):
			c.report("bridge", name, "no network has it", func() error { return lower(name) })
		}
	}
	return nil
}

// subnets finds those leased by this engine's networks that are gone.
func (c *checker) subnets() error {
	leases, err := ipam.Leases(HostDir)
	for subnet, owner := range leases {
		if owner.Root == c.root && !slices.ContainsFunc(c.networks, func(n *Network) bool { return n.ID == owner.Network && len(n.IPAM.Config) > 0 }) {
			c.report("subnet", subnet.String(), "network "+owner.Name+" does not exist", func() error { return ipam.Release(HostDir, c.root, owner.Network) })
		}
	}
	return err
}

// rules compares the firewall with the records.
func (c *checker) rules() error {
	r, _, err := c.Store.rules()
	if err != nil {
		return err
	}
	differences, err := nft.Compare(r)
	for _, difference := range differences {
		c.report("rule", "table inet "+c.instance, difference, func() error { return c.applyRules(true) })
	}
	return err
}
