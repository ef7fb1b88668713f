// Package cgroup limits what a container may use and counts what it used, with
// the kernel's control groups: cgroups(7), Documentation/admin-guide/cgroup-v2.rst
// and cgroup-v1/ of the kernel.
//
// Version 2 is one tree of groups in which every controller (memory, cpu, pids,
// ...) acts. Version 1 is one tree for each controller, so a group is a directory
// of the same path in each of them. A hybrid host, version 1 with an additional
// version 2 tree that has no controllers, counts as version 1; its version 2 tree
// is used too, since systemd finds the processes of a session there.
//
// On the host the package owns the directories of the groups it creates: one
// below /sys/fs/cgroup on version 2, one in each hierarchy on version 1, each on
// version 2 with an eBPF program that dies with it. A kill -9 at any line leaves
// these directories, with the processes in them and, in the middle of Freeze or
// Kill on version 1, frozen; Open of the same path, Kill and Delete clean them.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ErrNoController reports a limit whose controller this host does not have.
var ErrNoController = errors.New("this host's cgroups have no such controller")

// ErrBusy reports a group that still has processes after the time given to Kill or Delete.
var ErrBusy = errors.New("processes are left in the cgroup")

// How long the kernel may take. A process in an uninterruptible sleep (a dead
// NFS server) can neither be frozen nor killed, so all of these have an end.
const (
	freezeTime = 10 * time.Second
	killTime   = 10 * time.Second
	deleteTime = time.Second
)

// Group is one control group, which may not exist yet. Its methods keep no state
// between them: any process may open the same path. A nil *specs.LinuxResources
// asks for no limits.
type Group interface {
	// Create makes the group with its parents and sets all limits except
	// pids.max (see LimitPids). A group that exists is taken as it is. After an
	// error Delete removes what was made.
	Create(res *specs.LinuxResources) error

	// Set changes the limits of a live group, pids.max too: those that res
	// names, no others. A quota and its period belong together: version 2 keeps
	// them in one file, so a period alone lifts the quota.
	Set(res *specs.LinuxResources) error

	// LimitPids sets pids.max alone. It is written just before execve: init is a
	// Go program and starts about five threads, more than a container may be allowed.
	LimitPids(res *specs.LinuxResources) error

	// Enter arranges that the next process cloned with attr is born in the
	// group; call leave after the clone, whether it succeeded or not. On version
	// 2 it stores a directory descriptor in attr.CgroupFD for clone3(2) with
	// CLONE_INTO_CGROUP, which leave closes. On version 1 it moves the calling
	// thread into the group, and leave moves it back, so the caller must hold
	// runtime.LockOSThread, must not unlock it when leave fails, and between the
	// two must neither freeze nor kill the group, nor open a device it denies
	// (os/exec opens /dev/null for a nil Stdin); meanwhile the thread counts as
	// one of the group's pids. On a hybrid host it does both.
	Enter(attr *syscall.SysProcAttr) (leave func() error, err error)

	// Add moves a process with all its threads into the group, over pids.max if
	// need be. Unlike Enter it takes a lock that has the kernel wait for an RCU
	// grace period when no process was moved for a while: 5 to 10 ms, not 0.1.
	Add(pid int) error

	// Pids returns the processes in the group and in groups below it, as seen
	// from the caller's pid namespace, sorted. Without the group: none, no error.
	Pids() ([]int, error)

	// Freeze stops all processes of the group and returns when all have stopped;
	// Thaw lets them go on. Kill works on a frozen group.
	Freeze() error
	Thaw() error

	// Kill sends SIGKILL to all processes in the group and below, so that none
	// escapes by forking, and returns when they are gone (zombies count as
	// gone), after 10 seconds with ErrBusy. Without the group it does nothing.
	Kill() error

	// Stats reads what the group uses now.
	Stats() (*Stats, error)

	// OOMKills counts the processes which the kernel killed in the group and
	// below because memory was at its limit.
	OOMKills() (uint64, error)

	// Delete removes the group and the groups below it, but not its parents. No
	// group is a success. Processes that are just dying get a second, then it is ErrBusy.
	Delete() error

	// Paths returns the group's directory in each hierarchy, by controllers as
	// /proc/PID/cgroup names them ("memory", "cpu,cpuacct", "name=systemd"); version 2 has the name "".
	Paths() map[string]string
}

// Stats is the use of a group and of the groups below it. A value is zero when
// its controller is missing.
type Stats struct {
	MemoryUsage uint64 // bytes, without the inactive page cache, as `docker stats` has it
	MemoryLimit uint64 // bytes; 0: none
	CPUUsage    uint64 // nanoseconds of CPU time since the group was made
	IORead      uint64 // bytes read from block devices
	IOWrite     uint64 // bytes written to block devices
	Pids        uint64 // processes and threads
	PidsLimit   uint64 // 0: none
}

// Open returns the group at an absolute path below the root of the hierarchies,
// such as /mydocker/0123abcd, which need not exist.
func Open(groupPath string) (Group, error) {
	host, err := Host()
	if err != nil {
		return nil, err
	}
	return host.Open(groupPath)
}

// Open is like the function Open, on hierarchies already known.
func (h *Hierarchies) Open(groupPath string) (Group, error) {
	if !path.IsAbs(groupPath) || path.Clean(groupPath) != groupPath || groupPath == "/" {
		return nil, fmt.Errorf("cgroup path %q is not a clean absolute path below /", groupPath)
	}
	if h.Version == 2 {
		return &group2{tree: *h.unified, path: groupPath}, nil
	}
	return &group1{host: h, path: groupPath}, nil
}

// List names the groups directly below parent that exist in any hierarchy,
// sorted: what an engine that has no containers should not have.
func List(parent string) ([]string, error) {
	host, err := Host()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tree := range host.all() {
		children, err := subgroups(filepath.Join(tree.mount, parent))
		if err != nil {
			return nil, err
		}
		names = append(names, children...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// subgroups names the groups directly below the directory dir; none if it is gone.
func subgroups(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !gone(err) {
		return nil, fmt.Errorf("list cgroups: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// visit calls f with dir and then every group below it, parents first.
func visit(dir string, f func(dir string) error) error {
	if err := f(dir); err != nil {
		return err
	}
	children, err := subgroups(dir)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := visit(filepath.Join(dir, child), f); err != nil {
			return err
		}
	}
	return nil
}

// ancestors returns the paths from the first component down to p itself:
// /a, /a/b, /a/b/c.
func ancestors(p string) []string {
	var list []string
	for i := 1; i < len(p); i++ {
		if p[i] == '/' {
			list = append(list, p[:i])
		}
	}
	return append(list, strings.TrimSuffix(p, "/"))
}
