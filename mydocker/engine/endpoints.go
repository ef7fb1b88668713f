package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"minidocker/mydocker/container"
	"minidocker/mydocker/network"

	api "github.com/moby/moby/api/types/container"
	netapi "github.com/moby/moby/api/types/network"
)

// settleNetworks completes what was asked for of networks, checks it, and gives the
// networks the container will be in, by name.
func (e *Engine) settleNetworks(config *api.Config, host *api.HostConfig, asked map[string]*netapi.EndpointSettings) (map[string]*netapi.EndpointSettings, []string, error) {
	if host.NetworkMode == "" || host.NetworkMode == netapi.NetworkDefault {
		if wish := asked[netapi.NetworkDefault]; wish != nil {
			asked = maps.Clone(asked)
			asked[netapi.NetworkBridge] = wish
			delete(asked, netapi.NetworkDefault)
		}
		host.NetworkMode = netapi.NetworkBridge
	}
	if err := checkNetworkMode(config, host); err != nil {
		return nil, nil, err
	}
	if _, err := network.ExtraHosts(host.ExtraHosts, netip.IPv4Unspecified); err != nil {
		return nil, nil, err
	}
	mode := host.NetworkMode
	var warnings []string
	if mode.IsHost() && len(host.PortBindings) > 0 {
		warnings = append(warnings, "Published ports are discarded when using host network mode")
	}
	switch {
	case mode.IsContainer():
		if mode.ConnectedContainer() == "" {
			return nil, nil, errors.New("Invalid network mode: invalid container format container:<name|id>")
		}
		id, err := e.containers.Resolve(mode.ConnectedContainer())
		if err != nil {
			return nil, nil, err
		}
		donor, err := e.containers.Record(id)
		if err != nil {
			return nil, nil, err
		}
		host.NetworkMode = api.NetworkMode("container:" + id)
		config.Hostname, config.Domainname = donor.Config.Hostname, donor.Config.Domainname
	case !mode.IsHost() && !mode.IsNone():
		networks, err := e.endpointsAsked(string(mode), asked)
		return networks, warnings, err
	}
	if len(asked) > 1 {
		return nil, nil, fmt.Errorf("Container cannot be connected to network endpoints: %s", strings.Join(slices.Sorted(maps.Keys(asked)), ", "))
	}
	for _, wish := range asked {
		if err := checkWithoutNetwork(wish); err != nil {
			return nil, nil, err
		}
	}
	return map[string]*netapi.EndpointSettings{}, warnings, nil
}

// checkWithoutNetwork refuses what only a network of the container's own could give.
func checkWithoutNetwork(wish *netapi.EndpointSettings) error {
	switch {
	case wish == nil:
		return nil
	case wish.IPAMConfig != nil && (wish.IPAMConfig.IPv4Address.IsValid() || wish.IPAMConfig.IPv6Address.IsValid()):
		return errors.New("user specified IP address is supported on user defined networks only")
	case len(wish.MacAddress) > 0:
		return errors.New("conflicting options: mac-address and the network mode")
	case len(wish.Aliases) > 0:
		return errors.New("network-scoped aliases are only supported for user-defined networks")
	}
	return nil
}

// endpointsAsked finds the networks and checks what was asked for in each.
func (e *Engine) endpointsAsked(mode string, asked map[string]*netapi.EndpointSettings) (map[string]*netapi.EndpointSettings, error) {
	all := map[string]*netapi.EndpointSettings{mode: {}}
	for name, wish := range asked {
		all[name] = cmp.Or(wish, &netapi.EndpointSettings{})
	}
	found := map[string]*netapi.EndpointSettings{}
	for name, wish := range all {
		n, err := e.networks.Find(name)
		if err != nil {
			return nil, err
		}
		if n.Driver != "bridge" {
			return nil, errors.New("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
		}
		if err := n.CheckEndpoint(wish); err != nil {
			return nil, fmt.Errorf("invalid config for network %s: %w", n.Name, err)
		}
		found[n.Name] = wish
	}
	return found, nil
}

// checkNetworkMode refuses, in Docker's words, what makes no sense beside a network
// that is another container's.
func checkNetworkMode(config *api.Config, host *api.HostConfig) error {
	if !host.NetworkMode.IsContainer() {
		return nil
	}
	for _, check := range []struct {
		wrong bool
		words string
	}{
		{config.Hostname != "", "hostname and the network mode"},
		{len(host.DNS)+len(host.DNSSearch)+len(host.DNSOptions) > 0, "dns and the network mode"},
		{len(host.ExtraHosts) > 0, "custom host-to-IP mapping and the network mode"},
		{len(host.PortBindings) > 0 || host.PublishAllPorts, "port publishing and the container type network mode"},
		{len(config.ExposedPorts) > 0, "port exposing and the container type network mode"},
	} {
		if check.wrong {
			return errors.New("conflicting options: " + check.words)
		}
	}
	return nil
}

// networks are those of a container, as inspect shows them: with what was asked for,
// and while it runs with what it has.
func (e *Engine) shownNetworks(r *container.Record, s *container.State) (map[string]*netapi.EndpointSettings, error) {
	shown := map[string]*netapi.EndpointSettings{}
	mode := r.HostConfig.NetworkMode
	if mode.IsHost() || mode.IsNone() {
		n, err := e.networks.Find(string(mode))
		if err != nil {
			return nil, err
		}
		shown[n.Name] = &netapi.EndpointSettings{NetworkID: n.ID}
	}
	for name, wish := range r.Networks {
		shown[name] = wish.Copy()
	}
	if !running(s) || len(r.Networks) == 0 {
		return shown, nil
	}
	places, err := e.networks.Places(r.ID)
	for _, place := range places {
		end := shown[place.Network.Name]
		if end == nil { // the record was read before it came in
			continue
		}
		v4, v6 := place.Gateways()
		end.NetworkID, end.EndpointID = place.Network.ID, place.Endpoint.ID
		end.IPAddress, end.IPPrefixLen, end.MacAddress = place.IPv4, v4.Bits(), place.MAC
		if end.GlobalIPv6Address = place.IPv6; v6.IsValid() {
			end.GlobalIPv6PrefixLen = v6.Bits()
		}
		if !place.Internal {
			end.Gateway, end.IPv6Gateway = v4.Addr(), v6.Addr()
		}
		if place.Named() {
			end.DNSNames = slices.Concat([]string{place.Name}, place.Aliases)
		}
	}
	return shown, err
}

// shownPorts are those that are published, and of a running container those it exposes.
func shownPorts(r *container.Record, s *container.State) netapi.PortMap {
	ports := netapi.PortMap{}
	if !running(s) || len(r.Networks) == 0 {
		return ports
	}
	for port := range r.Config.ExposedPorts {
		ports[port] = nil
	}
	maps.Copy(ports, s.Ports)
	return ports
}

// portCondition holds for containers that publish at a port of the host, or expose, a port or one of a range:
// 80, 8000-8010/udp.
func portCondition(name, value string) (func(known) bool, error) {
	asked, err := netapi.ParsePortRange(value)
	if err != nil {
		return nil, fmt.Errorf("invalid filter '%s=%s': %w", name, value, err)
	}
	among := func(port uint16, proto netapi.IPProtocol) bool {
		return proto == asked.Proto() && asked.Start() <= port && port <= asked.End()
	}
	return func(c known) bool {
		for port := range c.Config.ExposedPorts {
			if name == "expose" && among(port.Num(), port.Proto()) {
				return true
			}
		}
		for port, bindings := range c.State.Ports {
			for _, b := range bindings {
				public, _ := strconv.ParseUint(b.HostPort, 10, 16)
				if name == "publish" && among(uint16(public), port.Proto()) {
					return true
				}
			}
		}
		return false
	}, nil
}

// portSummaries are the ports as a list shows them.
func portSummaries(r *container.Record, s *container.State) (all []api.PortSummary) {
	for port, bindings := range shownPorts(r, s) {
		if len(bindings) == 0 {
			all = append(all, api.PortSummary{PrivatePort: port.Num(), Type: string(port.Proto())})
		}
		for _, b := range bindings {
			public, _ := strconv.ParseUint(b.HostPort, 10, 16)
			all = append(all, api.PortSummary{IP: b.HostIP, PrivatePort: port.Num(), PublicPort: uint16(public), Type: string(port.Proto())})
		}
	}
	return all
}
