package rootfs

import (
	"errors"
	"fmt"
	"os"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// Cover is what hides a masked path: taken from the host before the container's
// root is entered, and checked, since the container's own /dev/null may be a
// link to anything (CVE-2025-31133).
type Cover struct{ null *os.File }

// OpenCover opens the host's /dev/null as the cover of files.
func OpenCover() (*Cover, error) {
	null, err := os.OpenFile("/dev/null", unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(null.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return nil, fmt.Errorf("the host's /dev/null is not the null device")
	}
	return &Cover{null}, nil
}

// Mask hides paths: a directory below an empty read-only tmpfs, a file below
// /dev/null. Absent ones are left alone.
func (c *Cover) Mask(root *os.File, paths []string) error {
	var empty *os.File
	for _, path := range paths {
		at, err := lookup(root, path, 0)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("mask %s: %w", path, err)
		}
		trace.Step("mask", "%s", path)
		err = c.cover(at, &empty)
		at.Close()
		if err != nil {
			return fmt.Errorf("mask %s: %w", path, err)
		}
	}
	if empty != nil {
		empty.Close()
	}
	return nil
}

// cover hides one path. All directories share one tmpfs instance, empty.
func (c *Cover) cover(at *os.File, empty **os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return err
	}
	source := c.null
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if *empty == nil {
			fs, err := newMount("tmpfs", "tmpfs", options{
				set:  unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
				data: []string{"nr_blocks=1", "nr_inodes=1"}})
			if err != nil {
				return err
			}
			*empty = fs
			return attach(fs, at)
		}
		source = *empty
	}
	fd, err := unix.OpenTree(int(source.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	mount := os.NewFile(uintptr(fd), "cover")
	defer mount.Close()
	// Read-only: the null device is the host's, and root in the container could
	// change its mode and owner. Data can be written to a device all the same.
	if err := bindAttributes(mount, options{set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC}); err != nil {
		return err
	}
	return attach(mount, at)
}

// MakeReadOnly makes paths, with all that is mounted below them, read-only.
// Absent ones are left alone.
func MakeReadOnly(root *os.File, paths []string) error {
	for _, path := range paths {
		trace.Step("read-only", "%s", path)
		if err := readOnly(root, path); err != nil {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	return nil
}

// readOnly makes the mount that path stands on read-only, or if path is no
// mount of its own, binds it over itself and makes that read-only. An absent
// path is a success.
func readOnly(root *os.File, path string) error {
	at, err := lookup(root, path, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer at.Close()
	fd, err := unix.OpenTree(int(at.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("open_tree %s: %w", path, err)
	}
	copied := os.NewFile(uintptr(fd), path)
	defer copied.Close()
	if err := bindAttributes(copied, options{setAll: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return err
	}
	return attach(copied, at)
}
