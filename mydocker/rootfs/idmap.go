package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
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

// OpenOutside opens the source of a bind mount for an init that may not: one in the user
// namespace user, or any if the mount is to be id-mapped (OCI runtime specification,
// config.md, "mounts"), which needs privileges over the source's file system. For
// other mounts it gives nil.
func OpenOutside(m specs.Mount, user *os.File) (*os.File, error) {
	o := parseOptions(m.Options)
	recursive := slices.Contains(m.Options, "ridmap")
	mapped := recursive || slices.Contains(m.Options, "idmap") || len(m.UIDMappings)+len(m.GIDMappings) > 0
	switch {
	case o.remount:
		return nil, nil
	case mapped && !IsBind(m):
		return nil, fmt.Errorf("mount %s on %s: only a bind mount can be id-mapped", m.Type, m.Destination)
	case mapped && user == nil && len(m.UIDMappings) == 0:
		return nil, fmt.Errorf("mount %s on %s: idmap without mappings, in a container without a user namespace", m.Source, m.Destination)
	case !IsBind(m) || !mapped && user == nil:
		return nil, nil
	}
	source, err := openSource(m, o)
	if err == nil {
		err = enslave(source.mount)
	}
	if err == nil && mapped {
		err = mapSource(source.mount, m, user, recursive)
	}
	if err != nil {
		return nil, fmt.Errorf("bind mount %s on %s: %w", m.Source, m.Destination, err)
	}
	return source.mount, nil
}

// mapSource maps by the mount's own mappings, or if it has none those of the container.
func mapSource(mount *os.File, m specs.Mount, user *os.File, recursive bool) (err error) {
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 {
		if user, err = namespace.NewUser(m.UIDMappings, m.GIDMappings); err != nil {
			return err
		}
		defer user.Close()
	}
	return MapIDs(mount, user, recursive)
}
