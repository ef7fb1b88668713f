package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Hierarchies says where this host's cgroup trees are mounted.
type Hierarchies struct {
	Version int         // 2 if all controllers are in the version 2 tree, else 1
	trees   []hierarchy // of both versions
}

// hierarchy is one mounted tree of groups.
type hierarchy struct {
	name  string // "memory", "cpu,cpuacct", "name=systemd"; version 2: ""
	mount string // its mount point
	root  string // the group that is visible there: "/" unless the mount shows a subtree
	below string // what both have at their ends beyond the tree's own, see Resolve
}

// Host finds the hierarchies in /proc/self/mountinfo, proc_pid_mountinfo(5). One
// that is mounted read-only, as in most containers, cannot be used and is left out.
func Host() (*Hierarchies, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	names, err2 := readProcCgroup("/proc/self/cgroup")
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("find cgroup hierarchies: %w", err)
	}
	h := parseMounts(string(mountinfo), names)
	if h.find("") == nil {
		return nil, errors.New("no writable cgroup2 file system (try: mount -t cgroup2 none /sys/fs/cgroup; beside version 1, .../unified)")
	}
	return h, nil
}

// parseMounts reads lines such as
//
//	35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
//
// of which it needs the root, the mount point and its options, and after the dash the
// type and the superblock's options, where names from /proc/PID/cgroup stand among others.
func parseMounts(mountinfo string, names map[string]string) *Hierarchies {
	h := &Hierarchies{Version: 2}
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if dash < 6 || !strings.HasPrefix(f[dash+1], "cgroup") || slices.Contains(strings.Split(f[5], ","), "ro") {
			continue
		}
		tree := hierarchy{root: f[3], mount: f[4]}
		for name := range names {
			first, _, _ := strings.Cut(name, ",")
			if first != "" && slices.Contains(strings.Split(f[len(f)-1], ","), first) {
				tree.name = name
			}
		}
		// A tree may be mounted again, in a root file system somebody prepared.
		known := slices.ContainsFunc(h.trees, func(t hierarchy) bool { return t.name == tree.name })
		if known || (tree.name == "") != (f[dash+1] == "cgroup2") {
			continue
		}
		h.trees = append(h.trees, tree)
		// Version 2 hosts may keep a name=systemd tree for old programs.
		if tree.name != "" && !strings.HasPrefix(tree.name, "name=") {
			h.Version = 1
		}
	}
	return h
}

// readProcCgroup reads /proc/PID/cgroup, cgroups(7): the path of a process's group
// by controllers, from lines of "hierarchy-ID:controllers:path".
func readProcCgroup(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	paths := map[string]string{}
	for line := range strings.Lines(string(data)) {
		// A path may contain colons.
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(f) == 3 {
			paths[f[1]] = f[2]
		}
	}
	return paths, err
}

// find returns the tree with the given controller of version 1, or for "" that of
// version 2; nil if there is none.
func (h *Hierarchies) find(controller string) *hierarchy {
	for i := range h.trees {
		if h.trees[i].has(controller) {
			return &h.trees[i]
		}
	}
	return nil
}

func (t hierarchy) has(name string) bool { return slices.Contains(strings.Split(t.name, ","), name) }

// Controllers names the controllers that can be used, sorted. Those which
// version 2 has built in are named as in version 1: cpuacct, devices, freezer.
func (h *Hierarchies) Controllers() []string {
	names := []string{"freezer"}
	for _, tree := range h.trees {
		names = append(names, strings.Split(tree.name, ",")...)
	}
	if h.Version == 2 {
		has, _ := readFields(h.find("").mount, "cgroup.controllers")
		names = append(names, append(has, "cpuacct", "devices")...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// LimitsSwap tells whether the kernel counts swap; before 6.1 it can be booted without
// (swapaccount=0), and Create and Set leave the limit out. The caller should warn.
func (h *Hierarchies) LimitsSwap() bool {
	return h.hasFile("memory.memsw.limit_in_bytes", "memory.swap.max")
}

// WeighsIO tells whether the kernel shares out the block devices by weight: for that
// one of them needs a scheduler (bfq) or a cost model that does.
func (h *Hierarchies) WeighsIO() bool {
	return h.hasFile("blkio.bfq.weight", "io.bfq.weight") || h.hasFile("blkio.weight", "io.weight")
}

// WeighsDevices tells whether there is a weight for a single device too. BFQ's file is
// there even if no device has that scheduler, and then refuses all (EOPNOTSUPP).
func (h *Hierarchies) WeighsDevices() bool { return h.hasFile("blkio.weight_device", "io.weight") }

// hasFile looks in the groups below the root, which has itself no limits.
func (h *Hierarchies) hasFile(v1, v2 string) bool {
	name := v1
	if h.Version == 2 {
		name = v2
	}
	file, err := Group{host: h, path: "/*"}.file(name)
	found, _ := filepath.Glob(file)
	return err == nil && len(found) > 0
}
