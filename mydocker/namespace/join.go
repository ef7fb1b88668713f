package namespace

import (
	"fmt"
	"os"
	"syscall"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// ownUser tells whether the process behind pidfd's pid has a user namespace other
// than the caller's.
func ownUser(pid int) (bool, error) {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return false, err
	}
	ours, err := os.Readlink("/proc/self/ns/user")
	return theirs != ours, err
}

// Child is what a process that joins a container does.
type Child struct {
	Files []*os.File // become descriptors 0, 1, 2, ...; no other stays open
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
	own, err := ownUser(pid)
	if alive := unix.PidfdSendSignal(pidfd, 0, nil, 0); alive != nil {
		err = alive // what was read may be another process's
	}
	if err != nil {
		return 0, fmt.Errorf("namespaces of process %d: %w", pid, err)
	}
	if own {
		flags |= unix.CLONE_NEWUSER
	}
	trace.Step("setns", "CLONE_NEWPID of process %d, for the next child", pid)
	if err := unix.Setns(pidfd, unix.CLONE_NEWPID); err != nil {
		return 0, fmt.Errorf("join PID namespace of process %d: %w", pid, err)
	}
	var attr syscall.SysProcAttr
	if child.Enter != nil {
		leave, err := child.Enter(&attr)
		if err != nil {
			return 0, fmt.Errorf("enter cgroup: %w", err)
		}
		defer leave() // the thread ends anyway; this closes descriptors
	}
	trace.Step("clone3", "a fork, that makes these calls:")
	return fork(&attr, child.Hold, func(report int) ([]Call, int) {
		moved := moveReport(child.Files, max(report, pidfd))
		calls := []Call{
			NewCall(fmt.Sprintf("dup3 %d %d", report, moved), unix.SYS_DUP3, report, moved, unix.O_CLOEXEC),
			// Not dumpable: a process of the container must not ptrace this one while
			// it still holds the host's descriptors (CVE-2016-9962).
			NewCall("prctl PR_SET_DUMPABLE 0", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0),
			NewCall("setns "+Names(flags), unix.SYS_SETNS, pidfd, flags),
		}
		calls = append(calls, place(child.Files, moved)...)
		calls = append(calls, child.Calls...)
		for _, c := range calls {
			trace.Step("child", "%s", c.Name)
		}
		return calls, moved
	})
}

// moveReport gives a descriptor number above all that are to be moved, and above
// one that is still needed.
func moveReport(files []*os.File, needed int) int {
	moved := max(needed, len(files)) + 1
	for _, file := range files {
		moved = max(moved, int(file.Fd())+1)
	}
	return moved
}

// place makes files descriptors 0, 1, 2, ... and closes all others but report,
// which is above them. First all go out of the way, then all into place: a single
// pass could overwrite one that is still to be moved. Nothing else may stay open:
// a working directory /proc/self/fd/N must not lead to the host (CVE-2024-21626).
func place(files []*os.File, report int) (calls []Call) {
	dup := func(from, to, flags int) {
		calls = append(calls, NewCall(fmt.Sprintf("dup3 %d %d", from, to), unix.SYS_DUP3, from, to, flags))
	}
	for i, file := range files {
		dup(int(file.Fd()), report+1+i, unix.O_CLOEXEC)
	}
	for i := range files {
		dup(report+1+i, i, 0)
	}
	return append(calls,
		NewCall(fmt.Sprintf("close_range %d %d", len(files), report-1), unix.SYS_CLOSE_RANGE, len(files), report-1, 0),
		NewCall(fmt.Sprintf("close_range %d ~0", report+1), unix.SYS_CLOSE_RANGE, report+1, uintptr(^uint32(0)), 0))
}
