package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"minidocker/mydocker/security"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// filterOf is what the process installs; agent is its end of a channel whose other
// end answers stageSeccomp by passListener.
func filterOf(program []byte, flags []specs.LinuxSeccompFlag, agent int) security.Filter {
	notice, _ := json.Marshal(message{Stage: stageSeccomp})
	return security.Filter{Program: program, Flags: flags, Agent: agent, Notice: notice}
}

// passListener takes the descriptor of a process's filter and gives it to the
// seccomp agent of the profile, with who it is about (OCI runtime specification,
// config-linux.md, "Seccomp" and "The Container Process State").
func passListener(pid int, profile *specs.LinuxSeccomp, state specs.State) error {
	listener, err := takeListener(pid)
	if err != nil {
		return err
	}
	defer listener.Close()
	data, err := json.Marshal(specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: pid, Metadata: profile.ListenerMetadata, State: state,
	})
	if err != nil {
		return err
	}
	trace.Step("connect", "%s: the seccomp agent", profile.ListenerPath)
	agent, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: profile.ListenerPath, Net: "unix"})
	if err != nil {
		return fmt.Errorf("failed to connect with seccomp agent specified in the seccomp profile: %w", err)
	}
	defer agent.Close()
	n, _, err := agent.WriteMsgUnix(data, unix.UnixRights(int(listener.Fd())), nil)
	for err == nil && n < len(data) { // long annotations
		var more int
		more, err = agent.Write(data[n:])
		n += more
	}
	if err != nil {
		return fmt.Errorf("cannot send seccomp state: %w", err)
	}
	return nil
}

// takeListener finds the descriptor that seccomp(2) returned to a process, which
// now waits and can neither say its number nor send it: the filter may stop sendmsg.
func takeListener(pid int) (*os.File, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if target, _ := os.Readlink(dir + "/" + entry.Name()); target != "anon_inode:seccomp notify" {
			continue
		}
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			return nil, err
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return nil, fmt.Errorf("pidfd_open: %w", err)
		}
		defer unix.Close(pidfd)
		fd, err := unix.PidfdGetfd(pidfd, number, 0)
		if err != nil {
			return nil, fmt.Errorf("pidfd_getfd of the seccomp filter: %w", err)
		}
		return os.NewFile(uintptr(fd), "seccomp"), nil
	}
	return nil, errors.New("the process has no descriptor of its seccomp filter")
}

// execAgent is the channel by which the filter of an exec gets to the agent.
type execAgent struct {
	ours, theirs channel
	passed       chan error
}

func newExecAgent() (a *execAgent, err error) {
	a = &execAgent{passed: make(chan error, 1)}
	a.ours, a.theirs, err = newChannel()
	return a, err
}

// serve waits for the child, which has not run yet, to have installed its filter.
func (a *execAgent) serve(pid int, profile *specs.LinuxSeccomp, state specs.State) {
	defer a.ours.file.Close()
	_, _, err := a.ours.expect(stageSeccomp)
	if err == nil {
		err = passListener(pid, profile, state)
	}
	if err == nil {
		err = a.ours.send(message{Stage: stageProceed}, nil)
	} else {
		unix.Kill(pid, unix.SIGKILL) // the parent has not waited for it yet
	}
	a.passed <- err
}
