// Package namespace turns the namespaces of an OCI runtime specification into
// clone flags, and joins the namespaces of a running container.
//
// A namespace lives as long as a process is in it or a descriptor is open on
// it, so the package owns nothing on the host that a crash could leave.
package namespace

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// flagOf gives the clone(2) flag of a namespace type, 0 for an unknown one.
func flagOf(t specs.LinuxNamespaceType) int {
	switch t {
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER
	case specs.MountNamespace:
		return unix.CLONE_NEWNS
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME
	}
	return 0
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
			flags |= uintptr(flag)
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
