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
	"path/filepath"
	"slices"
	"strings"

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

// Attach attaches the container's root file system at the directory at, since
// pivot_root(2) wants a mount point, and gives it back. mount is detached; if it is nil,
// the directory path becomes a mount of its own. Neither stays a peer of the host's:
// pivot_root refuses that (EINVAL), and what is mounted below would appear there.
//
// At is best "/", over what all paths still start from: no path has to be walked, which
// the root of a user namespace could not walk everywhere. Only hooks look for it at its path.
func Attach(mount *os.File, path, at string) (*os.File, error) {
	var err error
	if mount == nil {
		mount, err = OpenRoot(path)
	} else {
		err = enslave(mount)
	}
	if err != nil {
		return nil, err
	}
	// A mount below a shared parent would appear on the host too, and
	// pivot_root refuses a shared parent (EINVAL).
	if err := privateParent(at); err != nil {
		return nil, err
	}
	trace.Step("move_mount", "the root file system on %s", at)
	if err := unix.MoveMount(int(mount.Fd()), "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return nil, fmt.Errorf("attach root file system at %s: %w", at, err)
	}
	return mount, nil
}

// privateParent makes the mount that holds path private in this namespace.
func privateParent(path string) error {
	for at := path; ; at = filepath.Dir(at) {
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

// HideHost takes the host's proc and sysfs mounts away from a mount namespace that is
// left as it is below the container's root: the kernel would judge by them that the
// container may mount such file systems without what masks them.
func HideHost() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make / a slave: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if kind := fields[slices.Index(fields, "-")+1]; kind != "proc" && kind != "sysfs" {
			continue
		}
		// Mount points of the container have the same names, but no path from here leads to
		// them. In a user namespace what the host has mounted stays (EINVAL), and is covered.
		err := unix.Unmount(fields[4], unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) {
			err = unix.Mount("tmpfs", fields[4], "tmpfs", 0, "")
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount the host's %s: %w", fields[4], err)
		}
	}
	return nil
}

// ChangeRoot leads into root without pivot_root(2), which refuses where the host's root
// is the initial ramfs. What was the root before stays in the mount namespace.
func ChangeRoot(root *os.File) error {
	trace.Step("chroot", "the root file system")
	if err := unix.Fchdir(int(root.Fd())); err != nil {
		return fmt.Errorf("chdir to the new root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	return unix.Chdir("/")
}

// Seal finishes the root: read-only if asked for, and its propagation; by the
// names with an r before them that of all below too. A shared root begins a peer
// group of its own: it is a copy of a mount of the host, perhaps still its peer.
func Seal(root *os.File, readOnly bool, propagation string) error {
	if readOnly {
		trace.Step("mount_setattr", "/ read-only")
		if err := setAttributes(root, 0, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("make the root file system read-only: %w", err)
		}
	}
	flag, all, ok := parsePropagation(propagation)
	if !ok {
		return nil
	}
	trace.Step("mount_setattr", "/ %s", propagation)
	if flag == unix.MS_SHARED {
		if err := setAttributes(root, 0, unix.MountAttr{Propagation: unix.MS_PRIVATE}); err != nil {
			return fmt.Errorf("make the root file system private: %w", err)
		}
	}
	if err := setAttributes(root, recursive(all), unix.MountAttr{Propagation: flag}); err != nil {
		return fmt.Errorf("make the root file system %s: %w", propagation, err)
	}
	return nil
}
