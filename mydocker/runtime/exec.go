package runtime

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Exec runs another process in the container of spec whose first process is first: born in its cgroup, in all its namespaces, under its seccomp profile. It
// returns when the kernel has executed the command, or with why it could not.
//
// There is no init here: what the process has to do is written down as system
// calls, for the child of a fork to make. Until its execve it is a copy of this
// process, whose program OpenSelf must have opened.
func Exec(spec *specs.Spec, first *Process, process *specs.Process, group cgroup.Group, o Options) (*Process, error) {
	if err := validateProcess(process, spec.Linux); err != nil {
		return nil, err
	}
	if inHostMounts(spec) { // whoever joins it finds himself at the host's root
		return nil, errors.New("exec in a container without a mount namespace of its own is not supported")
	}
	filter, flags := first.filter, first.flags
	if filter == nil { // it was another process that created the container
		var err error
		if filter, flags, err = compile(spec.Linux.Seccomp); err != nil {
			return nil, err
		}
	}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	files := []*os.File{null, null, null}
	for i, file := range o.Stdio {
		if file != nil {
			files[i] = file
		}
	}
	p := &Process{pidfd: -1}
	if process.Terminal {
		terminal, slave, err := openTerminal(first, process)
		if err != nil {
			return nil, err
		}
		defer slave.Close()
		p.Terminal, files = terminal, []*os.File{slave, slave, slave}
	}
	files = append(files, o.PreserveFDs...)
	enter, err := affine(process.ExecCPUAffinity, group.Enter)
	if err != nil {
		return nil, err
	}
	var agent *execAgent
	if security.Notifies(filter) {
		if agent, err = newExecAgent(); err != nil {
			return nil, err
		}
		defer agent.theirs.file.Close()
		files = append(files, agent.theirs.file)
	}
	before, err := execBefore(process, len(files)+1) // one more is the container's pidfd
	if err != nil {
		return nil, err
	}
	calls, err := execCalls(spec, first, process, filterOf(filter, flags, len(files)-1), o)
	if err == nil {
		child := namespace.Child{Files: files, Before: before, Calls: calls, Enter: enter}
		score := spec.Process.OOMScoreAdj
		hold := func(pid int) error {
			if agent != nil {
				state := o.State
				state.Status, state.Pid = specs.StateRunning, first.Pid
				go agent.serve(pid, spec.Linux.Seccomp, state)
			}
			return adjustOOM(pid, score)
		}
		if score != nil && *score != 0 || agent != nil {
			child.Hold = hold
		}
		p.Pid, err = namespace.Spawn(first.pidfd, first.Pid, child)
		if errors.Is(err, unix.EBUSY) { // its first process has made groups below, and gone into one
			child.Enter = group.Of(first.Pid).Enter
			p.Pid, err = namespace.Spawn(first.pidfd, first.Pid, child)
		}
		if errors.Is(err, unix.EAGAIN) {
			// The group is at its pids.max: born outside and moved in, a process
			// may exceed it, as Docker's may. It is not the usual way because the
			// move costs milliseconds: the kernel waits for an RCU grace period.
			child.Enter, child.Hold = nil, func(pid int) error { return errors.Join(group.Add(pid), hold(pid)) }
			p.Pid, err = namespace.Spawn(first.pidfd, first.Pid, child)
		}
	}
	if err != nil {
		p.Close()
		return nil, explainExec(first, process, err)
	}
	p.pidfd, err = unix.PidfdOpen(p.Pid, 0) // before it is reaped, so it is this process
	if !o.Orphan {
		p.exited = make(chan unix.WaitStatus, 1)
		go p.reap()
	}
	if agent != nil {
		err = errors.Join(err, <-agent.passed)
	}
	if err != nil {
		unix.Kill(p.Pid, unix.SIGKILL)
		p.Wait()
	}
	return p, err
}

// openTerminal makes a terminal of the container's /dev/pts, from outside.
func openTerminal(first *Process, process *specs.Process) (terminal, slave *os.File, err error) {
	root, err := first.Root()
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	ids, err := namespace.ReadIDs(first.Pid)
	if err != nil {
		return nil, nil, err
	}
	uid, gid, err := ids.Outside(process.User.UID, 0)
	if err != nil {
		return nil, nil, err
	}
	terminal, slave, err = rootfs.OpenTerminal(root, uid, gid)
	if err != nil {
		return nil, nil, err
	}
	defer terminal.Close()
	// Another descriptor, made non-blocking first, for os.File to wait in the poller.
	fd, err := unix.FcntlInt(terminal.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("dup terminal: %w", err)
	}
	unix.SetNonblock(fd, true)
	return os.NewFile(uintptr(fd), "terminal"), slave, setSize(slave, process.ConsoleSize)
}

// affine makes the thread that enters the cgroup, to clone the child, run where the
// child is to run at first.
func affine(affinity *specs.CPUAffinity, enter func(*syscall.SysProcAttr) (func() error, error)) (func(*syscall.SysProcAttr) (func() error, error), error) {
	if affinity == nil || affinity.Initial == "" {
		return enter, nil
	}
	call, err := security.Affinity(affinity.Initial)
	return func(attr *syscall.SysProcAttr) (func() error, error) {
		if err := namespace.Do([]namespace.Call{call}); err != nil {
			return nil, err
		}
		return enter(attr)
	}, err
}

// execCalls is what the child does once it has joined.
func execCalls(spec *specs.Spec, first *Process, process *specs.Process, filter security.Filter, o Options) ([]namespace.Call, error) {
	bare := *process
	bare.Rlimits = nil // set before
	before, last, err := security.Credentials(&bare, filter)
	if err != nil {
		return nil, err
	}
	properties, err := security.Properties(spec.Linux)
	if err != nil {
		return nil, err
	}
	if a := process.ExecCPUAffinity; a != nil && a.Final != "" {
		call, err := security.Affinity(a.Final)
		if err != nil {
			return nil, err
		}
		properties = append(properties, call)
	}
	argv, err := namespace.Strings(process.Args)
	if err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	envv, err := namespace.Strings(environment(process, func() (io.ReadCloser, error) { return openPasswd(first) }))
	if err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	calls := []namespace.Call{
		namespace.NewCall("setsid", unix.SYS_SETSID),
	}
	if !o.NoNewKeyring {
		calls = append(calls, namespace.NewCall("keyctl KEYCTL_JOIN_SESSION_KEYRING", unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0).On(namespace.Ignore))
	}
	if security.Notifies(filter.Program) {
		calls = append(calls, namespace.NewCall("fcntl FD_CLOEXEC", unix.SYS_FCNTL, filter.Agent, unix.F_SETFD, unix.FD_CLOEXEC))
	}
	if process.Terminal {
		calls = append(calls, namespace.NewCall("ioctl TIOCSCTTY", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0))
	}
	calls = append(append(append(calls, properties...), before...), last...)
	paths := candidates(process)
	if len(paths) == 0 {
		return nil, notInPath(process.Args[0])
	}
	for _, path := range paths {
		calls = append(calls, namespace.NewCall("execve "+path, unix.SYS_EXECVE, path, argv, envv).On(namespace.Exec))
	}
	return calls, nil
}

// explainExec gives a failed call the words and the exit code Docker has for it.
func explainExec(first *Process, process *specs.Process, err error) error {
	var failed *namespace.CallError
	if !errors.As(err, &failed) {
		return err
	}
	if strings.HasPrefix(failed.Call.Name, "setns") {
		return err // the container may have ended
	}
	if failed.Call.If != namespace.Exec {
		return &Error{failed.Error(), 126}
	}
	name := process.Args[0]
	switch {
	case failed.Errno == syscall.ENOENT && !strings.Contains(name, "/"):
		return notInPath(name)
	case failed.Errno == syscall.EACCES && isDirectory(first, filepath.Join(process.Cwd, name)):
		return execError(name, syscall.EISDIR)
	}
	return execError(name, failed.Errno)
}

// openPasswd opens the container's /etc/passwd, from outside.
func openPasswd(first *Process) (io.ReadCloser, error) {
	root, err := first.Root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return rootfs.OpenIn(root, "/etc/passwd")
}

func isDirectory(first *Process, path string) bool {
	root, err := first.Root()
	if err != nil {
		return false
	}
	defer root.Close()
	dir, err := rootfs.Lookup(root, path+"/", false)
	dir.Close() // of a nil file an error, not a panic
	return err == nil
}
