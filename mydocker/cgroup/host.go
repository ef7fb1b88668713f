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
	// Version is 2 if all controllers are in the version 2 tree, else 1.
	Version int

	v1      []hierarchy // each with its own controllers; empty when Version is 2
	unified *hierarchy  // the version 2 tree; nil when a version 1 host has none
}

// hierarchy is one mounted tree of groups.
type hierarchy struct {
	name  string // "memory", "cpu,cpuacct", "name=systemd"; version 2: ""
	mount string // its mount point
	root  string // the group that is visible there: "/" unless the mount shows a subtree
}

// Host finds the hierarchies in /proc/self/mountinfo, proc_pid_mountinfo(5). One
// that is mounted read-only, as in most containers, cannot be used and is left out.
func Host() (*Hierarchies, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroup hierarchies: %w", err)
	}
	h := parseMounts(string(mountinfo))
	if h.Version == 0 {
		return nil, errors.New("no writable cgroup hierarchy is mounted (try: mount -t cgroup2 none /sys/fs/cgroup)")
	}
	return h, nil
}

// parseMounts reads lines such as
//
//	35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
//
// of which it needs the root, the mount point, and after the dash the type and
// the superblock's options, where version 1 lists its controllers.
func parseMounts(mountinfo string) *Hierarchies {
	h := &Hierarchies{}
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - cgroup")
		if !ok {
			continue
		}
		mount, super := strings.Fields(before), strings.Fields(after)
		if len(mount) < 6 || slices.Contains(strings.Split(mount[5], ","), "ro") {
			continue
		}
		tree := hierarchy{root: unescape(mount[3]), mount: unescape(mount[4])}
		switch {
		case strings.HasPrefix(after, "2 "):
			if h.unified == nil {
				h.unified = &tree
			}
		case strings.HasPrefix(after, " ") && len(super) == 2:
			tree.name = controllers(super[1])
			// The same hierarchy may be mounted again, for instance in a root file
			// system somebody prepared: the first mount is the host's own.
			if tree.name != "" && !slices.ContainsFunc(h.v1, func(t hierarchy) bool { return t.name == tree.name }) {
				h.v1 = append(h.v1, tree)
			}
		}
	}
	// Pure version 2 hosts may keep a name=systemd tree for old programs.
	limits := slices.ContainsFunc(h.v1, func(t hierarchy) bool { return !strings.HasPrefix(t.name, "name=") })
	switch {
	case limits:
		h.Version = 1
	case h.unified != nil:
		h.Version, h.v1 = 2, nil
	}
	return h
}

// controllers drops from a version 1 superblock's options what is no controller.
func controllers(options string) string {
	var names []string
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "rw", "ro", "none", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "seclabel", "favordynmods", "nofavordynmods":
		default:
			if !strings.HasPrefix(option, "release_agent=") {
				names = append(names, option)
			}
		}
	}
	return strings.Join(names, ",")
}

// unescape undoes mountinfo's octal escapes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// all returns every tree a group has a directory in.
func (h *Hierarchies) all() []hierarchy {
	if h.unified == nil {
		return h.v1
	}
	return append(slices.Clone(h.v1), *h.unified)
}

// find returns the version 1 tree with the given controller.
func (h *Hierarchies) find(controller string) (hierarchy, bool) {
	for _, tree := range h.v1 {
		for name := range strings.SplitSeq(tree.name, ",") {
			if name == controller {
				return tree, true
			}
		}
	}
	return hierarchy{}, false
}

// Controllers names the controllers that can be used, sorted. Those which
// version 2 has built in are named as in version 1: cpuacct, devices, freezer.
func (h *Hierarchies) Controllers() []string {
	var names []string
	if h.Version == 2 {
		data, _ := os.ReadFile(filepath.Join(h.unified.mount, "cgroup.controllers"))
		names = append(strings.Fields(string(data)), "cpuacct", "devices", "freezer")
	} else {
		for _, tree := range h.v1 {
			names = append(names, strings.Split(tree.name, ",")...)
		}
	}
	slices.Sort(names)
	return names
}

// LimitsSwap tells whether the kernel counts swap, so that a limit on it bites;
// kernels before 6.1 can be booted without (swapaccount=0). Without it Create and Set
// leave the limit out, as Docker does, and the caller should warn.
func (h *Hierarchies) LimitsSwap() bool {
	if h.Version == 2 {
		// The root group has no limits, so ask any group below it.
		found, _ := filepath.Glob(filepath.Join(h.unified.mount, "*", "memory.swap.max"))
		return len(found) > 0
	}
	tree, ok := h.find("memory")
	return ok && exists(filepath.Join(tree.mount, "memory.memsw.limit_in_bytes"))
}

// parseProcCgroup reads /proc/PID/cgroup, cgroups(7): lines of
// "hierarchy-ID:controllers:path". A path may contain colons.
func parseProcCgroup(text string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(text) {
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(f) == 3 {
			paths[f[1]] = f[2]
		}
	}
	return paths
}

// locate turns a path from /proc/PID/cgroup into a directory. Where only a
// subtree is mounted (in a container without a cgroup namespace) /proc still
// tells the path from the real root, which the mount point hides.
func (h hierarchy) locate(path string) (string, bool) {
	rel, err := filepath.Rel(h.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return filepath.Join(h.mount, rel), true
}
