package oci

import (
	"errors"
	"fmt"
	"path/filepath"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// groupName is how a container's cgroup is found again.
type groupName struct {
	Path    string `json:"path"`
	Systemd bool   `json:"systemd,omitempty"`
	// Shared: it had processes before the container, so it is not the container's to kill.
	Shared bool `json:"shared,omitempty"`
}

// nameGroup chooses the cgroup: linux.cgroupsPath, by default one of the container's ID.
func (h *host) nameGroup(spec *specs.Spec, id string) (groupName, error) {
	path := spec.Linux.CgroupsPath
	if h.systemd {
		return groupName{}, errors.New("--systemd-cgroup is not supported")
	}
	if path == "" {
		path = id
	}
	return groupName{Path: filepath.Clean("/" + path)}, nil
}

func (g groupName) open() (cgroup.Group, error) { return cgroup.Open(g.Path) }

// prepareGroup makes the cgroup with its limits.
func (h *host) prepareGroup(c *container, spec *specs.Spec) (cgroup.Group, error) {
	group, err := c.Cgroup.open()
	if err != nil {
		return group, err
	}
	pids, err := group.Pids()
	if err != nil {
		return group, err
	}
	if frozen(group) {
		return group, errors.New("container's cgroup unexpectedly frozen")
	}
	if c.Cgroup.Shared = len(pids) > 0; c.Cgroup.Shared {
		h.warn(fmt.Errorf("container's cgroup is not empty: %d process(es) found", len(pids)))
	}
	if err := c.save(); err != nil {
		return group, err
	}
	if err := group.Create(spec.Linux.Resources); err != nil {
		return group, fmt.Errorf("unable to apply cgroup configuration: %w", err)
	}
	return group, group.SetDevices(deviceRules(spec.Linux.Resources))
}

// deviceRules are the specification's and then those of the devices every container
// has (config-linux.md, "Default Devices"), which may be made and used whatever the
// specification says.
func deviceRules(res *specs.LinuxResources) (rules []specs.LinuxDeviceCgroup) {
	if res != nil {
		for _, r := range res.Devices {
			if r.Access == "" {
				r.Access = "rwm"
			}
			rules = append(rules, r)
		}
	}
	const any = -1
	for _, d := range []struct {
		kind, access string
		major, minor int64
	}{
		{"c", "m", any, any}, {"b", "m", any, any}, // to make a node is no harm, only to open it
		{"c", "rwm", 1, 3}, {"c", "rwm", 1, 5}, {"c", "rwm", 1, 7}, {"c", "rwm", 1, 8}, {"c", "rwm", 1, 9}, // null zero full random urandom
		{"c", "rwm", 5, 0}, {"c", "rwm", 5, 1}, {"c", "rwm", 5, 2}, {"c", "rwm", 136, any}, // tty console ptmx pts
		{"c", "rwm", 10, 200}, // net/tun, as runc
	} {
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: d.kind, Major: &d.major, Minor: &d.minor, Access: d.access})
	}
	return rules
}

// release gives back what a container has on the host once its process has ended.
// The order: while the directory is there, delete can be repeated.
func (c *container) release(spec *specs.Spec) error {
	group, err := c.Cgroup.open()
	if err != nil {
		return err
	}
	// With a pid namespace of its own no process outlives the first. A cgroup that was
	// shared from the start has others' processes.
	if !c.Cgroup.Shared && (c.Pid == 0 || sharesPids(spec)) {
		if err := group.Kill(); err != nil {
			return err
		}
	}
	if err := group.Delete(); err != nil && !(c.Cgroup.Shared && errors.Is(err, cgroup.ErrBusy)) {
		return err
	}
	return disk.RemoveAll(c.dir)
}

// sharesPids tells whether the container's processes may outlive the first.
func sharesPids(spec *specs.Spec) bool {
	if spec == nil || spec.Linux == nil {
		return true
	}
	for _, ns := range spec.Linux.Namespaces {
		if ns.Type == specs.PIDNamespace {
			return ns.Path != ""
		}
	}
	return true
}
