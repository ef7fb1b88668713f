// Package rootfs builds what a container sees as / and moves a process into it:
// the root file system, proc, sys, dev, bind mounts, masked paths.
//
// All of it happens in the container's mount namespace, so nothing on the host
// changes and nothing is left when the container's last process is gone.
package rootfs

import (
	"fmt"
	"os"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// Isolate cuts the mount namespace off from the host's, before the first mount:
// a new mount namespace is a copy whose mounts are still peers of the host's
// (systemd makes / shared), so what is mounted in it would appear on the host, and
// a /proc mounted in it would break the host's. propagation is rslave if it is
// empty (what the host mounts later still arrives), rprivate, or for a container
// that is to mount on the host rshared (mount_namespaces(7)).
func Isolate(propagation string) error {
	if propagation == "" {
		propagation = "rslave"
	}
	flag, all, ok := parsePropagation(propagation)
	if !ok {
		return fmt.Errorf("unknown root propagation %q", propagation)
	}
	if flag == unix.MS_UNBINDABLE {
		flag = unix.MS_PRIVATE // until the root is in place, see Seal
	}
	if all {
		flag |= unix.MS_REC
	}
	trace.Step("mount", "/ %s", propagation)
	if err := unix.Mount("", "/", "", uintptr(flag), ""); err != nil {
		return fmt.Errorf("make / %s: %w", propagation, err)
	}
	return nil
}

// Attach attaches the container's root file system, since pivot_root(2) wants a mount
// point, and gives it back. mount is detached; if it is nil, the directory path becomes a
// mount of its own.
//
// It is put on "/", over what all paths still start from: no path has to be walked, which
// the root of a user namespace could not walk everywhere.
func Attach(mount *os.File, path string) (*os.File, error) {
	// A mount below a shared parent would appear on the host too, and
	// pivot_root refuses a shared parent (EINVAL).
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make the mount of / private: %w", err)
	}
	if mount == nil {
		var err error
		if mount, err = OpenRoot(path); err != nil {
			return nil, err
		}
	}
	trace.Step("move_mount", "the root file system on /")
	if err := unix.MoveMount(int(mount.Fd()), "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, fmt.Errorf("attach root file system: %w", err)
	}
	return mount, nil
}

// OpenRoot opens the directory path, with all that is mounted below, as a detached mount.
func OpenRoot(path string) (*os.File, error) {
	trace.Step("open_tree", "%s (recursive): the root becomes a mount of its own", path)
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, fmt.Errorf("open_tree %s: %w", path, err)
	}
	mount := os.NewFile(uintptr(fd), path)
	return mount, enslave(mount)
}

// enslave keeps what is mounted below a detached copy from appearing on the host: it is
// a peer of the mount it was copied from.
func enslave(mount *os.File) error {
	attr := unix.MountAttr{Propagation: unix.MS_SLAVE}
	if err := unix.MountSetattr(int(mount.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("make the mount of %s a slave: %w", mount.Name(), err)
	}
	return nil
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
	if flag, all, ok := parsePropagation(propagation); ok && !all {
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
