package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"unsafe"

	"minidocker/mydocker/namespace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Supervise is the small init of --init: pid 1 of a container beside its command.
// The kernel gives pid 1 what no other process has to do: signals without a handler
// do not reach it, and orphans become its children (pid_namespaces(7)). So it runs
// the command as a child, forwards signals to it, and reaps. args are what follows
// the program's name, "--" first. It returns the exit status: the command's, 128 +
// the signal's number, or 127 or 126 if the command cannot be executed.
//
// Its threads count for the container's pids.max, which package spec raises by
// them. A container at its limit must not kill it by refusing one more (Go: "fatal
// error: newosproc"): so it has all before the command starts, and then neither
// collects garbage nor makes a system call that the scheduler knows of.
func Supervise(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "docker-init: no command")
		return 1
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1) // there will be no garbage
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	unix.Kill(os.Getpid(), unix.SIGURG) // and what it takes to receive one
	<-signals
	pid, err := startCommand(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docker-init:", err)
		var known *Error
		if errors.As(err, &known) {
			return known.Code
		}
		return 1
	}
	for {
		forward(<-signals, pid)
		if status, ended := reap(pid); ended { // always: a SIGCHLD is lost while the channel is full
			return status
		}
	}
}

// startCommand starts the command in a process group of its own, in the
// foreground of the terminal if there is one, so that Ctrl-C reaches what a shell
// started there too. Both is done while the child waits: afterwards it might have
// read from the terminal as a background process and be stopped.
func startCommand(args []string) (int, error) {
	process := &specs.Process{Args: args, Env: os.Environ()}
	argv, err := namespace.Strings(args)
	envv, err2 := namespace.Strings(process.Env)
	if err := errors.Join(err, err2); err != nil {
		return 0, err
	}
	calls := []namespace.Call{namespace.NewCall("rt_sigprocmask", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, namespace.Pointer(new(uint64)), 0, 8)}
	paths := candidates(process)
	if len(paths) == 0 {
		return 0, notInPath(args[0])
	}
	for _, path := range paths {
		calls = append(calls, namespace.NewCall("execve "+path, unix.SYS_EXECVE, path, argv, envv).On(namespace.Exec))
	}
	// Go raised the soft limit of open files to the hard one when it started, and
	// puts it back only for an execve of its own. So it makes one, which fails.
	syscall.Exec("", nil, nil)
	pid, err := namespace.Fork(func(pid int) error {
		err := unix.Setpgid(pid, pid)
		unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, pid) // not a terminal, or not ours
		return err
	}, calls)
	var failed *namespace.CallError
	if errors.As(err, &failed) && failed.Call.If == namespace.Exec {
		if failed.Errno == unix.ENOENT && !strings.Contains(args[0], "/") {
			return 0, notInPath(args[0])
		}
		return 0, execError(args[0], failed.Errno)
	}
	return pid, err
}

// forward passes a signal on, but those that are about this process: of its child,
// of its terminal, and SIGURG, which Go's scheduler sends its own threads.
func forward(s os.Signal, pid int) {
	switch s {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGTTIN, unix.SIGTTOU, unix.SIGPIPE:
	default:
		syscall.RawSyscall(unix.SYS_KILL, uintptr(pid), uintptr(s.(unix.Signal)), 0)
	}
}

// reap waits for all children that have ended, and gives the command's exit status
// if it is among them.
func reap(command int) (exitStatus int, ended bool) {
	var status unix.WaitStatus
	for {
		pid, _, errno := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), unix.WNOHANG, 0, 0, 0)
		switch {
		case errno != 0 || pid == 0:
			return exitStatus, ended
		case int(pid) != command:
		case status.Signaled():
			exitStatus, ended = 128+int(status.Signal()), true
		default:
			exitStatus, ended = status.ExitStatus(), true
		}
	}
}
