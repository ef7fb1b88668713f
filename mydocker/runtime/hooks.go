package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// RunHooks runs hooks in their order, in the caller's namespaces and in the bundle
// as working directory. Each reads state as JSON from its standard input (OCI
// runtime specification, config.md, "POSIX-platform Hooks"). Without an env of its
// own a hook has the caller's, as with runc. The first that fails ends it.
func RunHooks(hooks []specs.Hook, state specs.State) error {
	return runHooks(hooks, state, state.Bundle, os.Environ())
}

func runHooks(hooks []specs.Hook, state specs.State, dir string, env []string) error {
	if len(hooks) == 0 {
		return nil
	}
	input, err := json.Marshal(state)
	if err != nil {
		return err
	}
	for i, hook := range hooks {
		trace.Step("hook", "%s", hook.Path)
		if err := runHook(hook, input, dir, env); err != nil {
			return fmt.Errorf("error running hook #%d: %w", i, err)
		}
	}
	return nil
}

// runHook gives the hook files in memory as its streams: pipes would want
// goroutines, so in init more threads, and a hook that leaves a daemon behind
// would keep them open.
func runHook(hook specs.Hook, input []byte, dir string, env []string) error {
	var streams [3]*os.File
	var fds []uintptr
	for i := range streams {
		fd, err := unix.MemfdCreate("hook", unix.MFD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("memfd_create: %w", err)
		}
		streams[i] = os.NewFile(uintptr(fd), "hook")
		defer streams[i].Close()
		fds = append(fds, uintptr(fd))
	}
	if _, err := streams[0].Write(input); err != nil {
		return err
	}
	streams[0].Seek(0, io.SeekStart)
	if hook.Env != nil {
		env = hook.Env
	}
	args := hook.Args
	if len(args) == 0 {
		args = []string{hook.Path}
	}
	pidfd := -1
	pid, err := syscall.ForkExec(hook.Path, args, &syscall.ProcAttr{Dir: dir, Env: env, Files: fds, Sys: &syscall.SysProcAttr{PidFD: &pidfd}})
	if err != nil {
		return fmt.Errorf("fork/exec %s: %w", hook.Path, err)
	}
	defer unix.Close(pidfd)
	status, err := waitHook(pid, pidfd, hook.Timeout)
	switch {
	case err != nil:
		return err
	case status.Signaled():
		err = fmt.Errorf("signal: %s", status.Signal())
	case status.ExitStatus() != 0:
		err = fmt.Errorf("exit status %d", status.ExitStatus())
	default:
		return nil
	}
	return fmt.Errorf("error running hook: %w, stdout: %s, stderr: %s", err, contents(streams[1]), contents(streams[2]))
}

func waitHook(pid, pidfd int, timeout *int) (status unix.WaitStatus, err error) {
	if timeout != nil {
		limit := time.Duration(*timeout) * time.Second
		events := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		for end := time.Now().Add(limit); ; {
			n, err := unix.Poll(events, max(0, int(time.Until(end).Milliseconds())))
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n == 0 {
				unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
				unix.Wait4(pid, nil, 0, nil)
				return 0, fmt.Errorf("hook ran past specified timeout of %.1fs", limit.Seconds())
			}
			break
		}
	}
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			return status, err
		}
	}
}

func contents(file *os.File) string {
	file.Seek(0, io.SeekStart)
	text, _ := io.ReadAll(io.LimitReader(file, 1024)) // it goes into a message of the pair of sockets
	return string(text)
}

// createHooks is the place of the hooks that find the container's mounts made but
// the host still there: the parent runs those of the runtime's namespaces, init
// those of the container's. None gets the container's environment: by LD_PRELOAD an image
// would have the host's programs load a library of its own (CVE-2025-23266). All are
// told that the container is created, which the specification's lifecycle has done by
// then (runc says "creating", crun "created").
func createHooks(sync channel, p *payload) error {
	hooks := p.Spec.Hooks
	if hooks == nil {
		return nil
	}
	if len(hooks.Prestart)+len(hooks.CreateRuntime) > 0 {
		if err := sync.ask(stageMounted); err != nil {
			return err
		}
	}
	return runHooks(hooks.CreateContainer, ownState(p), p.Spec.Root.Path, p.HookEnv)
}

// runtimeHooks is the parent's part of createHooks.
func runtimeHooks(hooks *specs.Hooks, state specs.State, pid int) error {
	state.Status, state.Pid = specs.StateCreated, pid
	if err := RunHooks(hooks.Prestart, state); err != nil {
		return err
	}
	return RunHooks(hooks.CreateRuntime, state)
}

// startHooks run where the command is about to, as its user.
func startHooks(p *payload) error {
	if p.Spec.Hooks == nil {
		return nil
	}
	return runHooks(p.Spec.Hooks.StartContainer, ownState(p), "", p.Process.Env)
}

func ownState(p *payload) specs.State {
	state := p.State
	state.Status, state.Pid = specs.StateCreated, os.Getpid()
	return state
}
