// Package engine is the verbs over everything below: run, ps, logs, exec, stop,
// rm and the rest, and the reconciliation of what a crash left. The command
// line, the Engine API and the builder call it and nothing below it.
//
// It has no process of its own. Each call works on the files under Root and
// RunRoot, and for a container that is alive asks its monitor. What a call that
// is killed leaves is repaired at the head of the next one that touches the same
// object: the container by reconcile, a creation or removal half done by
// container.Sweep, volumes among them, the image store by itself; Check finds what nobody touches.
package engine

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/image"
	"minidocker/mydocker/journal"
	"minidocker/mydocker/monitor"
	"minidocker/mydocker/network"
	"minidocker/mydocker/security"

	"github.com/moby/moby/api/types/events"
)

// Version is the engine's version.
const Version = "0.1.0"

// DefaultRoot is where an engine keeps what it owns unless it is told.
const DefaultRoot = "/var/lib/mydocker"

// Config says where an engine keeps what it owns.
type Config struct {
	Root    string // images, layers, containers, volumes; survives a reboot; "" is DefaultRoot
	RunRoot string // sockets, bundles, events; gone after one; "" is /run/mydocker
	// Instance names the parent cgroup (and bridge, links, tables), so that
	// engines with different roots do not meet; "" is mydocker.
	Instance string
	monitor.Settings
	// RegistryMirrors are base URLs, asked in order before docker.io.
	RegistryMirrors []string
	// InsecureRegistries are host[:port] or networks whose registries need no certificate.
	InsecureRegistries []string
	// LogOptions are those of json-file logs that a new container gets where it names no other.
	LogOptions map[string]string
	// Userns is the mode of --userns of a container that names none; "" is private.
	Userns string
	// UsernsPool is where containers get user ids from; zero: above those in /etc/subuid and /etc/subgid.
	UsernsPool security.IDRange
	// Warn is told what of a container that starts is not as it was asked for; nil: nobody is.
	Warn func(text string)
}

// Engine works on one root. Its methods may be called from any number of
// goroutines and processes at once.
type Engine struct {
	config     Config
	containers *container.Store
	networks   *network.Store
	images     *image.Store
	journal    *journal.Journal
}

func (c Config) withDefaults() Config {
	c.Root, c.RunRoot = cmp.Or(c.Root, DefaultRoot), cmp.Or(c.RunRoot, "/run/mydocker")
	c.Instance = cmp.Or(c.Instance, "mydocker")
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	return c
}

// Open opens the engine, and makes its directories if they are missing. It needs
// root's privileges.
func Open(c Config) (*Engine, error) {
	c = c.withDefaults()
	if strings.ContainsAny(c.Instance, "/. \t\n") {
		return nil, fmt.Errorf("instance %q: it becomes the name of a cgroup, without /, . and blanks", c.Instance)
	}
	if err := CheckBridgeAddress(c.BridgeAddress); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("permission denied: containers need root; try: sudo %s", filepath.Base(os.Args[0]))
	}
	for _, dir := range []*string{&c.Root, &c.RunRoot} {
		absolute, err := filepath.Abs(*dir)
		if err != nil {
			return nil, err
		}
		*dir = absolute
		if err := os.MkdirAll(absolute, 0o711); err != nil {
			return nil, fmt.Errorf("open engine: %w", err)
		}
	}
	images, err := image.Open(c.Root)
	if err != nil {
		return nil, err
	}
	networks := network.Open(c.Root, c.RunRoot, c.Instance)
	networks.BridgeAddress, networks.AddressPools = c.BridgeAddress, c.AddressPools
	e := &Engine{c, container.Open(c.Root, c.RunRoot, networks), networks, images, journal.Open(filepath.Join(c.RunRoot, "events"))}
	e.containers.IDPool = c.UsernsPool
	e.containers.VolumeRemoved = func(name string) { e.volumeEvent(events.ActionDestroy, name) }
	return e, nil
}

// CheckBridgeAddress refuses what is no Settings.BridgeAddress; "" is.
func CheckBridgeAddress(text string) error {
	if address, err := netip.ParsePrefix(text); text != "" && (err != nil || !address.Addr().Is4() || address.Addr() == address.Masked().Addr()) {
		return fmt.Errorf("invalid address of the default bridge (--bip): %q: an IPv4 address with the length of its subnet, such as 10.1.0.1/24", text)
	}
	return nil
}

// lockStore takes the store lock: shared while a container is made of an image,
// exclusive to delete one, so that neither sees the other half done.
func (e *Engine) lockStore(mode disk.Mode) (*disk.Lock, error) {
	return disk.Acquire(filepath.Join(e.config.Root, "store.lock"), mode)
}

// Filters maps a filter's name to the values given for it: different names must
// all match, of one name's values one.
type Filters map[string][]string

// check refuses unknown filters, in Docker's words.
func (f Filters) check(known ...string) error {
	for name := range f {
		if !slices.Contains(known, name) {
			return fmt.Errorf("invalid filter '%s'", name)
		}
	}
	if len(f["until"]) > 1 {
		return errors.New("more than one until filter specified")
	}
	return nil
}
