package namespace

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// CloneInside starts child in namespaces that belong to the user namespace user, as uid
// and gid 0 of it, or if user is nil only in those of namespaces, among them a new
// time namespace with offsets. It returns the pid as the caller sees it when child's
// execve has succeeded, or a *CallError. The caller's thread is the parent: it waits
// for the child, and its end is what a PDEATHSIG of the child's means.
//
// A user namespace cannot be joined by a process of several threads, nor made with maps
// by one that is not outside; and namespaces belong to the user namespace their maker
// is in. So a forked child, which has one thread, joins it and clones the process that
// is wanted, which is the caller's child too (CLONE_PARENT).
func CloneInside(user *os.File, namespaces []specs.LinuxNamespace, offsets map[string]specs.LinuxTimeOffset, child Child) (int, error) {
	flags, err := CloneFlags(namespaces)
	if err != nil {
		return 0, err
	}
	fds := descriptors(child.Files)
	var joins []Call
	for _, ns := range namespaces {
		if ns.Path == "" || ns.Type == specs.UserNamespace {
			continue
		}
		file, err := os.Open(ns.Path)
		if err != nil {
			return 0, fmt.Errorf("join %s namespace: %w", ns.Type, err)
		}
		defer file.Close()
		joins = append(joins, NewCall(fmt.Sprintf("join %s namespace %s", ns.Type, ns.Path), unix.SYS_SETNS, len(fds), flagOf(ns.Type)))
		fds = append(fds, int(file.Fd()))
	}
	// The user namespace after the others: inside there is no privilege over those that
	// do not belong to it.
	if user != nil {
		joins = append(joins, leaveGroups(), NewCall("join user namespace", unix.SYS_SETNS, len(fds), unix.CLONE_NEWUSER))
		fds = append(fds, int(user.Fd()))
	}
	if flags&unix.CLONE_NEWTIME != 0 {
		joins = append(joins, newTime(len(fds), offsets)...)
	}
	if user != nil { // after that: the offsets' file is still the outer root's
		joins = append(joins, NewCall("setresgid 0", unix.SYS_SETRESGID, 0, 0, 0), NewCall("setresuid 0", unix.SYS_SETRESUID, 0, 0, 0))
	}
	flags &^= unix.CLONE_NEWUSER | unix.CLONE_NEWTIME
	joins = append(joins, NewCall("clone "+Names(flags), unix.SYS_CLONE, flags|unix.CLONE_PARENT, 0, 0, 0, 0).On(Split))

	// Nobody can ptrace the child: it is the first process in its PID namespace, or is in
	// a user namespace whose privileges do not count for the caller's memory.
	var attr syscall.SysProcAttr
	if Find(namespaces, specs.TimeNamespace) == nil {
		attr.Cloneflags = unix.CLONE_VM
	}
	leave, err := child.Enter(&attr)
	if err != nil {
		return 0, fmt.Errorf("enter cgroup: %w", err)
	}
	trace.Step("clone3", "a fork, that makes these calls:")
	pid, err := fork(&attr, nil, func(report int) ([]Call, int) { return child.list(report, fds, joins) })
	return pid, errors.Join(err, leave())
}

// newTime makes a time namespace for the child that is cloned next. Offsets can be
// written until there is a process in it (time_namespaces(7)). free is the descriptor
// that open(2) will give.
func newTime(free int, offsets map[string]specs.LinuxTimeOffset) []Call {
	calls := []Call{NewCall("unshare CLONE_NEWTIME", unix.SYS_UNSHARE, unix.CLONE_NEWTIME)}
	if len(offsets) == 0 {
		return calls
	}
	var text strings.Builder
	for clock, offset := range offsets {
		fmt.Fprintln(&text, clock, offset.Secs, offset.Nanosecs)
	}
	const path = "/proc/self/timens_offsets"
	return append(calls,
		NewCall("open "+path, unix.SYS_OPENAT, unix.AT_FDCWD, path, unix.O_WRONLY),
		NewCall(fmt.Sprintf("write %q to %s", text.String(), path), unix.SYS_WRITE, free, text.String(), text.Len()))
}
