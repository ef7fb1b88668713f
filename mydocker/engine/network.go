package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"
	"minidocker/mydocker/network"

	"github.com/moby/moby/api/types/events"
	api "github.com/moby/moby/api/types/network"
)

// NetworkNotFoundError says that there is no such network.
type NetworkNotFoundError = network.NotFoundError

// Networks gives the networks the filters driver, id, label, name, scope, type and
// dangling let through, by name.
func (e *Engine) Networks(f Filters) ([]api.Inspect, error) {
	if err := f.check("dangling", "driver", "id", "label", "name", "scope", "type"); err != nil {
		return nil, err
	}
	match, err := matcher(f, e.networkCondition)
	if err != nil {
		return nil, err
	}
	all, err := e.networks.List()
	if err != nil {
		return nil, err
	}
	var found []api.Inspect
	for _, n := range all {
		shown, err := e.showNetwork(n)
		if err != nil {
			return nil, err
		}
		if match(shown) {
			found = append(found, shown)
		}
	}
	return found, nil
}

func (e *Engine) networkCondition(name, value string) (func(api.Inspect) bool, error) {
	switch name {
	case "id", "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter '%s=%s': %w", name, value, err)
		}
		return func(n api.Inspect) bool {
			return name == "id" && pattern.MatchString(n.ID) || name == "name" && pattern.MatchString(n.Name)
		}, nil
	case "driver":
		return func(n api.Inspect) bool { return n.Driver == value }, nil
	case "scope":
		return func(n api.Inspect) bool { return n.Scope == value }, nil
	case "label":
		return func(n api.Inspect) bool { return matchLabel(n.Labels, value) }, nil
	case "label!":
		return func(n api.Inspect) bool { return !matchLabel(n.Labels, value) }, nil
	case "until":
		limit, err := ParseTime(value, time.Now())
		return func(n api.Inspect) bool { return !n.Created.After(limit) }, err
	case "dangling":
		if !slices.Contains([]string{"true", "1", "false", "0"}, value) {
			return nil, fmt.Errorf("invalid filter 'dangling=%s'", value)
		}
		return func(n api.Inspect) bool {
			dangling := len(n.Containers) == 0 && !network.Predefined(n.Name)
			return dangling == slices.Contains([]string{"true", "1"}, value)
		}, nil
	}
	switch value { // of type
	case "builtin", "custom":
		return func(n api.Inspect) bool { return network.Predefined(n.Name) == (value == "builtin") }, nil
	}
	return nil, fmt.Errorf("invalid filter: 'type'='%s'", value)
}

// showNetwork is a network with the containers that run in it.
func (e *Engine) showNetwork(n *network.Network) (api.Inspect, error) {
	shown := api.Inspect{Network: n.Network, Containers: map[string]api.EndpointResource{}}
	all, err := e.networks.Endpoints(n.ID)
	if err != nil {
		return shown, err
	}
	v4, v6 := n.Gateways()
	for id, one := range all {
		if !one.Running {
			continue
		}
		// One whose monitor was lost is no longer there: looking takes it out.
		if state, err := e.current(id); err != nil || !running(state) {
			continue
		}
		shown.Containers[id] = api.EndpointResource{Name: one.Name, EndpointID: one.ID, MacAddress: one.MAC,
			IPv4Address: netip.PrefixFrom(one.IPv4, v4.Bits()), IPv6Address: netip.PrefixFrom(one.IPv6, v6.Bits())}
	}
	return shown, nil
}

// NetworkInspect tells all about a network.
func (e *Engine) NetworkInspect(ref string) (api.Inspect, error) {
	n, err := e.networks.Find(ref)
	if err != nil {
		return api.Inspect{}, err
	}
	shown, err := e.showNetwork(n)
	if err != nil || n.Driver == "bridge" {
		return shown, err
	}
	containers, err := e.snapshot() // host and none have no endpoints
	for _, c := range containers {
		if running(c.State) && string(c.HostConfig.NetworkMode) == n.Name {
			shown.Containers[c.ID] = api.EndpointResource{Name: c.Name}
		}
	}
	return shown, err
}

// CreateNetwork makes a network (Engine API, POST /networks/create).
func (e *Engine) CreateNetwork(r api.CreateRequest) (api.CreateResponse, error) {
	n, err := e.networks.Create(r)
	if err != nil {
		return api.CreateResponse{}, err
	}
	e.journal.Append(container.NetworkEvent(events.ActionCreate, n, ""))
	return api.CreateResponse{ID: n.ID}, nil
}

// RemoveNetwork removes a network that no container runs in. With force it is no
// error if it is not there.
func (e *Engine) RemoveNetwork(ref string, force bool) error {
	n, err := e.networks.Find(ref)
	if missing := (*network.NotFoundError)(nil); errors.As(err, &missing) && force {
		return nil
	}
	if err == nil && network.Predefined(n.Name) {
		err = fmt.Errorf("%s is a pre-defined network and cannot be removed", n.Name)
	}
	if err == nil {
		_, err = e.showNetwork(n) // lost containers do not keep it
	}
	if err == nil {
		err = e.networks.Remove(n)
	}
	if err == nil {
		e.journal.Append(container.NetworkEvent(events.ActionDestroy, n, ""))
	}
	return err
}

// PruneNetworks removes the networks that no container runs in and that the filters
// until, label and label! let through. Of the default network it
// takes the bridge, which the next container makes again.
func (e *Engine) PruneNetworks(f Filters) (report api.PruneReport, err error) {
	if err := f.check("label", "label!", "until"); err != nil {
		return report, err
	}
	match, err := matcher(f, e.networkCondition)
	all, err2 := e.networks.List()
	_, err3 := e.snapshot() // and what was lost is reconciled
	if err := errors.Join(err, err2, err3); err != nil {
		return report, err
	}
	for _, n := range all {
		if n.Driver != "bridge" || !match(api.Inspect{Network: n.Network}) {
			continue
		}
		rerr := e.networks.Remove(n)
		switch used := (*network.InUseError)(nil); {
		case rerr == nil && !network.Predefined(n.Name):
			report.NetworksDeleted = append(report.NetworksDeleted, n.Name)
		case !errors.As(rerr, &used):
			err = errors.Join(err, rerr)
		}
	}
	e.pruneEvent(events.NetworkEventType, 0)
	return report, errors.Join(err, e.networks.Tidy())
}

// ConnectNetwork puts a container into one more network, at once if it runs.
func (e *Engine) ConnectNetwork(ref, containerRef string, wish *api.EndpointSettings) error {
	if wish == nil {
		wish = &api.EndpointSettings{}
	}
	return e.changeNetworks(ref, containerRef, attach.Request{Verb: attach.Connect, Endpoint: wish}, events.ActionConnect,
		func(r *container.Record, n *network.Network) (*container.Record, error) { return r.Connect(n, wish) })
}

// DisconnectNetwork takes a container out of a network, at once if it runs. force is
// for what is left of a container that is no more.
func (e *Engine) DisconnectNetwork(ref, containerRef string, force bool) error {
	err := e.changeNetworks(ref, containerRef, attach.Request{Verb: attach.Disconnect, Force: force}, events.ActionDisconnect,
		func(r *container.Record, n *network.Network) (*container.Record, error) {
			left, err := r.Disconnect(n)
			if err == nil {
				err = e.networks.Forget(r.ID, n.Name)
			}
			return left, err
		})
	if isGone(err) && force {
		n, nerr := e.networks.Find(ref)
		if nerr != nil {
			return nerr
		}
		all, nerr := e.networks.Endpoints(n.ID)
		for id, one := range all {
			if id == containerRef || one.Name == containerRef {
				return e.networks.Forget(id, n.Name)
			}
		}
		if nerr == nil {
			err = fmt.Errorf("endpoint %s not found", containerRef)
		}
		return errors.Join(err, nerr)
	}
	return err
}

func (e *Engine) changeNetworks(ref, containerRef string, request attach.Request, action events.Action, change func(*container.Record, *network.Network) (*container.Record, error)) error {
	id, err := e.find(containerRef)
	if err != nil {
		return err
	}
	n, err := e.networks.Find(ref)
	if missing := (*NetworkNotFoundError)(nil); errors.As(err, &missing) && request.Force {
		n, err = &network.Network{}, nil // it was removed, and a container that does not run still wants it
		n.Name = ref
	}
	if err != nil {
		return err
	}
	request.Name = n.Name
	return e.change(id, request, func() error {
		record, err := e.containers.Record(id)
		if err != nil {
			return err
		}
		changed, err := change(record, n)
		if err == nil {
			err = e.containers.SaveRecord(changed)
		}
		if err == nil {
			e.journal.Append(container.NetworkEvent(action, n, id))
		}
		return err
	})
}
