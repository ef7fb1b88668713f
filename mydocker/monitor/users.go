package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// makeUsers begins to make the container's user namespace, which serves all its lives: who
// asks first waits for it. nil, nil: it has none of its own.
func (m *Monitor) makeUsers() func() (*os.File, error) {
	ids := m.record().UserNamespace
	if ids.Mode != container.Private || ids.Container != "" {
		return func() (*os.File, error) { return nil, nil }
	}
	made := sync.OnceValues(func() (*os.File, error) { return namespace.NewUser(ids.Inside(), ids.Inside()) })
	go made()
	return made
}

// mapMounts opens what the container's bind mounts show, and id-maps it: a file belongs to
// the same user inside as on the host. What cannot be id-mapped is bound as it is, with a
// line in warnings: the container's users are strangers there.
func (m *Monitor) mapMounts(j *joined, users *os.File, mounts []specs.Mount) error {
	for _, one := range mounts {
		if one.Type != "bind" || one.Source == runtime.JoinedShm {
			continue
		}
		tree, left, err := mapMount(one, j.given[one.Destination], users)
		if tree != nil {
			j.given[one.Destination] = tree
		}
		if err == nil && len(left) > 0 && j.memory[one.Destination] {
			left, err = nil, m.own(tree)
		}
		if err != nil {
			return fmt.Errorf("mount %s on %s: %w", one.Source, one.Destination, err)
		}
		if len(left) > 0 {
			m.warnings = append(m.warnings, fmt.Sprintf("%s on %s: the kernel cannot map the owners of files in %s: there they are nobody's in the container, unless it is made with --userns host",
				one.Source, one.Destination, strings.Join(left, ", ")))
		}
	}
	return nil
}

// own gives a file system that is new, and the container's alone, to the user inside who is
// its owner: a tmpfs can be id-mapped since Linux 6.3.
func (m *Monitor) own(tree *os.File) error {
	ids := m.record().UserNamespace
	var st unix.Stat_t
	if err := unix.Fstat(int(tree.Fd()), &st); err != nil {
		return err
	}
	return unix.Fchownat(int(tree.Fd()), "", ids.Host(st.Uid), ids.Host(st.Gid), unix.AT_EMPTY_PATH)
}

// mapMount id-maps tree, the open source of a bind mount; nil: it opens it. left are the
// mounts that it could not map. The caller closes tree, after an error too.
func mapMount(one specs.Mount, tree, users *os.File) (_ *os.File, left []string, err error) {
	recursive := slices.Contains(one.Options, "rbind")
	if tree == nil {
		if tree, err = openTree(one.Source, one.Options[0]); err != nil {
			return nil, nil, err
		}
	}
	if left, err = mapIDs(tree, one.Source, users, recursive); len(left) == 0 || !recursive {
		return tree, left, err
	}
	// The kernel maps all of a tree or nothing, and no mount that is attached. So each of them
	// is mapped alone, and then they are put together.
	source, err := filepath.EvalSymlinks(one.Source)
	points, err2 := disk.MountPoints()
	points = slices.DeleteFunc(points, func(point string) bool { return !strings.HasPrefix(point, strings.TrimSuffix(source, "/")+"/") })
	if err = errors.Join(err, err2); err != nil || len(points) == 0 {
		return tree, left, err
	}
	slices.Sort(points) // what is below comes after; of several on one point the last is seen
	points = slices.Compact(points)
	tree.Close()
	parts := map[string]*os.File{}
	defer func() {
		for _, part := range parts {
			part.Close()
		}
	}()
	left = nil
	for _, point := range append([]string{source}, points...) {
		part, err := openTree(point, "bind")
		if errors.Is(err, unix.ENOENT) { // something else is mounted above it
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		parts[point] = part
		// What is put on a copy that is still the original's peer would appear on the host.
		attr := unix.MountAttr{Propagation: unix.MS_SLAVE}
		if err := unix.MountSetattr(int(part.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return nil, nil, fmt.Errorf("make the copy of %s a slave: %w", point, err)
		}
		refused, err := mapIDs(part, point, users, false)
		if err != nil {
			return nil, nil, err
		}
		left = append(left, refused...)
	}
	tree, err = rootfs.Apart(parts[source], func(root *os.File) (*os.File, error) {
		for _, point := range points {
			if parts[point] == nil {
				continue
			}
			err := unix.MoveMount(int(parts[point].Fd()), "", int(root.Fd()), "."+strings.TrimPrefix(point, strings.TrimSuffix(source, "/")), unix.MOVE_MOUNT_F_EMPTY_PATH)
			if err != nil {
				return root, fmt.Errorf("move_mount to %s: %w", point, err)
			}
		}
		return root, nil
	})
	return tree, left, err
}

// openTree makes a detached copy of the mount at path; kind is bind or rbind.
func openTree(path, kind string) (*os.File, error) {
	return rootfs.OpenMount(specs.Mount{Type: "bind", Source: path, Options: []string{kind}})
}

// mapIDs id-maps a mount. left is its path if it cannot be: its file system has no such thing
// (EINVAL), or it is id-mapped already, or belongs to another user namespace (EPERM).
func mapIDs(tree *os.File, path string, users *os.File, recursive bool) (left []string, err error) {
	err = rootfs.MapIDs(tree, users, recursive)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPERM) {
		return []string{path}, nil
	}
	return nil, err
}
