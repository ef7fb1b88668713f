// Package cgroup limits what a container may use and counts what it used, with
// the kernel's control groups: cgroups(7), Documentation/admin-guide/cgroup-v2.rst
// and cgroup-v1/ of the kernel.
//
// Version 2 is one tree of groups in which every controller (memory, cpu, ...)
// acts. Version 1 is one tree for each controller, so a group is a directory of the
// same path in each, and one of version 2 without controllers: in that processes
// are listed, frozen and killed on every host. Each controller has a file, with its
// settings, where the files of both versions stand side by side, and its statistics.
//
// On the host the package owns the directories of the groups it creates. A kill -9
// leaves them, with their processes; Open of the same path, Kill and Delete clean them.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// Group is one control group, which may not exist yet, by its name: any process may
// open the same path. A nil *specs.LinuxResources asks for no limits; the rules for
// devices in one are left to SetDevices.
type Group struct {
	host    *Hierarchies
	path    string
	manager manager // nil: the files are all there is
}

// manager is somebody who makes groups himself and keeps his own books about them: who is
// not told of a limit sets it back some day. That is systemd.
type manager interface {
	start(limits []setting) error               // make the group
	set(limits []setting) error                 // note limits that are in force
	setDevices(allow bool, list []string) error // note the answer for all, and exceptions such as "c 1:3 rwm"
	born()                                      // the first process is in the group
	stop() error                                // end what is in the group, and forget it
}

// Open returns the group at an absolute path such as /mydocker/0123abcd.
func Open(path string) (Group, error) {
	host, err := Host()
	if err != nil {
		return Group{}, err
	}
	return host.Open(path)
}

// Open is like the function Open, on hierarchies already known.
func (h *Hierarchies) Open(path string) (Group, error) {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
		return Group{}, fmt.Errorf("cgroup path %q is not a clean absolute path below /", path)
	}
	return Group{host: h, path: path}, nil
}

// Paths returns the group's directory in each hierarchy, by controllers as
// /proc/PID/cgroup names them ("memory", "cpu,cpuacct", "name=systemd"); version 2 has the name "".
func (g Group) Paths() map[string]string {
	paths := map[string]string{}
	for _, tree := range g.host.trees {
		paths[tree.name] = filepath.Join(tree.mount, g.path)
	}
	return paths
}

// Create makes the group with its parents and sets all limits except pids.max (see
// LimitPids). A group may exist. After an error Delete removes what was made.
func (g Group) Create(res *specs.LinuxResources) error {
	limits := value(res)
	limits.Pids = nil
	list, err := settings(limits, g.host.Version)
	if err != nil {
		return err
	}
	if g.manager != nil {
		if err := g.manager.start(list); err != nil {
			return err
		}
	}
	unprepared, err := g.makeDirs()
	if err == nil {
		err = g.writeAll(list)
	}
	if err == nil {
		return nil // without limits the state of the parents is no matter
	}
	dir := g.Paths()[""]
	switch kind, _ := os.ReadFile(filepath.Join(dir, "cgroup.type")); string(kind) {
	case "domain invalid\n":
		err = fmt.Errorf("cannot enter cgroupv2 %q with domain controllers -- it is in an invalid state: %w", dir, err)
	case "threaded\n", "domain threaded\n":
		err = fmt.Errorf("cannot enter cgroupv2 %q with domain controllers -- it is in %s mode: %w", dir, kind[:len(kind)-1], err)
	}
	return errors.Join(err, unprepared) // perhaps the cause
}

// makeDirs makes the group's directories with their parents.
func (g Group) makeDirs() (unprepared, err error) {
	for _, tree := range g.host.trees {
		dir := tree.mount
		for name := range strings.SplitSeq(g.path[1:], "/") {
			unprepared = errors.Join(unprepared, prepareParent(tree, dir))
			dir = filepath.Join(dir, name)
			trace.Step("mkdir", "%s", dir)
			if err := unix.Mkdir(dir, 0o755); err != nil && err != unix.EEXIST {
				return unprepared, fmt.Errorf("create cgroup: mkdir %s: %w", dir, err)
			}
		}
		if tree.has("cpuset") {
			if err := fillCpuset(tree.mount, dir); err != nil {
				return unprepared, fmt.Errorf("create cgroup: %w", err)
			}
		}
	}
	return unprepared, nil
}

// prepareParent has the groups to be made in dir start with what their parent has.
func prepareParent(tree hierarchy, dir string) error {
	if tree.has("cpuset") {
		// Else they start without CPUs and memory, where no process can enter
		// (ENOSPC); version 2 takes an empty list as "all of the parent's".
		return write(filepath.Join(dir, "cgroup.clone_children"), "1")
	}
	if tree.name != "" {
		return nil
	}
	// Version 2 enables controllers for the children, for each new group and not once:
	// systemd takes them away again (systemd.resource-control(5), Delegate=). EBUSY:
	// dir has processes, and then, but for the real root, may not enable any below.
	has, err := readFields(dir, "cgroup.controllers")
	enabled, _ := readFields(dir, "cgroup.subtree_control")
	has = slices.DeleteFunc(has, func(name string) bool { return slices.Contains(enabled, name) })
	if err != nil || len(has) == 0 {
		return err
	}
	// All at once: singly, a dir with processes would take the threaded ones (cpu, pids),
	// and then refuse processes in the groups below with EOPNOTSUPP.
	return write(filepath.Join(dir, "cgroup.subtree_control"), "+"+strings.Join(has, " +"))
}

// Delete removes the group and those below, not its parents; no group is a success. A
// process leaves its group late in its exit, so it waits a second before ErrBusy.
func (g Group) Delete() error {
	if g.manager != nil {
		if err := g.manager.stop(); err != nil {
			return fmt.Errorf("delete cgroup %s: %w", g.path, err)
		}
	}
	return poll("delete cgroup "+g.path, time.Second, func() (bool, error) {
		deleted := true
		for _, dir := range g.Paths() {
			trace.Step("rmdir", "%s", dir)
			err := unix.Rmdir(dir) // with the kernel's files
			if err == unix.EBUSY {
				for _, below := range slices.Backward(groups(dir)) {
					err = unix.Rmdir(below) // at last dir itself
				}
			}
			if err == unix.EBUSY {
				deleted = false
			} else if err != nil && !gone(err) {
				return false, fmt.Errorf("rmdir %s: %w", dir, err)
			}
		}
		return deleted, nil
	})
}

// List names the groups directly below parent that exist in any hierarchy, sorted.
func List(parent string) ([]string, error) {
	host, err := Host()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, tree := range host.trees {
		names = append(names, children(filepath.Join(tree.mount, parent))...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// groups returns dir and all groups below it, parents first.
func groups(dir string) []string {
	list := []string{dir}
	for _, name := range children(dir) {
		list = append(list, groups(filepath.Join(dir, name))...)
	}
	return list
}

// children names the groups in dir, which may be gone.
func children(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}
