package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// options is a parsed option list of mount(8): what concerns the mount, what
// concerns its propagation, and what is the file system's own.
type options struct {
	bind, recursive  bool
	remount          bool   // change what is mounted there
	copyUp           bool   // a new tmpfs begins with what it covers
	set, clear       uint64 // MOUNT_ATTR_* of this mount
	setAll, clearAll uint64 // MOUNT_ATTR_* of this mount and all below it (rro, rnosuid, ...)
	propagation      []propagation
	data             []string
}

type propagation struct {
	flag uint64 // MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE
	all  bool   // and all below
}

var attributes = []struct {
	on, off string
	attr    uint64
}{
	{"ro", "rw", unix.MOUNT_ATTR_RDONLY}, {"nosuid", "suid", unix.MOUNT_ATTR_NOSUID},
	{"nodev", "dev", unix.MOUNT_ATTR_NODEV}, {"noexec", "exec", unix.MOUNT_ATTR_NOEXEC},
	{"nodiratime", "diratime", unix.MOUNT_ATTR_NODIRATIME}, {"nosymfollow", "symfollow", unix.MOUNT_ATTR_NOSYMFOLLOW},
}

// The access time modes are one field of several bits; relatime is its zero and
// the kernel's default.
var accessTimes = []struct {
	name string
	attr uint64
}{
	{"noatime", unix.MOUNT_ATTR_NOATIME}, {"strictatime", unix.MOUNT_ATTR_STRICTATIME}, {"relatime", 0},
	{"atime", 0}, {"norelatime", 0}, {"nostrictatime", 0},
}

var propagations = []struct {
	name string
	flag uint64
}{
	{"shared", unix.MS_SHARED}, {"slave", unix.MS_SLAVE}, {"private", unix.MS_PRIVATE}, {"unbindable", unix.MS_UNBINDABLE},
}

// parsePropagation knows the four and, with an r before them, the same for all below.
func parsePropagation(name string) (flag uint64, all, ok bool) {
	for _, p := range propagations {
		if name == p.name || name == "r"+p.name {
			return p.flag, name != p.name, true
		}
	}
	return 0, false, false
}

// parseOptions sorts an option list (OCI runtime specification, config.md,
// "Linux mount options"). The later of two that contradict each other wins.
func parseOptions(list []string) options {
	var o options
	for _, option := range list {
		switch flag, all, ok := parsePropagation(option); {
		case ok:
			o.propagation = append(o.propagation, propagation{flag, all})
		case option == "bind":
			o.bind = true
		case option == "rbind":
			o.bind, o.recursive = true, true
		case option == "remount":
			o.remount = true
		case option == "tmpcopyup":
			o.copyUp = true
		case option == "", option == "defaults", option == "async", option == "loud", option == "nomand", option == "noiversion":
			// what a mount has anyway
		case option == "silent": // as every mount by fsconfig(2): messages go to its own log, not the kernel's
		case option == "idmap", option == "ridmap":
			// OpenOutside's
		case setAttribute(option, &o.set, &o.clear):
		case strings.HasPrefix(option, "r") && setAttribute(option[1:], &o.setAll, &o.clearAll):
		default:
			o.data = append(o.data, option)
		}
	}
	return o
}

// setAttribute records what an option says of a mount, if it says anything.
func setAttribute(option string, set, clear *uint64) bool {
	for _, a := range attributes {
		switch option {
		case a.on:
			*set, *clear = *set|a.attr, *clear&^a.attr
			return true
		case a.off:
			*set, *clear = *set&^a.attr, *clear|a.attr
			return true
		}
	}
	for _, a := range accessTimes {
		if option == a.name {
			*set, *clear = *set&^unix.MOUNT_ATTR__ATIME|a.attr, *clear|unix.MOUNT_ATTR__ATIME
			return true
		}
	}
	return false
}
