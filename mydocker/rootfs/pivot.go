// Package rootfs builds what a container sees as / and moves a process into it:
// the root file system, proc, sys, dev, bind mounts, masked paths.
//
// All of it happens in the container's mount namespace, so nothing on the host
// changes and nothing is left when the container's last process is gone.
package rootfs

import (
	"errors"
	"fmt"
	"os"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// Isolate cuts the mount namespace off from the host's, before the first mount:
// a new mount namespace is a copy whose mounts are still peers of the host's
// (systemd makes / shared), so what is mounted in it would appear on the host, and
// a /proc mounted in it would break the host's. propagation is "", "rslave" (what
// the host mounts later still arrives), "rprivate", "slave" or "private", or for a
// container that is to mount on the host "rshared" or "shared".
func Isolate(propagation string) error {
	flags := uintptr(unix.MS_REC)
	switch propagation {
	case "", "rslave":
		flags |= unix.MS_SLAVE
	case "slave":
		flags = unix.MS_SLAVE
	case "rprivate":
		flags |= unix.MS_PRIVATE
	case "private":
		flags = unix.MS_PRIVATE
	case "rshared":
		flags |= unix.MS_SHARED
	case "shared":
		flags = unix.MS_SHARED
	case "unbindable", "runbindable":
		flags |= unix.MS_PRIVATE // the root becomes unbindable once it is in place
	default:
		return fmt.Errorf("unknown root propagation %q", propagation)
	}
	trace.Step("mount", "/ %s", orDefault(propagation))
	if err := unix.Mount("", "/", "", flags, ""); err != nil {
		return fmt.Errorf("make / %s: %w", orDefault(propagation), err)
	}
	return nil
}

func orDefault(propagation string) string {
	if propagation == "" {
		return "rslave"
	}
	return propagation
}

// Attach puts the container's root file system at path and opens it. mount is
// the detached mount to put there; if it is nil the directory itself is bound
// over itself, because pivot_root(2) wants a mount point.
func Attach(mount *os.File, path string) (*os.File, error) {
	// A mount below a shared parent would appear on the host too, and
	// pivot_root refuses a shared parent (EINVAL).
	if err := privateParent(path); err != nil {
		return nil, err
	}
	if mount == nil {
		trace.Step("open_tree", "%s (recursive): the root becomes a mount of its own", path)
		fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return nil, fmt.Errorf("open_tree %s: %w", path, err)
		}
		mount = os.NewFile(uintptr(fd), path)
	}
	trace.Step("move_mount", "the root file system on %s", path)
	if err := unix.MoveMount(int(mount.Fd()), "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, fmt.Errorf("attach root file system at %s: %w", path, err)
	}
	root, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("open root file system: %w", err)
	}
	return root, nil
}

// privateParent makes the mount that holds path private in this namespace.
func privateParent(path string) error {
	for at := path; ; at = parentOf(at) {
		err := unix.Mount("", at, "", unix.MS_PRIVATE, "")
		if err == nil {
			return nil
		}
		// EINVAL: at is no mount point; the mount that holds it is further up.
		if !errors.Is(err, unix.EINVAL) || at == "/" {
			return fmt.Errorf("make the mount above %s private: %w", path, err)
		}
	}
}

func parentOf(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "/"
}

// Pivot makes root the root of the mount namespace and lets go of the old one.
// chroot(2) would leave the host's mounts in the namespace, one descriptor away.
func Pivot(root *os.File) error {
	old, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer old.Close()
	if err := unix.Fchdir(int(root.Fd())); err != nil {
		return fmt.Errorf("chdir to the new root: %w", err)
	}
	// With both arguments "." the old root is stacked over the new one, so no
	// directory is needed to put it in (pivot_root(2), NOTES).
	trace.Step("pivot_root", `". ."`)
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Fchdir(int(old.Fd())); err != nil {
		return fmt.Errorf("chdir to the old root: %w", err)
	}
	// Slave, so that unmounting here does not unmount on the host.
	if err := unix.Mount("", ".", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make the old root a slave: %w", err)
	}
	trace.Step("umount", "the old root (MNT_DETACH)")
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the old root: %w", err)
	}
	return unix.Chdir("/")
}

// Seal finishes the root: read-only if asked for, and its propagation.
func Seal(root *os.File, readOnly bool, propagation string) error {
	attr := unix.MountAttr{}
	if readOnly {
		trace.Step("mount_setattr", "/ read-only")
		attr.Attr_set = unix.MOUNT_ATTR_RDONLY
	}
	flag, all := propagationFlag(propagation)
	if !all && len(propagation) > 1 && propagation[0] == 'r' {
		flag, all = propagationFlag(propagation[1:])
	}
	if all {
		attr.Propagation = flag
	}
	if attr.Attr_set == 0 && attr.Propagation == 0 {
		return nil
	}
	if err := unix.MountSetattr(int(root.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("finish the root file system: %w", err)
	}
	return nil
}
