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
	// For its maker the kernel counts what it counts for users and not for user namespaces
	// (namespaces(7)), all that is inotify's in it for one. Of what is counted for the host's
	// root containers would take from each other, and from the host.
	made := sync.OnceValues(func() (users *os.File, err error) {
		err = namespace.OnThread(func() error {
			if err := namespace.ActAs(ids.Host(0), ids.Host(0)); err != nil {
				return err
			}
			users, err = namespace.NewUser(ids.Inside(), ids.Inside())
			return err
		})
		return users, err
	})
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
		var st unix.Stat_t
		if len(left) == 0 && unix.Stat(one.Source, &st) == nil && max(st.Uid, st.Gid) >= m.record().UserNamespace.Size {
			left = []string{fmt.Sprintf("it, which belongs to %d:%d", st.Uid, st.Gid)}
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
	whole, left2, err := mapParts(tree, one.Source, users)
	if whole != nil {
		tree.Close()
		return whole, left2, nil
	}
	return tree, left, err
}

// mapParts opens a tree of mounts anew, with all of them mapped that can be: the kernel maps
// all of a tree or nothing, and no mount that is attached. So each is mapped alone, and then
// they are put together. nil, without an error: tree is one mount, or not what is at source.
func mapParts(tree *os.File, source string, users *os.File) (whole *os.File, left []string, err error) {
	source, err = filepath.EvalSymlinks(source)
	points, err2 := disk.MountPoints()
	below := strings.TrimSuffix(source, "/") + "/"
	points = slices.DeleteFunc(points, func(point string) bool { return point == source || !strings.HasPrefix(point, below) })
	if err = errors.Join(err, err2); err != nil || len(points) == 0 {
		return nil, nil, err
	}
	slices.Sort(points) // what is below comes after; of several on one point the last is seen
	points = slices.Compact(points)
	parts := map[string]*os.File{}
	defer func() {
		for _, part := range parts {
			part.Close()
		}
	}()
	var hidden []string
	for _, point := range append([]string{source}, points...) {
		inside := func(above string) bool { return strings.HasPrefix(point, above+"/") }
		if slices.ContainsFunc(hidden, inside) {
			continue
		}
		part, err := openPoint(point)
		if point != source && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EINVAL)) {
			hidden = append(hidden, point) // something else is mounted above it, or it is unbindable
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		parts[point] = part
		if point == source && !sameFile(part, tree) { // a volume's driver options, or its subpath
			return nil, nil, nil
		}
		// What is put on a copy that is still the original's peer would appear on the host.
		attr := unix.MountAttr{Propagation: unix.MS_SLAVE}
		if err := unix.MountSetattr(int(part.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return nil, nil, fmt.Errorf("make the copy of %s a slave: %w", point, err)
		}
		refused, err := mapIDs(part, point, users, false)
		if err != nil {
			return nil, nil, err
		}
		if !slices.ContainsFunc(left, inside) {
			left = append(left, refused...)
		}
	}
	whole, err = rootfs.Apart(parts[source], func(root *os.File) (*os.File, error) {
		for _, point := range points {
			if parts[point] == nil {
				continue
			}
			at, err := rootfs.Lookup(root, strings.TrimPrefix(point, below), false)
			if err == nil {
				err = unix.MoveMount(int(parts[point].Fd()), "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
				at.Close()
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) { // its mount point is deleted
				return nil, fmt.Errorf("move_mount to %s: %w", point, err)
			}
		}
		return root, nil
	})
	return whole, left, err
}

// openPoint makes a detached copy of the mount at a mount point. Whoever else can write to
// the source may have put a link on the way there, which would lead anywhere.
func openPoint(path string) (*os.File, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return openTree(fmt.Sprintf("/proc/self/fd/%d", fd), "bind")
}

func sameFile(a, b *os.File) bool {
	one, err := a.Stat()
	other, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(one, other)
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
