package cli

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"minidocker/mydocker/network/proxy"
)

// attachment is a network to connect to, and the wishes for the endpoint there.
type attachment struct {
	network    string
	ip, ip6    netip.Addr
	mac        network.HardwareAddr
	aliases    []string
	driverOpts map[string]string
	priority   int
}

// networkFlags are the flags of run and create about networks, names and ports.
func (o *containerOptions) networkFlags() []*option {
	h, first := &o.host, &o.first
	h.DNS, h.DNSOptions, h.DNSSearch = []netip.Addr{}, []string{}, []string{} // inspect: [], not null
	return []*option{
		parsed("list", "add-host", "Add a custom host-to-IP mapping (host:ip)", o.addHost),
		parsed("list", "dns", "Set custom DNS servers", func(v string) error {
			server, err := parseIP(v)
			h.DNS = append(h.DNS, server)
			return err
		}),
		list(&h.DNSOptions, "dns-opt", ""),
		list(&h.DNSOptions, "dns-option", "Set DNS options"),
		parsed("list", "dns-search", "Set custom DNS search domains", o.addSearch),
		list(&o.exposed, "expose", "Expose a port or a range of ports"),
		value(&first.mac, "string", "mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)", parseMAC),
		parsed("network", "net", "", o.addNetwork),
		list(&first.aliases, "net-alias", ""),
		parsed("network", "network", "Connect a container to a network: NAME, bridge (default), host, none, container:NAME, name=NAME,ip=...,alias=...", o.addNetwork),
		list(&first.aliases, "network-alias", "Add network-scoped alias for the container"),
		value(&first.ip, "string", "ip", "IPv4 address (e.g., 172.30.100.104)", parseIP),
		value(&first.ip6, "string", "ip6", "IPv6 address (e.g., 2001:db8::33)", parseIP),
		list(&o.published, "p,publish", "Publish a container's port(s) to the host"),
		boolean(&h.PublishAllPorts, "P,publish-all", "Publish all exposed ports to random ports"),
	}
}

// addNetwork is --network NAME or --network name=NAME,alias=web,ip=10.1.0.5,...
func (o *containerOptions) addNetwork(v string) error {
	a := attachment{network: v}
	if strings.Contains(v, "=") { // which no name has
		fields, err := csv.NewReader(strings.NewReader(v)).Read()
		a.network = ""
		for i := 0; i < len(fields) && err == nil; i++ {
			err = a.set(fields[i])
		}
		if err == nil && a.network == "" {
			err = errors.New("network name/id is not specified")
		}
		if err != nil {
			return err
		}
	}
	o.networks = append(o.networks, a)
	return nil
}

func (a *attachment) set(field string) (err error) {
	key, value, ok := strings.Cut(field, "=")
	if !ok || key == "" {
		return fmt.Errorf("invalid field %s", field)
	}
	value = strings.TrimSpace(value)
	switch key = strings.ToLower(strings.TrimSpace(key)); key {
	case "name":
		a.network = value
	case "alias":
		a.aliases = append(a.aliases, value)
	case "ip":
		a.ip, err = parseIP(value)
	case "ip6":
		a.ip6, err = parseIP(value)
	case "mac-address":
		a.mac, err = parseMAC(value)
	case "driver-opt":
		if !a.setDriverOpt(value) {
			err = errors.New("invalid key value pair format in driver options")
		}
	case "gw-priority":
		if a.priority, err = strconv.Atoi(value); err != nil {
			err = fmt.Errorf("invalid gw-priority (%s): %w", value, errors.Unwrap(err))
		}
	case "link-local-ip":
		err = errors.New("link-local-ip is not supported by this version of " + name)
	default:
		err = errors.New("invalid field key " + key)
	}
	return err
}

func (a *attachment) setDriverOpt(v string) bool {
	key, value, ok := strings.Cut(v, "=")
	if key = strings.TrimSpace(key); !ok || key == "" {
		return false
	}
	if a.driverOpts == nil {
		a.driverOpts = map[string]string{}
	}
	a.driverOpts[key] = strings.TrimSpace(value)
	return true
}

// add takes over the wishes of --ip, --network-alias and the like.
func (a *attachment) add(flags attachment) error {
	for what, twice := range map[string]bool{
		"--network-alias and per-network alias":     a.aliases != nil && flags.aliases != nil,
		"--ip and per-network IPv4 address":         a.ip.IsValid() && flags.ip.IsValid(),
		"--ip6 and per-network IPv6 address":        a.ip6.IsValid() && flags.ip6.IsValid(),
		"--mac-address and per-network MAC address": a.mac != nil && flags.mac != nil,
	} {
		if twice {
			return errors.New("conflicting options: cannot specify both " + what)
		}
	}
	a.ip, a.ip6 = cmp.Or(a.ip, flags.ip), cmp.Or(a.ip6, flags.ip6)
	a.mac, a.aliases = append(a.mac, flags.mac...), append(a.aliases, flags.aliases...)
	return nil
}

// settings are the wishes as the engine takes them.
func (a *attachment) settings() *network.EndpointSettings {
	s := &network.EndpointSettings{Aliases: a.aliases, DriverOpts: a.driverOpts, GwPriority: a.priority, MacAddress: a.mac}
	if a.ip.IsValid() || a.ip6.IsValid() {
		s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: a.ip, IPv6Address: a.ip6}
	}
	return s
}

// settlePorts gives the engine the ports that -p and --expose name.
func (o *containerOptions) settlePorts() (err error) {
	c, h := &o.config, &o.host
	if c.ExposedPorts, h.PortBindings, err = proxy.ParsePublish(o.published); err != nil {
		return err
	}
	for _, v := range o.exposed {
		ports, err := proxy.ParseExpose(v)
		if err != nil {
			return err
		}
		for _, port := range ports {
			c.ExposedPorts[port] = struct{}{}
		}
	}
	return nil
}

// settleNetworks gives the engine the networks, and the wishes there are for one or
// more of them.
func (o *containerOptions) settleNetworks() error {
	if o.networks == nil {
		o.networks = []attachment{{network: network.NetworkDefault}}
	}
	if err := o.networks[0].add(o.first); err != nil {
		return err
	}
	o.host.NetworkMode = api.NetworkMode(o.networks[0].network)
	custom := o.host.NetworkMode.IsUserDefined()
	o.endpoints = map[string]*network.EndpointSettings{}
	for _, a := range o.networks {
		settings := a.settings()
		switch _, twice := o.endpoints[a.network]; {
		case strings.TrimSpace(a.network) == "":
			return errors.New("no name set for network")
		case api.NetworkMode(a.network).IsUserDefined() != custom:
			return errors.New("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
		case !custom && a.aliases != nil:
			return errors.New("network-scoped aliases are only supported for user-defined networks")
		case twice:
			return fmt.Errorf("network %q is specified multiple times", a.network)
		case len(o.networks) > 1 || !reflect.ValueOf(*settings).IsZero():
			o.endpoints[a.network] = settings
		}
	}
	return nil
}

// parseIP is an address, perhaps with blanks around it.
func parseIP(v string) (netip.Addr, error) {
	address, err := netip.ParseAddr(strings.TrimSpace(v))
	if err != nil || address.Zone() != "" {
		return address, fmt.Errorf("IP address is not correctly formatted: %s", v)
	}
	return address.Unmap(), nil
}

func parseMAC(v string) (mac network.HardwareAddr, err error) {
	if mac.UnmarshalText([]byte(strings.TrimSpace(v))) != nil {
		err = exit(125, "%s is not a valid mac address", v)
	}
	return mac, err
}

// addSearch is --dns-search DOMAIN; a dot stands for no domain at all.
func (o *containerOptions) addSearch(v string) error {
	domain := strings.TrimSpace(v)
	if domain != "." {
		domain = strings.TrimSuffix(domain, ".")
		ok, _ := regexp.MatchString(`(?i)^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`, domain)
		if !ok || len(domain) > 254 || strings.Trim(domain, "0123456789-.") == "" {
			return fmt.Errorf("%s is not a valid domain", strings.Trim(v, " "))
		}
	}
	o.host.DNSSearch = append(o.host.DNSSearch, domain)
	return nil
}

// addHost is --add-host NAME:IP or NAME=IP. The engine gets NAME:IP.
func (o *containerOptions) addHost(v string) error {
	host, ip, ok := strings.Cut(v, "=")
	if !ok {
		host, ip, ok = strings.Cut(v, ":")
	}
	if !ok || host == "" || strings.Contains(host, ":") {
		return fmt.Errorf("bad format for add-host: %q", v)
	}
	if len(ip) > 2 && ip[0] == '[' && ip[len(ip)-1] == ']' {
		ip = ip[1 : len(ip)-1]
	}
	if _, err := parseIP(ip); err != nil && ip != "host-gateway" {
		return fmt.Errorf("invalid IP address in add-host: %q", ip)
	}
	o.host.ExtraHosts = append(o.host.ExtraHosts, host+":"+ip)
	return nil
}
