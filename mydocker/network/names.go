package network

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"minidocker/mydocker/network/dns"
)

// Resolver answers for the names of one network's containers, from the records on disk.
type Resolver struct {
	store   *Store
	network *Network

	mu   sync.Mutex
	read map[string]version // by network ID
}

// version is a file's content, and by what one sees that it is still this: each
// write makes a new file.
type version struct {
	inode   uint64
	changed time.Time
	all     endpoints
}

// Resolve answers names on the network's gateways, until the servers are closed.
func (s *Store) Resolve(n *Network) (servers []*dns.Server, err error) {
	r := &Resolver{store: s, network: n, read: map[string]version{}}
	v4, v6 := n.Gateways()
	for _, gateway := range []netip.Addr{v4.Addr(), v6.Addr()} {
		if !gateway.IsValid() {
			continue
		}
		server, err := dns.Serve(netip.AddrPortFrom(gateway, ResolverPort), r.view)
		if err != nil {
			for _, server := range servers {
				server.Close()
			}
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

func (r *Resolver) endpoints(network string) endpoints {
	info, err := os.Stat(r.store.endpointsPath(network))
	if err != nil {
		return nil
	}
	now := version{inode: info.Sys().(*syscall.Stat_t).Ino, changed: info.ModTime()}
	if known := r.read[network]; known.inode == now.inode && known.changed.Equal(now.changed) {
		return known.all
	}
	now.all, _ = r.store.Endpoints(network) // unreadable: nobody is known
	r.read[network] = now
	return now.all
}

// view is what the container with this address may know: who is in its networks.
func (r *Resolver) view(asker netip.Addr) *dns.View {
	r.mu.Lock()
	defer r.mu.Unlock()
	var id string
	for owner, e := range r.endpoints(r.network.ID) {
		if e.Running && (e.IPv4 == asker || e.IPv6 == asker) {
			id = owner
		}
	}
	networks, err := r.store.List()
	if id == "" || err != nil {
		return nil
	}
	v := &dns.View{Names: map[string][]netip.Addr{}, Hosts: map[netip.Addr]string{}}
	wayOut := false
	for _, n := range networks {
		all := r.endpoints(n.ID)
		own := all[id]
		if own == nil || !own.Running {
			continue
		}
		if !n.Internal {
			wayOut = true
			v.Upstreams = own.Upstreams
		}
		if n.Named() {
			tell(v, n, all)
		}
	}
	if wayOut && v.Upstreams == nil {
		v.Upstreams = hostResolvers()
	}
	return v
}

// tell adds the names of a network's containers to a view.
func tell(v *dns.View, n *Network, all endpoints) {
	for _, e := range all {
		if !e.Running {
			continue
		}
		for _, addr := range []netip.Addr{e.IPv4, e.IPv6} {
			if !addr.IsValid() {
				continue
			}
			for _, name := range append([]string{e.Name}, e.Aliases...) {
				name = strings.ToLower(name)
				for _, name := range []string{name, name + "." + strings.ToLower(n.Name)} {
					if !slices.Contains(v.Names[name], addr) { // an alias may be the name again
						v.Names[name] = append(v.Names[name], addr)
					}
				}
			}
			v.Hosts[addr] = e.Name + "." + n.Name
		}
	}
}

// hostResolvers are the host's, where names of elsewhere are asked.
func hostResolvers() (all []netip.AddrPort) {
	for _, server := range dns.Host().Servers {
		all = append(all, netip.AddrPortFrom(server, 53))
	}
	return all
}
