package rootfs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hierarchy is one cgroup mount of the host.
type hierarchy struct {
	point   string   // below /sys/fs/cgroup
	mount   string   // its mount point on the host
	own     string   // the caller's cgroup below the mount; "": it is the mount's root, or not below it
	version int      // 1 or 2
	options []string // v1: what names the hierarchy, such as memory, or cpu and cpuacct, or name=systemd; v2: see hostHierarchies
}

// mountCgroup shows a container its cgroup: on a v2 host one file system, on a
// v1 host a directory with one mount a hierarchy, as on the host. In a cgroup
// namespace the root of each is the container's own cgroup.
func mountCgroup(root *os.File, m specs.Mount, o options) error {
	point, err := target(root, m, true)
	if err != nil {
		return err
	}
	defer point.Close()
	hierarchies, err := hostHierarchies()
	if err != nil {
		return err
	}
	o.data = nil
	if len(hierarchies) == 1 && hierarchies[0].version == 2 {
		trace.Step("mount", "cgroup2 on %s (%s)", m.Destination, strings.Join(m.Options, ","))
		return mountHierarchy(hierarchies[0], o, point)
	}
	holder := o
	holder.set &^= unix.MOUNT_ATTR_RDONLY // until the mount points are made
	holder.data = []string{"mode=755", "size=65536k"}
	top, err := newMount("tmpfs", "tmpfs", holder)
	if err != nil {
		return err
	}
	defer top.Close()
	if err := attach(top, point); err != nil {
		return err
	}
	for _, h := range hierarchies {
		if h.version == 2 {
			continue // a hybrid's v2 has no controllers
		}
		trace.Step("mount", "cgroup %s on %s/%s (%s)", strings.Join(h.options, ","), m.Destination, h.point, strings.Join(m.Options, ","))
		sub, err := MakeDir(top, h.point)
		if err != nil {
			return err
		}
		err = mountHierarchy(h, o, sub)
		sub.Close()
		if err != nil {
			return fmt.Errorf("cgroup %s: %w", h.point, err)
		}
		for _, controller := range h.options {
			if controller != h.point && !strings.Contains(controller, "=") {
				unix.Symlinkat(h.point, int(top.Fd()), controller) // cpu -> cpu,cpuacct
			}
		}
	}
	return bindAttributes(top, options{set: o.set})
}

func mountHierarchy(h hierarchy, o options, point *os.File) error {
	fstype := "cgroup"
	if h.version == 2 {
		fstype = "cgroup2"
	}
	o.data = h.options
	var mount *os.File
	var err error
	// In the host's cgroup namespace a new mount would show everybody's groups (v1), or
	// is refused in a user namespace of one's own (v2: EPERM).
	bind := h.version == 1 && h.own != ""
	if !bind {
		mount, err = newMount(fstype, fstype, o)
		bind = h.version == 2 && errors.Is(err, unix.EPERM)
	}
	if bind {
		var source *Source
		if source, err = openSource(specs.Mount{Source: h.mount + h.own}, options{}); err == nil {
			mount = source.mount
			err = bindAttributes(mount, options{set: o.set | o.setAll})
		}
	}
	if err != nil {
		return err
	}
	defer mount.Close()
	return attach(mount, point)
}

// hostHierarchies reads the cgroup mounts from proc_pid_mountinfo(5): the first of each,
// for they may be mounted again elsewhere, or in the container with the host's /sys.
func hostHierarchies() ([]hierarchy, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	groups, err := os.ReadFile("/proc/self/cgroup") // in a cgroup namespace of one's own "/" everywhere
	if err != nil {
		return nil, err
	}
	var found []hierarchy
	add := func(h hierarchy) {
		if !slices.ContainsFunc(found, func(f hierarchy) bool { return f.version == h.version && slices.Equal(f.options, h.options) }) {
			found = append(found, h)
		}
	}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		mount, fs, ok := strings.Cut(lines.Text(), " - ")
		if !ok {
			continue
		}
		left, right := strings.Fields(mount), strings.Fields(fs)
		options := strings.Split(right[len(right)-1], ",")
		switch {
		case right[0] == "cgroup2":
			// A mount from the host's cgroup namespace sets these anew for all mounts (nsdelegate, ...).
			v2 := slices.DeleteFunc(options, func(option string) bool { return option == "rw" || option == "ro" })
			add(hierarchy{filepath.Base(left[4]), left[4], ownGroup(string(groups), left[3], []string{""}), 2, v2})
		case right[0] == "cgroup" && filepath.Dir(left[4]) == "/sys/fs/cgroup":
			options = hierarchyOptions(options)
			add(hierarchy{filepath.Base(left[4]), left[4], ownGroup(string(groups), left[3], options), 1, options})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("this host has no cgroup file system mounted")
	}
	return found, lines.Err()
}

// hierarchyOptions keeps of a cgroup v1 mount's options those that name it.
func hierarchyOptions(options []string) []string {
	return slices.DeleteFunc(options, func(option string) bool {
		switch option {
		case "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "nofavordynmods":
			return true
		}
		return strings.HasPrefix(option, "release_agent=")
	})
}

// ownGroup finds the caller's group in the text of /proc/self/cgroup (cgroups(7)),
// below the group that a mount shows as its root; of v2, which has no name there, by
// the option "".
func ownGroup(groups, root string, options []string) string {
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && slices.Contains(options, strings.Split(f[1], ",")[0]) {
			own, _ := strings.CutPrefix(f[2], strings.TrimSuffix(root, "/"))
			return strings.TrimSuffix(own, "/")
		}
	}
	return ""
}
