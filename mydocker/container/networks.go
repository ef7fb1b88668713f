package container

import (
	"errors"
	"fmt"
	"maps"

	"github.com/moby/moby/api/types/events"
	netapi "github.com/moby/moby/api/types/network"

	"minidocker/mydocker/network"
)

// Connect gives the record with one more network, or Docker's reason why not.
func (r *Record) Connect(n *network.Network, wish *netapi.EndpointSettings) (*Record, error) {
	mode := r.HostConfig.NetworkMode
	switch {
	case mode.IsContainer() || mode.IsHost():
		return nil, errors.New("container sharing network namespace with another container or host cannot be connected to any other network")
	case n.Name == netapi.NetworkHost:
		return nil, errors.New("cannot connect container to host network - container must be created in host network mode")
	case mode.IsNone() || n.Name == netapi.NetworkNone:
		return nil, errors.New("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	case r.Networks[n.Name] != nil:
		return nil, fmt.Errorf("endpoint with name %s already exists in network %s", r.Name, n.Name)
	}
	if err := n.CheckEndpoint(wish); err != nil {
		return nil, err
	}
	connected := *r
	connected.Networks = maps.Clone(r.Networks)
	if connected.Networks == nil {
		connected.Networks = map[string]*netapi.EndpointSettings{}
	}
	connected.Networks[n.Name] = wish
	return &connected, nil
}

// Disconnect gives the record without a network.
func (r *Record) Disconnect(n *network.Network) (*Record, error) {
	if n.Name == netapi.NetworkHost {
		return nil, errors.New("container cannot be disconnected from host network or connected to host network")
	}
	if r.Networks[n.Name] == nil {
		return nil, fmt.Errorf("container %s is not connected to network %s", r.ID, n.Name)
	}
	left := *r
	left.Networks = maps.Clone(r.Networks)
	delete(left.Networks, n.Name)
	return &left, nil
}

// NetworkEvent is that a container has come into a network or gone, in the form
// Docker's events have.
func NetworkEvent(action events.Action, n *network.Network, id string) events.Message {
	attributes := map[string]string{"name": n.Name, "type": n.Driver}
	if id != "" {
		attributes["container"] = id
	}
	return events.Message{Type: events.NetworkEventType, Action: action, Actor: events.Actor{ID: n.ID, Attributes: attributes}}
}
