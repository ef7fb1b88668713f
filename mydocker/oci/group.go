package oci

import (
	"cmp"
	"errors"
	"fmt"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// groupName is how a container's cgroup is found again.
type groupName struct {
	Paths map[string]string `json:"paths"`
	// Scope is the cgroupsPath of one that systemd makes; "": the files are all there is.
	Scope string `json:"scope,omitempty"`
	// Shared: it had processes before the container, so it is not the container's to kill.
	Shared bool `json:"shared,omitempty"`
}

// group opens the container's cgroup.
func (c *container) group() (cgroup.Group, error) {
	if c.Cgroup.Scope != "" {
		return cgroup.OpenSystemd(c.Cgroup.Scope, c.ID, c.Annotations)
	}
	return cgroup.Reopen(c.Cgroup.Paths)
}

// resolve chooses the cgroup by linux.cgroupsPath.
func (n *creation) resolve() (err error) {
	if path := n.spec.Linux.CgroupsPath; !n.systemd {
		n.cgroup, err = cgroup.Resolve(path, n.ID)
	} else {
		n.Cgroup.Scope = cmp.Or(path, "system.slice:runc:"+n.ID) // runc's
		n.cgroup, err = n.group()
	}
	if err == nil {
		n.Cgroup.Paths = n.cgroup.Paths()
	}
	return err
}

// prepareGroup makes the cgroup with its limits. It is recorded before.
func (n *creation) prepareGroup() error {
	if err := n.resolve(); err != nil {
		return err
	}
	err := n.cgroup.CheckFree()
	if n.Cgroup.Shared = errors.Is(err, cgroup.ErrNotEmpty); n.Cgroup.Shared {
		n.warn(err)
	} else if err != nil {
		return err
	}
	if err := n.save(); err != nil {
		return err
	}
	var rules []specs.LinuxDeviceCgroup
	if res := n.spec.Linux.Resources; res != nil {
		rules = append(rules, res.Devices...)
	}
	if err := n.cgroup.Create(n.spec.Linux.Resources); err != nil {
		return fmt.Errorf("unable to apply cgroup configuration: %w", err)
	}
	return n.cgroup.SetDevices(append(rules, cgroup.DefaultDevices()...))
}

// release gives back what a container has on the host once its process has ended.
// The order: while the directory is there, delete can be repeated.
func (c *container) release(spec *specs.Spec) error {
	group, err := c.group()
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
