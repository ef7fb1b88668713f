package namespace

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneArgs is struct clone_args of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// fork makes a child that has one thread and makes the calls, of which the last is an
// execve or the end. It returns when that has succeeded, or a *CallError. attr may have
// clone flags, and name a cgroup to be born in. With CLONE_VM among them the child has this
// process's memory, else a copy: to mark what a Go process has written as to be copied,
// and copy it at the next write, costs half a millisecond. But who may ptrace such a
// child, sets its oom_score_adj, or kills it for want of memory, gets at this process;
// PR_SET_DUMPABLE counts for both; and it cannot join a time namespace. hold, if not nil,
// is called before the child's first call. The calls come from list, which is told the
// descriptor the child reports a failure on: it has to move it out of the way first, tell
// where, and keep it open and close-on-exec.
func fork(attr *syscall.SysProcAttr, hold func(pid int) error, list func(report int) (calls []Call, moved int)) (pid int, err error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	calls, moved := list(int(writer.Fd()))
	c := &child{calls: calls, report: uintptr(moved)}
	if hold != nil {
		gate, open, err := os.Pipe()
		if err != nil {
			return 0, err
		}
		defer gate.Close()
		defer open.Close()
		c.calls = append([]Call{
			NewCall("close", unix.SYS_CLOSE, int(open.Fd())), // so that the death of this process ends the wait
			NewCall("read", unix.SYS_READ, int(gate.Fd()), Pointer(new(byte)), 1)}, calls...)
		release := hold
		hold = func(pid int) error {
			if err := release(pid); err != nil {
				unix.Kill(pid, unix.SIGKILL)
				return err
			}
			_, err := open.Write([]byte{0})
			return err
		}
	}
	for i := range c.stacks {
		c.stacks[i] = new(stack)
	}
	splits := false
	for i := range c.calls {
		if k := &c.calls[i]; k.If == Split {
			k.Args[0], k.Args[1], splits = k.Args[0]|attr.Cloneflags&unix.CLONE_VM, c.stacks[1].top(), true
		}
	}
	args := &cloneArgs{flags: uint64(attr.Cloneflags), exitSignal: uint64(syscall.SIGCHLD)}
	if attr.UseCgroupFD {
		args.flags, args.cgroup = args.flags|unix.CLONE_INTO_CGROUP, uint64(attr.CgroupFD)
	}
	pid, errno := cloneChild(args, c, new([16]uint32))
	writer.Close()
	if errno != 0 {
		return 0, fmt.Errorf("fork: %w", errno)
	}
	if hold != nil {
		err = hold(pid)
	}
	born, failed := c.listen(reader)
	if err == nil {
		err = failed
	}
	runtime.KeepAlive(c)
	if !splits {
		born = pid
	} else if unix.Wait4(pid, nil, 0, nil); born == 0 && err == nil {
		err = errors.New("fork: the child ended before it had one of its own")
	}
	if err != nil {
		if born != 0 {
			unix.Wait4(born, nil, 0, nil)
		}
		return 0, err
	}
	return born, nil
}

// listen reads what the child has to tell, until execve or its end closes the pipe: the
// pid of its own child, if it split, and the call that failed.
func (c *child) listen(reader *os.File) (born int, err error) {
	var said [2]uint32
	for {
		if n, _ := reader.Read((*[8]byte)(unsafe.Pointer(&said))[:]); n != 8 {
			return born, err
		}
		if said[0] == split {
			born = int(said[1])
		} else {
			err = &CallError{c.calls[said[0]], syscall.Errno(said[1])}
		}
	}
}

// Fork makes a child that makes the calls, the last of which is an execve, and
// returns its pid when that has succeeded, or a *CallError. hold is called before
// the first. The calls unblock the signals. The caller waits for the child.
func Fork(hold func(pid int) error, calls []Call) (int, error) {
	return fork(&syscall.SysProcAttr{}, hold, func(report int) ([]Call, int) { return calls, report })
}

// cloneChild forks with all signals blocked: a handler of the Go runtime must
// not run in a process that has no Go runtime any more. The child's calls
// unblock them before execve.
//
//go:nosplit
//go:norace
func cloneChild(args *cloneArgs, c *child, oldMask *[16]uint32) (pid int, errno syscall.Errno) {
	var all [16]uint32
	for i := range all {
		all[i] = ^uint32(0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(oldMask)), 8, 0, 0)
	args.stack, args.stackSize = uint64(c.stacks[0].bottom()), uint64(c.stacks[0].top()-c.stacks[0].bottom())
	pid, errno = result(cloneOnto(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), c))
	if errno == syscall.ENOSYS && args.flags&unix.CLONE_INTO_CGROUP == 0 { // a seccomp profile cannot look into clone_args, and refuses it
		pid, errno = result(cloneOnto(unix.SYS_CLONE, uintptr(args.flags|args.exitSignal), c.stacks[0].top(), c))
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(oldMask)), 0, 8, 0, 0)
	return pid, errno
}
