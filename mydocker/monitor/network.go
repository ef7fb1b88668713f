package monitor

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"
	"minidocker/mydocker/network"
	"minidocker/mydocker/network/dns"
	"minidocker/mydocker/network/proxy"

	"github.com/moby/moby/api/types/events"
	api "github.com/moby/moby/api/types/network"
)

// connection is what a life has of its networks.
type connection struct {
	places  []network.Place
	links   []network.Link
	servers map[string][]*dns.Server // by the network's ID
	plugged chan error               // tells once whether the links are there; nil: none are coming
}

// holdPorts reserves the host's ports, before anything else of the first life that has
// networks: what is taken is an error before anything starts. They are held until the monitor ends.
func (m *Monitor) holdPorts(networks map[string]*api.EndpointSettings) error {
	record := m.record()
	bindings := maps.Clone(record.HostConfig.PortBindings)
	if record.HostConfig.PublishAllPorts {
		if bindings == nil {
			bindings = api.PortMap{}
		}
		for port := range record.Config.ExposedPorts {
			if _, published := bindings[port]; !published {
				bindings[port] = []api.PortBinding{{}}
			}
		}
	}
	if m.ports != nil || len(bindings) == 0 || len(networks) == 0 {
		return nil
	}
	var everywhere netip.Addr
	for name := range networks {
		if n, err := m.networks.Find(name); err == nil && n.HostBinding().IsValid() {
			everywhere = n.HostBinding()
		}
	}
	var err error
	if m.ports, err = proxy.Hold(bindings, everywhere); err != nil {
		return fmt.Errorf("driver failed programming external connectivity on endpoint %s (%s): %w", record.Name, m.id(), err)
	}
	goruntime.GOMAXPROCS(min(4, goruntime.NumCPU())) // one processor is enough for a monitor, not for a proxy
	return nil
}

// member is the container as its networks need to know it.
func (m *Monitor) member() network.Member {
	record := m.record()
	member := network.Member{ID: m.id(), Name: record.Name, Hostname: record.Config.Hostname, Ports: m.ports.Bindings(),
		Alive: func(id string) bool {
			alive, err := m.store.Alive(id)
			return err != nil || alive
		}}
	for _, server := range m.nameServers() {
		member.Upstreams = append(member.Upstreams, netip.AddrPortFrom(server, 53))
	}
	return member
}

// joinNetworks leases the container's addresses and has bridges and firewall ready
// for it.
func (m *Monitor) joinNetworks(l *life) (err error) {
	if len(m.record().Networks) == 0 {
		return nil
	}
	l.places, err = m.networks.Join(m.member(), m.record().Networks)
	return err
}

// plugIn begins to make the container's links, while init goes on with its mounts: it
// needs no network before the command does. A sysctl of an interface waits for it.
func (m *Monitor) plugIn(l *life, pid int) error {
	if len(l.places) == 0 {
		return nil
	}
	l.plugged = make(chan error, 1)
	go func() { l.plugged <- m.plug(l, pid, l.places) }()
	for name := range m.record().HostConfig.Sysctls {
		if strings.Contains(name, ".eth") {
			return l.awaitPlugged()
		}
	}
	return nil
}

// awaitPlugged waits for what plugIn has begun.
func (l *life) awaitPlugged() error {
	if l.plugged == nil {
		return nil
	}
	err := <-l.plugged
	l.plugged = nil
	return err
}

func (m *Monitor) plug(l *life, pid int, places []network.Place) error {
	v6 := slices.ContainsFunc(places, func(p network.Place) bool { return p.IPv6.IsValid() })
	ns, err := network.OpenNamespace(fmt.Sprintf("/proc/%d/ns/net", pid), v6)
	if err != nil {
		return err
	}
	defer ns.Close()
	// Who may set addresses may have others than ours, and may route; and who may not open raw sockets has no others.
	bounding := l.spec.Process.Capabilities.Bounding
	guarded := slices.Contains(bounding, "CAP_NET_RAW") && !slices.Contains(bounding, "CAP_NET_ADMIN")
	for _, place := range places {
		link, err := m.networks.Plug(ns, place.Network, m.id(), place.Endpoint, guarded)
		if err != nil {
			return err
		}
		l.links = append(l.links, link)
		if !place.Named() {
			continue
		}
		servers, err := m.networks.Resolve(place.Network)
		if err != nil {
			return fmt.Errorf("names of network %s: %w", place.Network.Name, err)
		}
		if l.servers == nil {
			l.servers = map[string][]*dns.Server{}
		}
		l.servers[place.Network.ID] = servers
	}
	return nil
}

// serve lets clients of the published ports in.
func (l *life) serve(ports *proxy.Ports) {
	for _, place := range l.places {
		if place.Gateway {
			ports.Serve(place.IPv4, place.IPv6)
			return
		}
	}
	ports.Rest()
}

// disconnect is the end of a life's networks. The links go when all else is done,
// and the firewall's table if no other container comes soon: nobody has to wait for
// the kernel's milliseconds.
func (m *Monitor) disconnect(l *life) {
	l.awaitPlugged()
	m.ports.Rest()
	for _, servers := range l.servers {
		for _, server := range servers {
			server.Close()
		}
	}
	if links := l.links; len(l.places) > 0 { // of a start that failed there may be a table and no link
		m.handlers.Add(1)
		go func() {
			defer m.handlers.Done()
			err := network.Unplug(links)
			time.Sleep(tidyTime)
			if err = errors.Join(err, m.networks.Tidy()); err != nil {
				fmt.Fprintln(os.Stderr, "monitor:", err)
			}
		}()
	}
	l.connection = connection{}
}

// leaveNetworks gives up the container's places, but keeps its addresses.
func (m *Monitor) leaveNetworks() error {
	if len(m.record().Networks) == 0 {
		return nil
	}
	return m.networks.Leave(m.id())
}

// connect puts the container into one more network: at once if it runs.
func (m *Monitor) connect(name string, wish *api.EndpointSettings) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase == ended {
		return attach.ErrLeaving
	}
	n, err := m.networks.Find(name)
	if err != nil {
		return err
	}
	connected, err := m.record().Connect(n, wish)
	if err != nil {
		return err
	}
	err = m.inLife(func() error { return m.connectNow(n, connected.Networks) })
	if err == nil {
		err = m.store.SaveRecord(connected)
	}
	if err != nil {
		return err
	}
	m.settled.Store(connected)
	m.networkEvent(events.ActionConnect, n)
	return nil
}

// inLife changes the networks of the process, if there is one. If it has ended meanwhile, the
// change is for the next. The caller holds mu.
func (m *Monitor) inLife(change func() error) error {
	if m.errNoProcess() != nil {
		return nil
	}
	if err := change(); !m.life.process.Done() {
		return err
	}
	return nil
}

// connectNow connects a running container. The caller holds mu.
func (m *Monitor) connectNow(n *network.Network, all map[string]*api.EndpointSettings) error {
	l := m.life
	if err := m.holdPorts(all); err != nil {
		return err
	}
	place, err := m.networks.JoinRunning(m.member(), n.Name, all[n.Name])
	if err != nil {
		return err
	}
	if err = m.plug(l, l.process.Pid, []network.Place{place}); err != nil {
		made := l.links[len(l.places):]
		l.links = l.links[:len(l.places)]
		return errors.Join(err, network.Unplug(made), m.networks.Forget(m.id(), n.Name))
	}
	l.places = append(l.places, place)
	if m.ports != nil && len(m.state.Ports) == 0 { // it began without networks
		m.state.Ports = m.ports.Bindings()
		err = m.saveState()
	}
	return errors.Join(err, m.redirect(l, all, false), m.updateFiles(l, place, nil))
}

// leaveNetwork takes the container out of a network: at once if it runs.
func (m *Monitor) leaveNetwork(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase == ended {
		return attach.ErrLeaving
	}
	n, err := m.networks.Find(name)
	if err != nil {
		return err
	}
	left, err := m.record().Disconnect(n)
	if err != nil {
		return err
	}
	if err := m.store.SaveRecord(left); err != nil {
		return err
	}
	m.settled.Store(left)
	err = m.inLife(func() error { return m.disconnectNow(n) })
	err = errors.Join(err, m.networks.Forget(m.id(), n.Name), m.networks.Tidy())
	m.networkEvent(events.ActionDisconnect, n)
	return err
}

// disconnectNow disconnects a running container. The caller holds mu.
func (m *Monitor) disconnectNow(n *network.Network) error {
	l := m.life
	i := slices.IndexFunc(l.places, func(p network.Place) bool { return p.Network.ID == n.ID })
	if i < 0 {
		return nil
	}
	gone := l.places[i]
	err := network.Unplug(l.links[i : i+1])
	for _, server := range l.servers[n.ID] {
		server.Close()
	}
	delete(l.servers, n.ID)
	l.places, l.links = slices.Delete(l.places, i, i+1), slices.Delete(l.links, i, i+1)
	return errors.Join(err, m.redirect(l, m.record().Networks, gone.Gateway), m.updateFiles(l, network.Place{}, &gone))
}

// redirect gives a container whose networks have changed the way out that it should have;
// lost says that the one it had is gone.
func (m *Monitor) redirect(l *life, all map[string]*api.EndpointSettings, lost bool) error {
	changed, err := m.networks.Redirect(m.member(), all, l.places)
	if err != nil || !changed && !lost {
		return err
	}
	l.serve(m.ports)
	ns, err := network.OpenNamespace(fmt.Sprintf("/proc/%d/ns/net", l.process.Pid), true)
	if err != nil {
		return err
	}
	defer ns.Close()
	for _, place := range l.places {
		if place.Gateway {
			err = ns.Route(place.Network, place.Endpoint)
		}
	}
	return err
}

func (m *Monitor) networkEvent(action events.Action, n *network.Network) {
	m.journal.Append(container.NetworkEvent(action, n, m.id()))
}
