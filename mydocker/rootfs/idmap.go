package rootfs

import (
	"errors"
	"fmt"
	"os"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// MapIDs makes a detached mount an id-mapped one (mount_setattr(2), since 5.12): what an id
// of the file system is inside userns, it is by this mount outside; recursive: with all
// mounted below, and then all of them or none. EINVAL or EOPNOTSUPP from the kernel mean
// that a file system cannot be id-mapped, EPERM that it or the mount is id-mapped already,
// or that userns is the initial one.
func MapIDs(mount, userns *os.File, recursive bool) error {
	trace.Step("mount_setattr", "%s MOUNT_ATTR_IDMAP (recursive: %t)", mount.Name(), recursive)
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	err := unix.MountSetattr(int(mount.Fd()), "", flags, &attr)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w (its file system cannot be id-mapped)", err)
	}
	if err != nil {
		return fmt.Errorf("id-map the mount of %s: %w", mount.Name(), err)
	}
	return nil
}
