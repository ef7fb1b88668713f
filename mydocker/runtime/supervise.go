package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

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
func Supervise(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "docker-init: no command")
		return 1
	}
	debug.SetGCPercent(-1) // there will be no garbage
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	pid, err := startCommand(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docker-init:", err)
		var known *Error
		if errors.As(err, &known) {
			return known.Code
		}
		return 1
	}
	go forward(signals, pid)
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR || err == nil && ended != pid:
		case err != nil:
			fmt.Fprintln(os.Stderr, "docker-init: wait:", err)
			return 1
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
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

// forward passes signals on, but those that are about this process: of its child,
// of its terminal, and SIGURG, which Go's scheduler sends its own threads.
func forward(signals <-chan os.Signal, pid int) {
	for s := range signals {
		switch s {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGTTIN, unix.SIGTTOU, unix.SIGPIPE:
		default:
			unix.Kill(pid, s.(unix.Signal))
		}
	}
}
