package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Resolve returns the group that a specification's linux.cgroupsPath names (OCI
// config-linux.md, "Cgroups Path"); "" is the container's id. As in runc, an absolute path
// begins at the mount points, a relative one at the caller's own group in each hierarchy;
// on version 2 beside it, since a group that has processes cannot enable controllers for
// groups below. A ".." does not leave the place where the path begins.
func Resolve(path, id string) (Group, error) {
	host, err := Host()
	own, err2 := readProcCgroup("/proc/self/cgroup")
	if err := errors.Join(err, err2); err != nil {
		return Group{}, err
	}
	return host.resolve(path, id, own)
}

func (h *Hierarchies) resolve(path, id string, own map[string]string) (Group, error) {
	if path == "" {
		path = id
	}
	clean := filepath.Clean("/" + path)
	if clean == "/" {
		return Group{}, fmt.Errorf("cgroupsPath %q is the group where it begins, not one of the container's", path)
	}
	if filepath.IsAbs(path) {
		return h.Open(clean)
	}
	if h.Version == 2 {
		return h.Open(filepath.Join("/", strings.TrimPrefix(filepath.Dir(own[""]), h.find("").root), clean))
	}
	below := &Hierarchies{Version: h.Version, trees: slices.Clone(h.trees)}
	for i, tree := range below.trees {
		below.trees[i] = tree.at(strings.TrimPrefix(own[tree.name], tree.root))
	}
	return below.Open(clean)
}

// at is the tree as seen from one of its groups.
func (t hierarchy) at(group string) hierarchy {
	t.mount, t.root, t.below = filepath.Join(t.mount, group), filepath.Join(t.root, group), group
	return t
}

// Of returns the group below g in which the process pid is, or g itself: on version 2
// the first process of a container may have gone into a group of its own, to enable
// controllers, and then the group above takes no process more (EBUSY).
func (g Group) Of(pid int) Group {
	names, err := readProcCgroup(fmt.Sprintf("/proc/%d/cgroup", pid))
	path := filepath.Join("/", strings.TrimPrefix(names[""], g.host.find("").root))
	if err == nil && g.host.Version == 2 && strings.HasPrefix(path, g.path+"/") {
		g.path = path
	}
	return g
}

// ErrFrozen and ErrNotEmpty report a group that is there already, and in use.
var (
	ErrFrozen   = errors.New("container's cgroup unexpectedly frozen")
	ErrNotEmpty = errors.New("container's cgroup is not empty")
)

// CheckFree returns ErrNotEmpty if there are processes in the group, with their number in runc's
// words, and ErrFrozen if what is born there would stop at once.
func (g Group) CheckFree() error {
	frozen, err := g.Frozen()
	if frozen {
		return ErrFrozen
	}
	for _, dir := range g.Paths() {
		list, err2 := readFields(dir, "cgroup.procs")
		if !gone(err2) {
			err = errors.Join(err, err2)
		}
		if len(list) > 0 {
			return fmt.Errorf("%w: %d process(es) found", ErrNotEmpty, len(list))
		}
	}
	return err
}
