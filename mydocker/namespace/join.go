package namespace

import (
	"fmt"
	"os"
	"syscall"

	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Enter moves the calling thread into the namespaces that have a path, so that
// the process it clones next is born in them. The caller runs on a
// thread of its own, see OnThread.
func Enter(namespaces []specs.LinuxNamespace) error {
	for _, ns := range namespaces {
		if ns.Path == "" {
			continue
		}
		if err := enter(ns); err != nil {
			return fmt.Errorf("join %s namespace %s: %w", ns.Type, ns.Path, err)
		}
	}
	return nil
}

func enter(ns specs.LinuxNamespace) error {
	file, err := os.Open(ns.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	if ns.Type == specs.MountNamespace {
		// A mount namespace cannot be changed while the working directory and
		// root are shared with the other threads (setns(2): EINVAL).
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
	}
	trace.Step("setns", "%s %s", ns.Type, ns.Path)
	return unix.Setns(int(file.Fd()), int(flagOf(ns.Type)))
}

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

// Child is the program a joined process becomes.
type Child struct {
	Program *os.File   // executed by descriptor: no path of the container is trusted
	Args    []string   // argv
	Env     []string   // environment
	Files   []*os.File // become descriptors 0, 1, 2, ...
	// Enter arranges that the child is born in a cgroup, and leave undoes it for
	// the calling thread: the way of cgroup.Group.Enter. nil: the caller's cgroup.
	Enter func(attr *syscall.SysProcAttr) (leave func() error, err error)
}

// Spawn starts child inside all namespaces of the process pid and returns its
// pid as the caller sees it. The caller waits for it.
//
// The user and mount namespaces refuse a caller with several threads (setns(2):
// EINVAL), and a Go process always has several. So the join is done between fork
// and exec, in a child that has one thread and makes only raw system calls.
// The PID namespace is the exception: joining it counts for children only, so
// the parent's thread joins it, and ends.
func Spawn(pid int, child Child) (int, error) {
	err := OnThread(func() (err error) {
		pid, err = spawn(pid, child)
		return err
	})
	return pid, err
}

func spawn(pid int, child Child) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, fmt.Errorf("open container process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	flags := unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
	own, err := ownUser(pid)
	if err != nil {
		return 0, fmt.Errorf("namespaces of process %d: %w", pid, err)
	}
	if own {
		flags |= unix.CLONE_NEWUSER
	}
	trace.Step("setns", "pid namespace of process %d, for the next child", pid)
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
	trace.Step("fork", "the child joins mnt, net, ipc, uts, cgroup (user: %t) of process %d and executes init", own, pid)
	return rawSpawn(pidfd, flags, child, attr)
}
