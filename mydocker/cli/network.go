package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/network"

	"minidocker/mydocker/engine"
)

type networksOptions struct {
	listing
	engine.Filters
}

func (o *networksOptions) command(s *session) *command {
	return &command{
		Usage: "List networks", ArgsUsage: "[OPTIONS]",
		Description: `mydocker network ls --filter driver=bridge --format '{{.Name}} {{.Internal}}'`,
		Flags:       o.flags("", &o.Filters),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			found, err := e.Networks(o.Filters)
			if err != nil {
				return err
			}
			return o.write(os.Stdout, found)
		}),
	}
}

// networkRow is a network in a list: the fields of network ls --format,
// https://docs.docker.com/reference/cli/docker/network/ls/#format.
type networkRow struct {
	CreatedAt, Driver, ID, IPv4, IPv6, Internal, Labels, Name, Scope string

	labels map[string]string
}

func (r networkRow) Label(key string) string { return r.labels[key] }

func (o *networksOptions) write(w io.Writer, found []network.Inspect) error {
	slices.SortFunc(found, func(a, b network.Inspect) int { return byName(a.Name, b.Name) })
	rows := make([]networkRow, len(found))
	for i, n := range found {
		rows[i] = networkRow{
			ID: n.ID, Name: n.Name, Driver: n.Driver, Scope: n.Scope, CreatedAt: n.Created.String(),
			IPv4: strconv.FormatBool(n.EnableIPv4), IPv6: strconv.FormatBool(n.EnableIPv6), Internal: strconv.FormatBool(n.Internal),
			Labels: strings.Join(assignments(n.Labels), ","), labels: n.Labels,
		}
		if !o.noTrunc {
			rows[i].ID = shortID(n.ID)
		}
	}
	return writeList(w, &o.listing, `{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}`, titles{
		"ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "CreatedAt": "CREATED AT",
		"IPv4": "IPV4", "IPv6": "IPV6", "Internal": "INTERNAL", "Labels": "LABELS",
	}, rows)
}

// networkOptions are what the flags of network create fill in.
type networkOptions struct {
	network.CreateRequest
	ipamDriver                string
	subnets, ranges, gateways []string
	aux                       map[string]string // addresses by host
}

func (o *networkOptions) command(s *session) *command {
	return &command{
		Usage: "Create a network", ArgsUsage: "[OPTIONS] NETWORK",
		Description: "mydocker network create --subnet 10.20.0.0/16 --gateway 10.20.0.1 backend",
		Flags: flags("config-from config-only ingress ipam-opt",
			boolean(&o.Attachable, "attachable", "Enable manual container attachment"),
			pairs(&o.aux, "=", "aux-address", "Addresses of the subnets that containers do not get (HOST=IP)"),
			text(&o.Driver, "d,driver", "Driver to manage the Network").or("bridge"),
			words(&o.gateways, "gateway", "IPv4 or IPv6 Gateway for the master subnet"),
			boolean(&o.Internal, "internal", "Restrict external access to the network"),
			words(&o.ranges, "ip-range", "Allocate container ip from a sub-range"),
			text(&o.ipamDriver, "ipam-driver", "IP Address Management Driver").or("default"),
			optional(&o.EnableIPv4, boolean, "ipv4", "Enable IPv4 address assignment (cannot be false)"),
			optional(&o.EnableIPv6, boolean, "ipv6", "Enable or disable IPv6 address assignment"),
			pairs(&o.Labels, "=", "label", "Set metadata on a network"),
			pairs(&o.Options, "=", "o,opt", "Set driver specific options"),
			text(&o.Scope, "scope", "Control the network's scope: local"),
			words(&o.subnets, "subnet", "Subnet in CIDR format that represents a network segment"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			o.Name = args[0]
			if err := o.check(); err != nil {
				return exit(1, "%w", err)
			}
			response, err := e.CreateNetwork(o.CreateRequest)
			if err != nil {
				return err
			}
			if response.Warning != "" {
				fmt.Fprintln(os.Stderr, "WARNING:", response.Warning)
			}
			fmt.Println(response.ID)
			return nil
		}),
	}
}

// check refuses what there is not and makes IPAM of its flags.
func (o *networkOptions) check() error {
	switch {
	case o.EnableIPv4 != nil && !*o.EnableIPv4:
		return errors.New("--ipv4=false: a network without IPv4 is not supported")
	case o.ipamDriver != "default":
		return fmt.Errorf("plugin %q not found", o.ipamDriver)
	case o.Scope != "" && o.Scope != "local":
		return fmt.Errorf("--scope %s: there are only local networks", o.Scope)
	case len(o.subnets) < max(len(o.ranges), len(o.gateways)):
		return errors.New("every ip-range or gateway must have a corresponding subnet")
	}
	configs, err := o.parseSubnets()
	o.IPAM = &network.IPAM{Driver: o.ipamDriver, Options: map[string]string{}, Config: configs}
	return err
}

// parseSubnets gives each range, gateway and reserved address to the subnet it is in.
func (o *networkOptions) parseSubnets() ([]network.IPAMConfig, error) {
	configs := []network.IPAMConfig{}
	for _, v := range o.subnets {
		subnet, err := netip.ParsePrefix(v)
		if err != nil {
			return nil, fmt.Errorf("invalid subnet %s: invalid CIDR address: %[1]s", v)
		}
		if slices.ContainsFunc(configs, func(c network.IPAMConfig) bool { return c.Subnet.Overlaps(subnet) }) {
			return nil, errors.New("multiple overlapping subnet configuration is not supported")
		}
		configs = append(configs, network.IPAMConfig{Subnet: subnet, AuxAddress: map[string]netip.Addr{}})
	}
	around := func(what, v string, address netip.Addr) (*network.IPAMConfig, error) {
		i := slices.IndexFunc(configs, func(c network.IPAMConfig) bool { return c.Subnet.Contains(address) })
		if i < 0 {
			return nil, fmt.Errorf("no matching subnet for %s %s", what, v)
		}
		return &configs[i], nil
	}
	for _, v := range o.ranges {
		some, err := netip.ParsePrefix(v)
		if err != nil {
			return nil, fmt.Errorf("invalid CIDR address: %s", v)
		}
		c, err := around("range", v, some.Addr())
		if err == nil && c.IPRange.IsValid() {
			err = fmt.Errorf("cannot configure multiple ranges (%s, %s) on the same subnet (%s)", v, c.IPRange, c.Subnet)
		}
		if err != nil {
			return nil, err
		}
		c.IPRange = some
	}
	for _, v := range o.gateways {
		gateway, _ := netip.ParseAddr(v)
		c, err := around("gateway", v, gateway)
		if err == nil && c.Gateway.IsValid() {
			err = fmt.Errorf("cannot configure multiple gateways (%s, %s) for the same subnet (%s)", v, c.Gateway, c.Subnet)
		}
		if err != nil {
			return nil, err
		}
		c.Gateway = gateway
	}
	for _, host := range slices.Sorted(maps.Keys(o.aux)) {
		address, _ := netip.ParseAddr(o.aux[host])
		c, err := around("aux-address", o.aux[host], address)
		if err != nil {
			return nil, err
		}
		c.AuxAddress[host] = address
	}
	return configs, nil
}

func networkRmCommand(s *session) *command {
	force := false
	return &command{
		Usage: "Remove one or more networks", ArgsUsage: "[OPTIONS] NETWORK [NETWORK...]",
		Description: "mydocker network rm backend frontend",
		Flags:       flags("", boolean(&force, "f,force", "Do not error if the network does not exist")),
		Action: s.action(each(func(e *engine.Engine, ref string) (string, error) {
			err := e.RemoveNetwork(ref, false)
			if force && isNoNetwork(err) { // not even its name is printed, as in Docker
				return "", nil
			}
			return ref, err
		})),
	}
}

func networkConnectCommand(s *session) *command {
	var a attachment
	var driverOpts []string
	return &command{
		Usage: "Connect a container to a network", ArgsUsage: "[OPTIONS] NETWORK CONTAINER",
		Description: "mydocker network connect --alias db backend web",
		Flags: flags("link link-local-ip",
			value(&a.ip, "string", "ip", "IPv4 address (e.g., 172.30.100.104)", parseIP),
			value(&a.ip6, "string", "ip6", "IPv6 address (e.g., 2001:db8::33)", parseIP),
			words(&a.aliases, "alias", "Add network-scoped alias for the container"),
			words(&driverOpts, "driver-opt", "driver options for the network"),
			integer(&a.priority, "gw-priority", "Highest gw-priority provides the default gateway. Accepts positive and negative values."),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			for _, v := range driverOpts {
				if !a.setDriverOpt(v) {
					return exit(1, "invalid key/value pair format in driver options")
				}
			}
			return e.ConnectNetwork(args[0], args[1], a.settings())
		}),
	}
}

func networkDisconnectCommand(s *session) *command {
	force := false
	return &command{
		Usage: "Disconnect a container from a network", ArgsUsage: "[OPTIONS] NETWORK CONTAINER",
		Description: "mydocker network disconnect backend web",
		Flags:       flags("", boolean(&force, "f,force", "Force the container to disconnect from a network")),
		Action: s.action(func(e *engine.Engine, args []string) error {
			return e.DisconnectNetwork(args[0], args[1], force)
		}),
	}
}
