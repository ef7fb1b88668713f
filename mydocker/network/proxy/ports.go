package proxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/docker/go-connections/nat"
	api "github.com/moby/moby/api/types/network"
)

// ParsePublish reads values of -p, [ip:][hostport]:port[/proto] with ranges of ports or
// published=8080,target=80,protocol=tcp: the container's ports and what each is bound
// to. Errors are worded as those of docker run.
func ParsePublish(specs []string) (api.PortSet, api.PortMap, error) {
	ports, bindings := api.PortSet{}, api.PortMap{}
	for _, spec := range specs {
		short, err := shortSyntax(spec)
		if err != nil {
			return nil, nil, err
		}
		mappings, err := nat.ParsePortSpec(short)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range mappings {
			port, err := api.ParsePort(string(m.Port))
			if err = cmp.Or(err, supported(port)); err != nil {
				return nil, nil, err
			}
			ip, _ := netip.ParseAddr(m.Binding.HostIP) // checked; zero if there is none
			ports[port] = struct{}{}
			bindings[port] = append(bindings[port], api.PortBinding{HostIP: ip, HostPort: m.Binding.HostPort})
		}
	}
	return ports, bindings, nil
}

// shortSyntax turns name=value,... into [hostport]:port/proto; mode and app_protocol
// make a difference to swarm services only.
func shortSyntax(spec string) (string, error) {
	if !strings.Contains(spec, "=") {
		return spec, nil
	}
	values := map[string]string{"published": "", "target": "", "protocol": "tcp", "mode": "", "app_protocol": ""}
	for param := range strings.SplitSeq(spec, ",") {
		name, value, given := strings.Cut(param, "=")
		if _, known := values[name]; !known || !given {
			return "", fmt.Errorf("invalid publish opts format (should be name=value but got '%s')", param)
		}
		values[name] = value
	}
	return fmt.Sprintf("%s:%s/%s", values["published"], values["target"], values["protocol"]), nil
}

// ParseExpose reads a value of --expose: port[-port][/proto].
func ParseExpose(v string) ([]api.Port, error) {
	ports, err := api.ParsePortRange(v)
	if err != nil {
		return nil, fmt.Errorf("invalid range format for --expose: %w", err)
	}
	return slices.Collect(ports.All()), nil
}

func supported(port api.Port) error {
	if proto := port.Proto(); proto != api.TCP && proto != api.UDP || port.Num() == 0 {
		return fmt.Errorf("port %s cannot be published: only ports 1-65535 of tcp and udp can", port)
	}
	return nil
}
