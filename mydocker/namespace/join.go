package namespace

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// flagIf gives the flag of a namespace that is known as name in /proc/PID/ns if the
// process has another one than the caller, else 0.
func flagIf(pid int, name string, flag uintptr) (uintptr, error) {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
	if err != nil {
		return 0, err
	}
	ours, err := os.Readlink("/proc/self/ns/" + name)
	if theirs == ours {
		return 0, err
	}
	return flag, err
}

// Child is what a process that joins a container does.
type Child struct {
	Files []*os.File // become descriptors 0, 1, 2, ...; no other stays open
	// Before are made when nothing is joined yet, with the caller's privileges.
	Before []Call
	// Calls follow when all namespaces are joined, and end with an execve.
	Calls []Call
	// Enter arranges that the child is born in a cgroup, and leave undoes it for
	// the calling thread: the way of cgroup.Group.Enter. nil: the caller's cgroup.
	Enter func(attr *syscall.SysProcAttr) (leave func() error, err error)
	// Hold, if not nil, is called before the child has made any call.
	Hold func(pid int) error
}

// Spawn starts child inside all namespaces of the process pid and returns its
// pid as the caller sees it, when its execve has succeeded; or a *CallError. The
// caller waits for the child. pidfd is that process's too: a number alone may by
// now be another's, and the child find itself on the host as root.
//
// The user and mount namespaces refuse a caller with several threads (setns(2):
// EINVAL), and a Go process always has several. So the join is done between fork
// and exec, in a child that has one thread and makes only system calls. The PID
// namespace is the exception: joining it counts for children only, so the
// parent's thread joins it, and ends.
func Spawn(pidfd, pid int, child Child) (int, error) {
	err := OnThread(func() (err error) {
		pid, err = spawn(pidfd, pid, child)
		return err
	})
	return pid, err
}

func spawn(pidfd, pid int, child Child) (int, error) {
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP)
	user, err := flagIf(pid, "user", unix.CLONE_NEWUSER) // one's own cannot be joined
	clock, _ := flagIf(pid, "time", unix.CLONE_NEWTIME)  // the kernel may have none
	flags |= user | clock
	if alive := unix.PidfdSendSignal(pidfd, 0, nil, 0); alive != nil {
		err = alive // what was read may be another process's
	}
	if err != nil {
		return 0, fmt.Errorf("namespaces of process %d: %w", pid, err)
	}
	trace.Step("setns", "CLONE_NEWPID of process %d, for the next child", pid)
	if err := unix.Setns(pidfd, unix.CLONE_NEWPID); err != nil {
		return 0, fmt.Errorf("join PID namespace of process %d: %w", pid, err)
	}
	var attr syscall.SysProcAttr
	// In a user namespace of its own, nobody of the container may ptrace what has memory from
	// outside; in the caller's, CAP_SYS_PTRACE would be a way into the caller.
	if user != 0 && clock == 0 && child.Hold == nil {
		attr.Cloneflags = unix.CLONE_VM
	}
	if child.Enter != nil {
		leave, err := child.Enter(&attr)
		if err != nil {
			return 0, fmt.Errorf("enter cgroup: %w", err)
		}
		defer leave() // the thread ends anyway; this closes descriptors
	}
	trace.Step("clone3", "a fork, that makes these calls:")
	joins := []Call{NewCall("setns "+Names(flags), unix.SYS_SETNS, len(child.Files), flags)}
	if flags&unix.CLONE_NEWUSER != 0 {
		joins = append([]Call{leaveGroups()}, joins...)
	}
	fds := append(descriptors(child.Files), pidfd)
	return fork(&attr, child.Hold, func(report int) ([]Call, int) { return child.list(report, fds, joins) })
}

// leaveGroups gives up the groups of the host's root: inside a user namespace they would
// still be the process's, and setgroups(2) may be forbidden there.
func leaveGroups() Call { return NewCall("setgroups []", unix.SYS_SETGROUPS, 0, 0) }

// list is what the child does: it gets fds, of which those after its files are open only
// for joins, and makes the calls before, joins, and its calls.
func (child Child) list(report int, fds []int, joins []Call) (calls []Call, moved int) {
	moved = max(report, len(fds), slices.Max(fds)) + 1
	calls = []Call{
		NewCall(fmt.Sprintf("dup3 %d %d", report, moved), unix.SYS_DUP3, report, moved, unix.O_CLOEXEC),
		// Not dumpable: a process of the container must not ptrace this one while
		// it still holds the host's descriptors (CVE-2016-9962).
		NewCall("prctl PR_SET_DUMPABLE 0", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0),
	}
	calls = append(calls, place(fds, moved)...)
	calls = append(calls, child.Before...)
	calls = append(calls, joins...)
	files := len(child.Files)
	calls = append(calls, NewCall(fmt.Sprintf("close_range %d %d", files, moved-1), unix.SYS_CLOSE_RANGE, files, moved-1, 0))
	calls = append(calls, child.Calls...)
	for _, c := range calls {
		trace.Step("child", "%s", c.Name)
	}
	return calls, moved
}

func descriptors(files []*os.File) []int {
	fds := make([]int, len(files))
	for i, file := range files {
		fds[i] = int(file.Fd())
	}
	return fds
}

// place makes fds descriptors 0, 1, 2, ... and closes all others but report,
// which is above them. First all go out of the way, then all into place: a single
// pass could overwrite one that is still to be moved. Nothing else may stay open:
// a working directory /proc/self/fd/N must not lead to the host (CVE-2024-21626).
func place(fds []int, report int) (calls []Call) {
	dup := func(from, to, flags int) {
		calls = append(calls, NewCall(fmt.Sprintf("dup3 %d %d", from, to), unix.SYS_DUP3, from, to, flags))
	}
	for i, fd := range fds {
		dup(fd, report+1+i, unix.O_CLOEXEC)
	}
	for i := range fds {
		dup(report+1+i, i, 0)
	}
	return append(calls,
		NewCall(fmt.Sprintf("close_range %d %d", len(fds), report-1), unix.SYS_CLOSE_RANGE, len(fds), report-1, 0),
		NewCall(fmt.Sprintf("close_range %d ~0", report+1), unix.SYS_CLOSE_RANGE, report+1, uintptr(^uint32(0)), 0))
}
