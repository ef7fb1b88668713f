// Package namespace turns the namespaces of an OCI runtime specification into
// clone flags, and joins the namespaces of a running container.
//
// A namespace lives as long as a process is in it or a descriptor is open on
// it, so the package owns nothing on the host that a crash could leave.
package namespace

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// kinds are the namespaces Linux has (namespaces(7)).
var kinds = []struct {
	kind specs.LinuxNamespaceType
	flag uintptr
	name string
}{
	{specs.UserNamespace, unix.CLONE_NEWUSER, "CLONE_NEWUSER"}, {specs.MountNamespace, unix.CLONE_NEWNS, "CLONE_NEWNS"},
	{specs.PIDNamespace, unix.CLONE_NEWPID, "CLONE_NEWPID"}, {specs.NetworkNamespace, unix.CLONE_NEWNET, "CLONE_NEWNET"},
	{specs.IPCNamespace, unix.CLONE_NEWIPC, "CLONE_NEWIPC"}, {specs.UTSNamespace, unix.CLONE_NEWUTS, "CLONE_NEWUTS"},
	{specs.CgroupNamespace, unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}, {specs.TimeNamespace, unix.CLONE_NEWTIME, "CLONE_NEWTIME"},
}

// flagOf gives the clone(2) flag of a namespace type, 0 for an unknown one.
func flagOf(t specs.LinuxNamespaceType) uintptr {
	for _, k := range kinds {
		if k.kind == t {
			return k.flag
		}
	}
	return 0
}

// Names writes clone flags as their names joined by "|".
func Names(flags uintptr) string {
	var names []string
	for _, k := range kinds {
		if flags&k.flag != 0 {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, "|")
}

// CloneFlags gives the flags by which clone(2) makes the namespaces that have
// no path. The cgroup namespace is left out: its root is the cgroup its maker is
// in, so init unshares it once it has been put into its cgroup.
func CloneFlags(namespaces []specs.LinuxNamespace) (uintptr, error) {
	var flags uintptr
	for _, ns := range namespaces {
		flag := flagOf(ns.Type)
		if flag == 0 {
			return 0, fmt.Errorf("unknown namespace type %q", ns.Type)
		}
		if ns.Path == "" && flag != unix.CLONE_NEWCGROUP {
			flags |= flag
		}
	}
	return flags, nil
}

// Find returns the entry of a type, nil if the specification has none: the
// container then shares that namespace with its creator.
func Find(namespaces []specs.LinuxNamespace, t specs.LinuxNamespaceType) *specs.LinuxNamespace {
	for i := range namespaces {
		if namespaces[i].Type == t {
			return &namespaces[i]
		}
	}
	return nil
}
