package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"minidocker/mydocker/engine"
)

func portCommand(s *session) *command {
	return &command{
		Usage: "List port mappings or a specific mapping for the container", ArgsUsage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
		Description: "mydocker port web 80/tcp",
		Action: s.action(func(e *engine.Engine, args []string) error {
			c, err := e.Inspect(args[0], false)
			if err != nil {
				return err
			}
			return printPorts(os.Stdout, c.NetworkSettings.Ports, args)
		}),
	}
}

// printPorts prints where a container's ports are published. args are CONTAINER [PORT[/PROTO]].
func printPorts(w io.Writer, published network.PortMap, args []string) error {
	ports := slices.SortedFunc(maps.Keys(published), func(a, b network.Port) int {
		return cmp.Or(cmp.Compare(a.Num(), b.Num()), cmp.Compare(a.Proto(), b.Proto()))
	})
	asked := len(args) > 1 && args[1] != ""
	if asked {
		port, err := network.ParsePort(args[1])
		if err != nil {
			return err
		}
		if len(published[port]) == 0 {
			return fmt.Errorf("No public port '%s' published for %s", args[1], args[0])
		}
		ports = []network.Port{port}
	}
	for _, port := range ports {
		bindings := slices.SortedFunc(slices.Values(published[port]), func(a, b network.PortBinding) int {
			return cmp.Or(a.HostIP.Compare(b.HostIP), cmp.Compare(len(a.HostPort), len(b.HostPort)), cmp.Compare(a.HostPort, b.HostPort))
		})
		for _, b := range bindings {
			if !asked {
				fmt.Fprint(w, port, " -> ")
			}
			fmt.Fprintln(w, net.JoinHostPort(b.HostIP.String(), b.HostPort))
		}
	}
	return nil
}

// portRange is ports in a row that are published unchanged at one address, or only exposed.
type portRange struct {
	ip, proto   string
	first, last uint16
}

func (r portRange) String() string {
	ports := strconv.Itoa(int(r.first))
	if r.first < r.last {
		ports += fmt.Sprint("-", r.last)
	}
	if r.ip != "" {
		ports = net.JoinHostPort(r.ip, ports) + "->" + ports
	}
	return ports + "/" + r.proto
}

// shownPorts is the column PORTS: ranges, and then the ports that are published under another number.
func shownPorts(ports []api.PortSummary) string {
	address := func(p api.PortSummary) string {
		if !p.IP.IsValid() {
			return ""
		}
		return p.IP.String()
	}
	slices.SortFunc(ports, func(a, b api.PortSummary) int {
		return cmp.Or(cmp.Compare(a.PrivatePort, b.PrivatePort), cmp.Compare(address(a), address(b)),
			cmp.Compare(a.PublicPort, b.PublicPort), cmp.Compare(a.Type, b.Type))
	})
	var shown, moved []string
	var open []portRange // one for each address and protocol
	for _, p := range ports {
		now := portRange{address(p), p.Type, p.PrivatePort, p.PrivatePort}
		if now.ip != "" && p.PublicPort != p.PrivatePort {
			moved = append(moved, fmt.Sprintf("%s->%d/%s", net.JoinHostPort(now.ip, strconv.Itoa(int(p.PublicPort))), p.PrivatePort, p.Type))
			continue
		}
		i := slices.IndexFunc(open, func(r portRange) bool { return r.ip == now.ip && r.proto == now.proto })
		switch {
		case i < 0:
			open = append(open, now)
		case open[i].last+1 == now.last:
			open[i].last = now.last
		default:
			shown, open[i] = append(shown, open[i].String()), now
		}
	}
	for _, r := range open {
		shown = append(shown, r.String())
	}
	return strings.Join(append(shown, moved...), ", ")
}
