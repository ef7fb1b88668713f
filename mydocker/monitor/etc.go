package monitor

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/container"
	"minidocker/mydocker/network"
	"minidocker/mydocker/network/dns"
	"minidocker/mydocker/spec"
)

// The files that are mounted over their namesakes in /etc, with their contents.
// They are rewritten in place: a bind mount shows the file, not the name, and a
// rename would leave a running container with the old one.
func (m *Monitor) writeFiles(l *life, f *spec.Facts) error {
	host := m.record().HostConfig
	owner := m.id()
	if host.NetworkMode.IsContainer() { // whose network is its, whose files are
		owner = host.NetworkMode.ConnectedContainer()
	}
	f.HostnamePath = filepath.Join(m.store.Dir(m.id()), "hostname")
	f.HostsPath, f.ResolvConfPath = m.etc(owner, "hosts"), m.etc(owner, "resolv.conf")
	name := m.hostname(f.Hostname)
	if err := writeFile(f.HostnamePath, name+"\n"); err != nil || owner != m.id() {
		return err
	}
	hosts, err := m.hosts(l, name)
	if err == nil {
		err = writeFile(f.HostsPath, hosts)
	}
	if err == nil {
		err = writeFile(f.ResolvConfPath, m.resolvConf(l))
	}
	return err
}

func (m *Monitor) etc(id, file string) string { return filepath.Join(m.store.Dir(id), file) }

func writeFile(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return fmt.Errorf("write the container's %s: %w", filepath.Base(path), err)
	}
	return nil
}

func (m *Monitor) hostname(ofHost string) string {
	name, host := container.ShortID(m.id()), m.record().HostConfig
	if host.NetworkMode.IsHost() || host.UTSMode.IsHost() {
		name = ofHost
	}
	return cmp.Or(m.record().Config.Hostname, name)
}

// hosts is /etc/hosts.
func (m *Monitor) hosts(l *life, name string) (string, error) {
	host := m.record().HostConfig
	extra, err := network.ExtraHosts(host.ExtraHosts, func() netip.Addr {
		for _, place := range l.places {
			if v4, _ := place.Gateways(); place.Gateway {
				return v4.Addr()
			}
		}
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	})
	if err != nil {
		return "", err
	}
	if !host.NetworkMode.IsHost() || len(extra) > 0 { // with --add-host not even host mode has the host's, as in Docker
		return network.Hosts(m.ownHosts(l.places, name), extra, true), nil
	}
	content, err := os.ReadFile("/etc/hosts")
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	return string(content), nil
}

// ownHosts are the lines of the container's own addresses.
func (m *Monitor) ownHosts(places []network.Place, name string) (own []network.HostEntry) {
	names := network.HostNames(name, m.record().Config.Domainname)
	for _, place := range places {
		for _, addr := range []netip.Addr{place.IPv4, place.IPv6} {
			if addr.IsValid() {
				own = append(own, network.HostEntry{Addr: addr, Names: names})
			}
		}
	}
	return own
}

// resolvConf is /etc/resolv.conf: the host's as far as it makes sense in a network of
// one's own, or in a network with names the gateway, which asks the others.
func (m *Monitor) resolvConf(l *life) string {
	host := m.record().HostConfig
	config := dns.Host()
	if host.NetworkMode.IsHost() {
		if content, err := os.ReadFile("/etc/resolv.conf"); err == nil {
			config = dns.ParseConfig(string(content))
		}
	}
	if servers := m.nameServers(); len(servers) > 0 {
		config.Servers = servers
	}
	if len(host.DNSSearch) > 0 {
		config.Search = slices.DeleteFunc(slices.Clone(host.DNSSearch), func(domain string) bool { return domain == "." })
	}
	if len(host.DNSOptions) > 0 {
		config.Options = host.DNSOptions
	}
	for _, place := range l.places {
		if place.Named() {
			v4, _ := place.Gateways()
			config.Servers = []netip.Addr{v4.Addr()}
			if !slices.ContainsFunc(config.Options, func(o string) bool { return strings.HasPrefix(o, "ndots:") }) {
				config.Options = append(slices.Clone(config.Options), "ndots:0")
			}
			break
		}
	}
	return config.String()
}

// nameServers are those the user has chosen for the container, or for all; none: the host's.
func (m *Monitor) nameServers() []netip.Addr {
	if own := m.record().HostConfig.DNS; len(own) > 0 {
		return own
	}
	return m.dns
}

// maxHosts is how much of /etc/hosts lasts when networks change, in bytes: a container may have
// made it of any size, and the monitor's memory is the host's.
const maxHosts = 1 << 20

// updateFiles follows a change of a running container's networks: only lines of ours
// change in what the container may have edited.
func (m *Monitor) updateFiles(l *life, added network.Place, gone *network.Place) error {
	path := m.etc(m.id(), "hosts")
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxHosts))
	if err != nil {
		return err
	}
	hosts := string(content)
	name, _ := os.Hostname()
	lines := func(place network.Place) string {
		return strings.TrimPrefix(network.Hosts(m.ownHosts([]network.Place{place}, m.hostname(name)), nil, true), network.Hosts(nil, nil, true))
	}
	if gone != nil {
		hosts = strings.Replace(hosts, lines(*gone), "", 1)
	} else {
		hosts += lines(added)
	}
	if err := writeFile(path, hosts); err != nil {
		return err
	}
	return writeFile(m.etc(m.id(), "resolv.conf"), m.resolvConf(l))
}
