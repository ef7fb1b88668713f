package oci

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// delete removes a container. With force it removes what a command that was killed has left, too.
func (h *host) delete(c *cli.Context, id string) error {
	force := c.Bool("force")
	dir, err := h.place(id)
	if err != nil {
		return err
	}
	lock, err := acquire(dir)
	if err == nil {
		defer lock.Release()
		err = h.deleteLocked(dir, id, force)
	}
	if force && errors.Is(err, errNotExist) { // killed before it had more than a name, or nothing at all
		return disk.RemoveAll(dir)
	}
	return err
}

func (h *host) deleteLocked(dir, id string, force bool) error {
	c, err := read(dir, stateFile)
	if force && errors.Is(err, errNotExist) {
		if c, err = read(dir, creatingFile); err != nil {
			return errNotExist // or empty, before the first write
		}
	}
	if err != nil {
		return err
	}
	v, err := c.look()
	if err != nil {
		return err
	}
	defer v.close()
	if p := v.process; p != nil {
		if !force && v.status != specs.StateCreated {
			return fmt.Errorf("cannot delete container %s that is not stopped: %s", id, v.status)
		}
		if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill container: %w", err)
		}
		if !p.DoneWithin(10_000) {
			return errors.New("container init still running")
		}
	}
	spec, err := c.spec()
	if err != nil && !force {
		return err
	}
	return h.remove(c, spec)
}

// remove deletes a container whose process has ended and runs the hooks for that.
// That one fails is worth a warning (runtime.md, "Lifecycle").
func (h *host) remove(c *container, spec *specs.Spec) error {
	err := c.release(spec)
	if err == nil && spec != nil && spec.Hooks != nil && c.Pid != 0 {
		for _, hook := range spec.Hooks.Poststop {
			h.warn(runtime.RunHooks([]specs.Hook{hook}, c.state(specs.StateStopped)))
		}
	}
	return err
}

// kill sends a signal. To a container without a pid namespace SIGKILL goes to all its
// processes: the others would not end with the first.
func (h *host) kill(ctx *cli.Context, id string) error {
	number, err := parseSignal(ctx.Args().Get(1))
	if err != nil {
		return err
	}
	c, err := h.load(id)
	if err != nil {
		return err
	}
	spec, err := c.spec()
	if err != nil {
		return err
	}
	p, err := c.process()
	if err == nil {
		defer p.Close()
	}
	switch {
	case ctx.Bool("all"), err == nil && number == unix.SIGKILL && sharesPids(spec) && !c.Cgroup.Shared:
		return c.killAll(number)
	case err == nil:
		err = p.Signal(number)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return errNotRuns
	}
	return err
}

// killAll signals all processes of the cgroup; none is a success.
func (c *container) killAll(number unix.Signal) error {
	group, err := c.group()
	if err != nil {
		return err
	}
	if number == unix.SIGKILL {
		return group.Kill()
	}
	pids, err := group.Pids()
	for _, pid := range pids {
		if err2 := unix.Kill(pid, number); err2 != nil && err2 != unix.ESRCH {
			err = errors.Join(err, fmt.Errorf("signal process %d: %w", pid, err2))
		}
	}
	return err
}

// parseSignal reads a number or a name, with SIG or without; "" is SIGTERM.
func parseSignal(text string) (unix.Signal, error) {
	if text == "" {
		return unix.SIGTERM, nil
	}
	if number, err := strconv.Atoi(text); err == nil && number >= 0 && number <= 64 {
		return unix.Signal(number), nil
	}
	if number := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")); number != 0 {
		return number, nil
	}
	return 0, fmt.Errorf("unknown signal %q", text)
}

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
	n.Cgroup.Paths = n.cgroup.Paths()
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
	if c.Cgroup.Paths == nil {
		return disk.RemoveAll(c.dir)
	}
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
		if _, statErr := os.Stat(c.Cgroup.Paths[""]); statErr == nil { // else it was not made: systemd cannot be reached
			return err
		}
	}
	if err := runtime.Release(c.dir); err != nil {
		return err
	}
	return disk.RemoveAll(c.dir)
}

// sharesPids tells whether the container's processes may outlive the first.
func sharesPids(spec *specs.Spec) bool {
	if spec == nil || spec.Linux == nil {
		return true
	}
	ns := namespace.Find(spec.Linux.Namespaces, specs.PIDNamespace)
	return ns == nil || ns.Path != ""
}
