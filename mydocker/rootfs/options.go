package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// options is a parsed option list of mount(8): what concerns the mount, what
// concerns its propagation, and what is the file system's own.
type options struct {
	bind, recursive bool
	set, clear      uint64   // MOUNT_ATTR_* of this mount
	setAll          uint64   // MOUNT_ATTR_* of this mount and all below it (rro, rnosuid, ...)
	clearAll        uint64   //
	propagation     uint64   // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE; 0: as the specification's default
	propagationAll  bool     // and all below
	data            []string // key or key=value, for the file system
}

// attribute maps an option to the MOUNT_ATTR_* it sets or, with clear, unsets.
func attribute(name string) (attr uint64, clear, ok bool) {
	switch name {
	case "ro":
		return unix.MOUNT_ATTR_RDONLY, false, true
	case "rw":
		return unix.MOUNT_ATTR_RDONLY, true, true
	case "nosuid":
		return unix.MOUNT_ATTR_NOSUID, false, true
	case "suid":
		return unix.MOUNT_ATTR_NOSUID, true, true
	case "nodev":
		return unix.MOUNT_ATTR_NODEV, false, true
	case "dev":
		return unix.MOUNT_ATTR_NODEV, true, true
	case "noexec":
		return unix.MOUNT_ATTR_NOEXEC, false, true
	case "exec":
		return unix.MOUNT_ATTR_NOEXEC, true, true
	case "nodiratime":
		return unix.MOUNT_ATTR_NODIRATIME, false, true
	case "diratime":
		return unix.MOUNT_ATTR_NODIRATIME, true, true
	case "nosymfollow":
		return unix.MOUNT_ATTR_NOSYMFOLLOW, false, true
	case "symfollow":
		return unix.MOUNT_ATTR_NOSYMFOLLOW, true, true
	case "noatime":
		return unix.MOUNT_ATTR_NOATIME, false, true
	case "strictatime":
		return unix.MOUNT_ATTR_STRICTATIME, false, true
	case "relatime", "atime", "norelatime", "nostrictatime":
		return unix.MOUNT_ATTR_RELATIME, false, true // 0: the kernel's default
	}
	return 0, false, false
}

func propagationFlag(name string) (flag uint64, ok bool) {
	switch name {
	case "shared":
		return unix.MS_SHARED, true
	case "slave":
		return unix.MS_SLAVE, true
	case "private":
		return unix.MS_PRIVATE, true
	case "unbindable":
		return unix.MS_UNBINDABLE, true
	}
	return 0, false
}

// parseOptions sorts an option list (OCI runtime specification, config.md,
// "Linux mount options").
func parseOptions(list []string) options {
	var o options
	for _, option := range list {
		o.add(option)
	}
	return o
}

func (o *options) add(option string) {
	if flag, ok := propagationFlag(option); ok {
		o.propagation, o.propagationAll = flag, false
		return
	}
	if flag, ok := propagationFlag(strings.TrimPrefix(option, "r")); ok {
		o.propagation, o.propagationAll = flag, true
		return
	}
	if attr, clear, ok := attribute(option); ok {
		change(&o.set, &o.clear, attr, clear)
		return
	}
	if rest, found := strings.CutPrefix(option, "r"); found {
		if attr, clear, ok := attribute(rest); ok {
			change(&o.setAll, &o.clearAll, attr, clear)
			return
		}
	}
	switch option {
	case "bind":
		o.bind = true
	case "rbind":
		o.bind, o.recursive = true, true
	case "defaults", "async", "loud", "nomand", "noiversion", "":
		// what a mount has anyway
	default:
		o.data = append(o.data, option)
	}
}

// change records that attr is wanted or not; the later option wins. The access
// time modes are one field of several bits: setting one clears the others.
func change(set, clear *uint64, attr uint64, off bool) {
	if attr == unix.MOUNT_ATTR_NOATIME || attr == unix.MOUNT_ATTR_STRICTATIME || attr == unix.MOUNT_ATTR_RELATIME {
		*set = *set&^unix.MOUNT_ATTR__ATIME | attr
		*clear |= unix.MOUNT_ATTR__ATIME
		return
	}
	if off {
		*clear |= attr
		*set &^= attr
		return
	}
	*set |= attr
	*clear &^= attr
}
