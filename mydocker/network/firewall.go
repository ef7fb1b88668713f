package network

import (
	"minidocker/mydocker/network/nft"
)

// ResolverPort is where the names of a network are answered, on its gateway: port 53
// there is redirected to it, so that the host and containers may serve that one.
const ResolverPort = 30053

// rules are what the kernel's table should be: of the networks in which a container
// runs, and whether one of them has IPv6.
func (s *Store) rules() (r nft.Rules, v6 bool, err error) {
	r = nft.Rules{Table: s.instance, ResolverPort: ResolverPort}
	networks, err := s.List()
	if err != nil {
		return r, false, err
	}
	for _, n := range networks {
		all, err := s.Endpoints(n.ID)
		if err != nil {
			return r, false, err
		}
		if endpoints(all).running() == 0 {
			continue
		}
		r.Networks = append(r.Networks, n.rules())
		v6 = v6 || n.EnableIPv6
		for _, e := range all {
			r.Ports = append(r.Ports, e.Ports...)
		}
	}
	return r, v6, nil
}

// Blocked tells which firewalls of others drop what an instance's containers send or
// get, each with "; to open it: " and a command.
func Blocked(instance string) ([]string, error) { return nft.Blocked(prefix(instance), ResolverPort) }

// Tidy removes the firewall's table if nothing runs. Leave and Forget do not: to make
// it again costs the next start more than to wait a moment for one.
func (s *Store) Tidy() error {
	if !s.used() {
		return nil
	}
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Release()
	if r, _, err := s.rules(); err != nil || len(r.Networks) > 0 {
		return err
	}
	return s.applyRules(true)
}

// applyRules brings the firewall in line with the records; the table itself goes
// with the last network only if it is to be gone now. The caller holds the lock.
func (s *Store) applyRules(gone bool) error {
	r, v6, err := s.rules()
	if err != nil || len(r.Networks) == 0 && !gone {
		return err
	}
	if err := nft.Apply(r); err != nil {
		return err
	}
	var bridges []string
	for _, n := range r.Networks {
		bridges = append(bridges, n.Bridge)
	}
	return nft.AcceptInDocker(s.instance, bridges, v6)
}
