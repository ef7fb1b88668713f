// Package security limits what a process inside the container may do, however
// privileged its user is there: capabilities, the system call filter (seccomp),
// resource limits, no_new_privs, and whose IDs the users inside have. On the host it owns
// the leases of ID ranges, see Ranges; all else are properties of a thread, inherited over
// execve and gone with it, also after a crash.
package security

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilityNames are the capabilities in the order of their numbers
// (linux/capability.h, capabilities(7)); a name's index is its number.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
	"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
	"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
	"CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ",
	"CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// Capabilities are the names of all that are known.
func Capabilities() []string { return capabilityNames[:] }

// DefaultCapabilities are a Docker container's when nobody asks for others.
func DefaultCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

// AvailableCapabilities are those this thread may give away: a virtual machine
// or a surrounding container may lack some that the kernel knows.
func AvailableCapabilities() ([]string, error) {
	current, err := capget()
	if err != nil {
		return nil, err
	}
	var names []string
	for number, name := range capabilityNames {
		if current[number/32].Permitted>>(number%32)&1 == 1 {
			names = append(names, name)
		}
	}
	return names, nil
}

// SelectCapabilities is what a container gets: Docker's default set changed by
// --cap-add and --cap-drop, or everything available if it is privileged. Names
// may be written "net_admin", "CAP_NET_ADMIN" or "all".
// What the host lacks is an error where it is named, and otherwise left out.
func SelectCapabilities(add, drop []string, privileged bool, available []string) ([]string, error) {
	add, addAll, err := parseCapabilities(add, available)
	if err != nil {
		return nil, fmt.Errorf("invalid CapAdd: %w", err)
	}
	drop, dropAll, err := parseCapabilities(drop, available)
	if err != nil {
		return nil, fmt.Errorf("invalid CapDrop: %w", err)
	}
	switch {
	case privileged:
		return slices.Clone(available), nil
	case addAll:
		return without(available, drop), nil
	case dropAll:
		return add, nil
	}
	selected := slices.DeleteFunc(without(DefaultCapabilities(), drop), func(name string) bool { return !slices.Contains(available, name) })
	return append(selected, without(add, selected)...), nil
}

func parseCapabilities(names, available []string) (parsed []string, all bool, err error) {
	for _, name := range names {
		name = "CAP_" + strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		switch {
		case name == "CAP_ALL":
			all = true
		case !slices.Contains(capabilityNames[:], name):
			return nil, false, fmt.Errorf("unknown capability: %q", name)
		case !slices.Contains(available, name):
			return nil, false, fmt.Errorf("capability not supported by your kernel or not available in the current environment: %q", name)
		default:
			parsed = append(parsed, name)
		}
	}
	return parsed, all, nil
}

func without(names, unwanted []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(unwanted, name) })
}

// mask has a bit for each name. A name that is none is ignored, as the OCI
// runtime spec asks of a capability the runtime cannot map.
func mask(names []string) (bits uint64) {
	for _, name := range names {
		if number := slices.Index(capabilityNames[:], name); number >= 0 {
			bits |= 1 << number
		}
	}
	return bits
}

const capabilityVersion = unix.LINUX_CAPABILITY_VERSION_3 // 64 bits as two structs of 32

func capget() (sets [2]unix.CapUserData, err error) {
	if err := unix.Capget(&unix.CapUserHeader{Version: capabilityVersion}, &sets[0]); err != nil {
		return sets, fmt.Errorf("capget: %w", err)
	}
	return sets, nil
}
