package security

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
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

// DefaultCapabilities are the fourteen a Docker container's processes have
// when nobody asks for others.
func DefaultCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

// KnownCapabilities are all by name, whatever this host has.
func KnownCapabilities() []string { return slices.Clone(capabilityNames[:]) }

// AvailableCapabilities are those this thread may give away: a virtual machine
// or a surrounding container may lack some that the kernel knows.
func AvailableCapabilities() ([]string, error) {
	current, err := capget()
	if err != nil {
		return nil, err
	}
	var names []string
	for number, name := range capabilityNames {
		if current.permitted>>number&1 == 1 {
			names = append(names, name)
		}
	}
	return names, nil
}

// ParseCapabilities brings names as a user writes them ("net_admin",
// "CAP_NET_ADMIN", "all") to their full form; ALL stays ALL. A name that the
// kernel does not know, or that is not in available, is an error.
func ParseCapabilities(names, available []string) ([]string, error) {
	var parsed []string
	for _, name := range names {
		name = strings.ToUpper(name)
		if name != "ALL" {
			if !strings.HasPrefix(name, "CAP_") {
				name = "CAP_" + name
			}
			if !slices.Contains(capabilityNames[:], name) {
				return nil, fmt.Errorf("unknown capability: %q", name)
			}
			if !slices.Contains(available, name) {
				return nil, fmt.Errorf("capability not supported by your kernel or not available in the current environment: %q", name)
			}
		}
		parsed = append(parsed, name)
	}
	return parsed, nil
}

// SelectCapabilities is what a container gets: Docker's default set changed by
// --cap-add and --cap-drop, or everything available if it is privileged.
//
// What the host lacks is left out in silence where nobody named it: the default
// set, ALL, and --privileged mean "as much as there is".
func SelectCapabilities(add, drop []string, privileged bool, available []string) ([]string, error) {
	add, err := ParseCapabilities(add, available)
	if err != nil {
		return nil, fmt.Errorf("invalid CapAdd: %w", err)
	}
	drop, err = ParseCapabilities(drop, available)
	if err != nil {
		return nil, fmt.Errorf("invalid CapDrop: %w", err)
	}
	switch {
	case privileged:
		return slices.Clone(available), nil
	case slices.Contains(add, "ALL"):
		return without(available, drop), nil
	case slices.Contains(drop, "ALL"):
		return add, nil
	}
	selected := slices.DeleteFunc(DefaultCapabilities(), func(name string) bool {
		return !slices.Contains(available, name) || slices.Contains(drop, name)
	})
	return append(selected, without(add, selected)...), nil
}

func without(names, unwanted []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(unwanted, name) })
}

// Capabilities belong to a thread (capabilities(7)), and so all functions below
// change the calling thread alone. Init calls them, SetUser between them, from
// the one thread that it has locked and that will call execve: execve ends all
// others, so no thread keeps what this one gave up.

// DropBounding removes from the bounding set what caps (nil: nothing allowed)
// does not name. It comes before SetUser, because it needs CAP_SETPCAP.
func DropBounding(caps *specs.LinuxCapabilities) error {
	keep := mask(sets(caps).Bounding)
	trace.Step("prctl", "PR_CAPBSET_DROP all but %#x", keep)
	for number := range uintptr(64) {
		if keep>>number&1 == 1 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0)
		if err == unix.EINVAL {
			break // past the last capability of this kernel
		}
		if err != nil {
			return fmt.Errorf("drop capability %d from the bounding set: %w", number, err)
		}
	}
	return nil
}

// KeepCapabilities makes the permitted set outlive SetUser: otherwise the step
// from user 0 to another clears it, and SetCapabilities has nothing to choose
// from. execve resets it.
func KeepCapabilities() error {
	trace.Step("prctl", "PR_SET_KEEPCAPS 1")
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keep capabilities over the change of user: %w", err)
	}
	return nil
}

// SetCapabilities sets the effective, permitted, inheritable and ambient sets;
// nil means none. It comes after SetUser. What the thread does not have itself
// cannot be given and is left out.
func SetCapabilities(caps *specs.LinuxCapabilities) error {
	current, err := capget()
	if err != nil {
		return err
	}
	want := sets(caps)
	permitted := mask(want.Permitted) & current.permitted
	next := capabilitySets{
		effective:   mask(want.Effective) & permitted,
		permitted:   permitted,
		inheritable: mask(want.Inheritable) & (current.permitted | current.inheritable),
	}
	// The ambient set shrinks by itself as permitted and inheritable do, but is
	// cleared first so that it ends as exactly what was asked for.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	if err := capset(next); err != nil {
		return err
	}
	ambient := mask(want.Ambient) & next.permitted & next.inheritable
	for number, name := range capabilityNames {
		if ambient>>number&1 == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(number), 0, 0); err != nil {
			return fmt.Errorf("raise ambient %s: %w", name, err)
		}
	}
	return nil
}

func sets(caps *specs.LinuxCapabilities) specs.LinuxCapabilities {
	if caps == nil {
		return specs.LinuxCapabilities{}
	}
	return *caps
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

type capabilitySets struct{ effective, permitted, inheritable uint64 }

// capget(2) and capset(2) carry 64 bits as two structs of 32 since version 3.
const capabilityVersion = unix.LINUX_CAPABILITY_VERSION_3

func capget() (capabilitySets, error) {
	header := unix.CapUserHeader{Version: capabilityVersion}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return capabilitySets{}, fmt.Errorf("capget: %w", err)
	}
	join := func(low, high uint32) uint64 { return uint64(high)<<32 | uint64(low) }
	return capabilitySets{
		effective:   join(data[0].Effective, data[1].Effective),
		permitted:   join(data[0].Permitted, data[1].Permitted),
		inheritable: join(data[0].Inheritable, data[1].Inheritable),
	}, nil
}

func capset(c capabilitySets) error {
	trace.Step("capset", "effective %#x permitted %#x inheritable %#x", c.effective, c.permitted, c.inheritable)
	header := unix.CapUserHeader{Version: capabilityVersion}
	data := [2]unix.CapUserData{
		{Effective: uint32(c.effective), Permitted: uint32(c.permitted), Inheritable: uint32(c.inheritable)},
		{Effective: uint32(c.effective >> 32), Permitted: uint32(c.permitted >> 32), Inheritable: uint32(c.inheritable >> 32)},
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("capset %#x: %w", c.permitted, err)
	}
	return nil
}
