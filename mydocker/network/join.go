package network

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/network"

	"minidocker/mydocker/network/nft"
)

// Member is a container that joins networks.
type Member struct {
	ID, Name  string
	Hostname  string           // by which it is found too; "": none beside its short ID
	Ports     api.PortMap      // published, with the host's ports that are held
	Upstreams []netip.AddrPort // where names of elsewhere are asked; none: the host's
	// Alive tells of any container whether it has a monitor: the address of a dead one may be taken.
	Alive func(id string) bool
}

// Place is where a container is in a network.
type Place struct {
	*Network
	*Endpoint
}

// Join puts a container that is about to run into networks: each has its bridge, the
// container an endpoint in each, and the firewall knows. wishes are by the networks'
// names. The places are in the order of the interfaces. After an error nothing has
// changed but what the kernel has of the networks themselves.
func (s *Store) Join(m Member, wishes map[string]*api.EndpointSettings) ([]Place, error) {
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if err := s.reap(m); err != nil {
		return nil, err
	}
	places, err := s.places(m, wishes, 0, true)
	if err == nil {
		err = s.open(places)
	}
	if err != nil {
		return nil, errors.Join(err, s.leave(m.ID, slices.Collect(maps.Keys(wishes))))
	}
	return places, nil
}

// JoinRunning is Join of one more network for a container that runs. It is not the way
// out before Redirect.
func (s *Store) JoinRunning(m Member, name string, wish *api.EndpointSettings) (Place, error) {
	lock, err := s.lock()
	if err != nil {
		return Place{}, err
	}
	defer lock.Release()
	before, err := s.Places(m.ID)
	if err != nil {
		return Place{}, err
	}
	taken := 0
	for _, place := range before {
		number, _ := strconv.Atoi(strings.TrimPrefix(place.Interface, "eth"))
		taken = max(taken, number+1)
	}
	added, err := s.places(m, map[string]*api.EndpointSettings{name: wish}, taken, false)
	if err != nil {
		return Place{}, err
	}
	if err := s.open(added); err != nil {
		return Place{}, errors.Join(err, s.leave(m.ID, []string{name}))
	}
	return added[0], nil
}

// reap takes out of the networks whoever says that it runs and is dead: its published
// ports may be the next one's.
func (s *Store) reap(m Member) error {
	networks, err := s.List()
	for _, n := range networks {
		all, rerr := s.Endpoints(n.ID)
		var stale []string
		for id, e := range all {
			if e.Running && id != m.ID && !m.Alive(id) {
				e.leave()
				stale = append(stale, id)
			}
		}
		if len(stale) > 0 && rerr == nil {
			rerr = errors.Join(s.unplugLost(stale...), s.saveEndpoints(n.ID, all))
		}
		err = errors.Join(err, rerr)
	}
	return err
}

// places leases an endpoint in each network and makes sure that the networks are up.
// first is the number of the first interface. The first network that has a way out is
// the container's, if it needs one. The caller holds the lock.
func (s *Store) places(m Member, wishes map[string]*api.EndpointSettings, first int, needsWayOut bool) (places []Place, err error) {
	networks, err := s.List()
	if err != nil {
		return nil, err
	}
	for i, name := range byPriority(wishes) {
		n, err := find(networks, name)
		if err != nil {
			return nil, err
		}
		if n.Driver != "bridge" {
			return nil, fmt.Errorf("container cannot be connected to network %s beside others: it has no bridge", name)
		}
		if v4, _ := n.Gateways(); !v4.IsValid() || n.Name == api.NetworkBridge && s.BridgeAddress != "" && s.BridgeAddress != v4.String() {
			err = s.begin(n)
		} else {
			err = s.up(n)
		}
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", name, err)
		}
		all, err := s.Endpoints(n.ID)
		if err != nil {
			return nil, err
		}
		e, err := endpoints(all).lease(n, m.ID, wishes[name], m.Alive)
		if err != nil {
			return nil, err
		}
		e.Name, e.Interface, e.Running, e.Upstreams = m.Name, fmt.Sprint("eth", first+i), true, m.Upstreams
		e.Aliases = append(slices.Clone(wishes[name].Aliases), m.ID[:12])
		if m.Hostname != "" && !slices.Contains(append(e.Aliases, m.Name), m.Hostname) {
			e.Aliases = append(e.Aliases, m.Hostname)
		}
		place := Place{n, e}
		if needsWayOut && !n.Internal {
			place.becomeWayOut(m)
			needsWayOut = false
		}
		all[m.ID] = e
		if err := s.saveEndpoints(n.ID, all); err != nil {
			return nil, err
		}
		places = append(places, place)
	}
	return places, nil
}

// becomeWayOut makes the place the one the container's default route goes by, and at which
// its published ports arrive.
func (p Place) becomeWayOut(m Member) {
	p.Gateway, p.Ports = true, redirected(m.Ports, p.Endpoint)
}

// byPriority sorts networks as Docker does for the default route: the highest
// gw-priority first, then by name.
func byPriority(wishes map[string]*api.EndpointSettings) []string {
	return slices.SortedFunc(maps.Keys(wishes), func(a, b string) int {
		return cmp.Or(cmp.Compare(wishes[b].GwPriority, wishes[a].GwPriority), cmp.Compare(a, b))
	})
}

// Redirect chooses the way out among a running container's places after one has come or
// gone, as Join would have. changed tells whether it is another than before.
func (s *Store) Redirect(m Member, wishes map[string]*api.EndpointSettings, places []Place) (changed bool, err error) {
	lock, err := s.lock()
	if err != nil {
		return false, err
	}
	defer lock.Release()
	order := slices.DeleteFunc(byPriority(wishes), func(name string) bool {
		return !slices.ContainsFunc(places, func(p Place) bool { return p.Network.Name == name && !p.Internal })
	})
	for _, place := range places {
		isFirst := len(order) > 0 && order[0] == place.Network.Name
		if isFirst == place.Gateway {
			continue
		}
		changed = true
		place.Endpoint.Name = m.Name // it may have been renamed
		if place.Gateway, place.Ports = false, nil; isFirst {
			place.becomeWayOut(m)
		}
		if err := s.edit(m.ID, []string{place.Network.Name}, func(all endpoints) { all[m.ID] = place.Endpoint }); err != nil {
			return false, err
		}
	}
	return changed, s.open(places)
}

// open has the firewall let the traffic of places through.
func (s *Store) open(places []Place) error {
	if err := s.applyRules(false); err != nil {
		return err
	}
	for _, place := range places {
		if err := forgetFlows(place.Ports); err != nil {
			return err
		}
	}
	return nil
}

// redirected are the published ports as the firewall redirects them: those of the
// families the endpoint has, on addresses that others than the host can reach.
func redirected(ports api.PortMap, e *Endpoint) (all []nft.Port) {
	for port, bindings := range ports {
		for _, b := range bindings {
			to := e.IPv4
			if b.HostIP.Is6() {
				to = e.IPv6
			}
			number, err := strconv.ParseUint(b.HostPort, 10, 16)
			if err != nil || !to.IsValid() || b.HostIP.IsLoopback() {
				continue
			}
			all = append(all, nft.Port{Protocol: string(port.Proto()), HostIP: b.HostIP, HostPort: uint16(number), IP: to, Port: port.Num()})
		}
	}
	return all
}

// Leave takes a container that does not run any more out of its networks, or out of
// those given. It keeps its addresses. The firewall's table may stay: see Tidy.
func (s *Store) Leave(id string, networks ...string) error {
	if !s.used() {
		return nil
	}
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Release()
	return s.leave(id, networks)
}

// LeaveLost is Leave for a container whose monitor was lost, and did not unplug it.
func (s *Store) LeaveLost(id string) error {
	if !s.used() {
		return nil
	}
	return errors.Join(s.unplugLost(id), s.Leave(id))
}

func (s *Store) leave(id string, networks []string) error {
	var published []nft.Port
	err := s.edit(id, networks, func(all endpoints) {
		e := all[id]
		published = append(published, e.Ports...)
		e.leave()
	})
	return errors.Join(err, s.applyRules(published != nil), forgetFlows(published))
}

// Forget gives a container's addresses back, in all networks or in those given. The
// firewall's table may stay: see Tidy.
func (s *Store) Forget(id string, networks ...string) error {
	if !s.used() {
		return nil
	}
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Release()
	var published []nft.Port
	err = s.edit(id, networks, func(all endpoints) {
		published = append(published, all[id].Ports...)
		delete(all, id)
	})
	return errors.Join(err, s.applyRules(published != nil), forgetFlows(published))
}

// Rename gives a container's endpoints its new name.
func (s *Store) Rename(id, name string) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Release()
	return s.edit(id, nil, func(all endpoints) { all[id].Name = name })
}

// edit changes a container's endpoints in the networks of these names, or in all.
func (s *Store) edit(id string, names []string, change func(endpoints)) error {
	networks, err := s.List()
	for _, n := range networks {
		if len(names) > 0 && !slices.Contains(names, n.Name) {
			continue
		}
		all, rerr := s.Endpoints(n.ID)
		if rerr == nil && all[id] != nil {
			change(all)
			rerr = s.saveEndpoints(n.ID, all)
		}
		err = errors.Join(err, rerr)
	}
	return err
}

// Places are a running container's, in the order of its interfaces.
func (s *Store) Places(id string) (places []Place, err error) {
	networks, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, n := range networks {
		all, err := s.Endpoints(n.ID)
		if err != nil {
			return nil, err
		}
		if e := all[id]; e != nil && e.Running {
			places = append(places, Place{n, e})
		}
	}
	slices.SortFunc(places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(len(a.Interface), len(b.Interface)), cmp.Compare(a.Interface, b.Interface))
	})
	return places, nil
}
