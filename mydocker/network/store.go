package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/network"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/network/ipam"
)

// HostDir holds what all engines of a host share: which subnets they have.
const HostDir = "/run/mydocker-host"

// Store finds the networks of one Root. It holds no state: any number of processes
// may use the same root.
type Store struct {
	root, runRoot, instance string
	// BridgeAddress is the address of the default network's bridge with the length of
	// its subnet, when the network is made; "": one that is free.
	BridgeAddress string
	// AddressPools are where networks get subnets that name none; those of a family
	// that has none here come from Docker's pools.
	AddressPools []ipam.AddressPool
}

// Open returns the store of root and runRoot. Directories are made when needed.
func Open(root, runRoot, instance string) *Store {
	return &Store{root: root, runRoot: runRoot, instance: instance}
}

func (s *Store) dir() string           { return filepath.Join(s.root, "networks") }
func (s *Store) runDir() string        { return filepath.Join(s.runRoot, "networks") }
func (s *Store) path(id string) string { return filepath.Join(s.dir(), id+".json") }

// used tells whether any network was since the machine started.
func (s *Store) used() bool {
	_, err := os.Lstat(s.runDir())
	return err == nil
}

// lock is held while records, bridges or rules change, for some milliseconds.
func (s *Store) lock() (*disk.Lock, error) {
	if err := os.MkdirAll(s.runDir(), 0o711); err != nil {
		return nil, err
	}
	return disk.Acquire(filepath.Join(s.runDir(), "lock"), disk.Exclusive)
}

// NotFoundError says that there is no such network.
type NotFoundError struct{ Ref string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("network %s not found", e.Ref) }

// List gives all networks, by name. The predefined ones are always there: bridge has
// no subnet before its first use.
func (s *Store) List() ([]*Network, error) {
	all := []*Network{
		s.predefined(api.NetworkBridge, "bridge"), s.predefined(api.NetworkHost, "host"), s.predefined(api.NetworkNone, "null"),
	}
	entries, err := os.ReadDir(s.dir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		id, isRecord := strings.CutSuffix(entry.Name(), ".json")
		if !isRecord || strings.HasPrefix(id, ".tmp-") {
			continue
		}
		n := new(Network)
		err := disk.ReadJSON(s.path(id), n)
		switch {
		case errors.Is(err, os.ErrNotExist): // removed meanwhile
		case err == nil && n.ID != id:
			err = fmt.Errorf("read %s: damaged record: it does not describe this network", s.path(id))
			fallthrough
		case err != nil:
			return nil, err
		case n.Name == api.NetworkBridge:
			all[0] = n
		default:
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *Network) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (s *Store) predefined(name, driver string) *Network {
	n := &Network{}
	n.Name, n.ID, n.Scope, n.Driver, n.EnableIPv4 = name, fixedID(s.root, name), "local", driver, true
	n.IPAM = api.IPAM{Driver: "default", Config: []api.IPAMConfig{}}
	n.Options, n.Labels = map[string]string{}, map[string]string{}
	if name == api.NetworkBridge {
		n.Options[optionBridge], n.Options[optionDefault] = prefix(s.instance)+"0", "true"
	}
	if info, err := os.Stat(s.root); err == nil {
		n.Created = info.ModTime()
	}
	return n
}

// Find resolves what a user calls a network: its name, its ID, or the beginning of
// one that no other begins with.
func (s *Store) Find(ref string) (*Network, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	return find(all, ref)
}

func find(all []*Network, ref string) (*Network, error) {
	var found []*Network
	for _, n := range all {
		switch {
		case n.Name == ref || n.ID == ref:
			return n, nil
		case ref != "" && strings.HasPrefix(n.ID, ref):
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return nil, &NotFoundError{ref}
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("network %s is ambiguous (%d matches found on ID prefix)", ref, len(found))
}

// Create makes a network of what `network create` asks for (Engine API, POST
// /networks/create), with its bridge.
func (s *Store) Create(r api.CreateRequest) (*Network, error) {
	n, err := describe(r)
	if err != nil {
		return nil, err
	}
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	for _, other := range all {
		if other.Name == n.Name {
			return nil, fmt.Errorf("network with name %s already exists", n.Name)
		}
	}
	if n.Bridge() == "" {
		n.Options[optionBridge] = prefix(s.instance) + "-" + n.ID[:6]
	}
	if exists(n.Bridge()) {
		return nil, fmt.Errorf("create network %s: there is an interface %s already", n.Name, n.Bridge())
	}
	return n, s.establish(n)
}

// establish leases the network's subnets, writes its record and makes its bridge. After an error
// nothing is left. The caller holds the lock.
func (s *Store) establish(n *Network) error {
	if err := s.lease(n); err != nil {
		return err
	}
	err := os.MkdirAll(s.dir(), 0o711)
	if err == nil {
		err = disk.WriteJSON(s.path(n.ID), n, disk.Durable)
	}
	if err == nil {
		err = s.raise(n)
	}
	if err != nil {
		err = errors.Join(err, s.dismantle(n))
	}
	return err
}

// lease reserves the subnets on this host, and chooses one where none was asked for.
func (s *Store) lease(n *Network) error {
	owner := ipam.Owner{Root: s.root, Network: n.ID, Name: n.Name}
	if err := s.dropStale(); err != nil {
		return err
	}
	if v4, _ := n.pools(); v4 == nil {
		subnet, err := s.leaseFree(owner, false)
		if err != nil {
			return err
		}
		n.IPAM.Config = append([]api.IPAMConfig{{Subnet: subnet}}, n.IPAM.Config...)
	}
	if _, v6 := n.pools(); v6 == nil && n.EnableIPv6 {
		subnet, err := s.leaseFree(owner, true)
		if err != nil {
			return errors.Join(err, ipam.Release(HostDir, s.root, n.ID))
		}
		n.IPAM.Config = append(n.IPAM.Config, api.IPAMConfig{Subnet: subnet})
	}
	v4, v6 := n.pools()
	err := complete(n)
	if err == nil {
		subnets := []ipam.Pool{*v4}
		if v6 != nil {
			subnets = append(subnets, *v6)
		}
		err = s.leaseAsked(owner, subnets)
	}
	if err != nil {
		return errors.Join(err, ipam.Release(HostDir, s.root, n.ID))
	}
	return nil
}

// Remove takes a network away. One that a container runs in is refused.
func (s *Store) Remove(n *Network) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Release()
	all, err := s.Endpoints(n.ID)
	if err != nil {
		return err
	}
	if endpoints(all).running() > 0 {
		return &InUseError{n.Name, n.ID}
	}
	return s.dismantle(n)
}

// InUseError refuses to remove a network that a container runs in.
type InUseError struct{ Name, ID string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("error while removing network: network %s id %s has active endpoints", e.Name, e.ID)
}

// dismantle removes all there is of a network, its record last: a crash on the way
// leaves a network that can be removed again. The caller holds the lock.
func (s *Store) dismantle(n *Network) error {
	return errors.Join(
		lower(n.Bridge()),
		disk.RemoveAll(filepath.Join(s.runDir(), n.ID)),
		ipam.Release(HostDir, s.root, n.ID),
		disk.RemoveAll(s.path(n.ID)))
}

// describe makes a record of a request.
func describe(r api.CreateRequest) (*Network, error) {
	n := &Network{}
	switch {
	case strings.TrimSpace(r.Name) == "":
		return nil, errors.New("invalid network name: name is empty")
	case Predefined(r.Name) || r.Name == api.NetworkDefault || r.Name == "container":
		return nil, fmt.Errorf("operation is not permitted on predefined %s network", r.Name)
	case strings.ContainsAny(r.Name, "/: \t\n,=") || !alphanumeric(r.Name[0]):
		return nil, fmt.Errorf("invalid network name: %q: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", r.Name)
	case r.Driver != "" && r.Driver != "bridge" && r.Driver != "default":
		return nil, fmt.Errorf("could not find plugin %s in v1 plugin registry: plugin not found; this engine has the driver bridge only", r.Driver)
	case r.EnableIPv4 != nil && !*r.EnableIPv4:
		return nil, errors.New("a network without IPv4 is not supported")
	}
	if err := checkOptions(r.Options); err != nil {
		return nil, err
	}
	n.Name, n.ID, n.Created, n.Scope, n.Driver, n.EnableIPv4 = r.Name, disk.NewID(), time.Now().UTC(), "local", "bridge", true
	n.Internal, n.Attachable, n.Labels, n.Options = r.Internal, r.Attachable, r.Labels, r.Options
	n.EnableIPv6 = r.EnableIPv6 != nil && *r.EnableIPv6
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	if n.Options == nil {
		n.Options = map[string]string{}
	}
	n.IPAM = api.IPAM{Driver: "default", Options: map[string]string{}}
	if r.IPAM != nil {
		n.IPAM.Config = r.IPAM.Config
	}
	return n, checkSubnets(n)
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
