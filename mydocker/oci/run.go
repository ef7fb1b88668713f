package oci

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/runtime"
)

func (h *host) startCommand() *cli.Command {
	return &cli.Command{Name: "start", Usage: "execute the user's program in a created container", ArgsUsage: "<container-id>",
		Action: h.on(func(_ *cli.Context, id string) error { return h.start(id) })}
}

func (h *host) start(id string) error {
	c, unlock, err := h.loadLocked(id)
	if err != nil {
		return err
	}
	defer unlock()
	status, p, err := c.status()
	if err != nil {
		return err
	}
	switch status {
	case specs.StateCreated:
	case specs.StateStopped:
		return fmt.Errorf("cannot start a container that has stopped")
	case specs.StateRunning:
		return fmt.Errorf("cannot start an already running container")
	default:
		return fmt.Errorf("cannot start a container in the %s state", status)
	}
	defer p.Close()
	spec, err := c.spec()
	if err != nil {
		return err
	}
	return c.begin(p, spec)
}

// begin lets the process go and runs the hooks for that. A hook that fails ends it.
func (c *container) begin(p *runtime.Process, spec *specs.Spec) error {
	if err := p.Start(); err != nil {
		return err
	}
	if spec.Hooks == nil {
		return nil
	}
	err := runtime.RunHooks(spec.Hooks.Poststart, c.state(specs.StateRunning))
	if err != nil {
		err = fmt.Errorf("poststart: %w", err)
		p.Signal(unix.SIGKILL)
	}
	return err
}

func (h *host) runCommand() *cli.Command {
	n := &creation{host: h}
	return &cli.Command{Name: "run", Usage: "create and start a container", ArgsUsage: "<container-id>",
		Flags: append(n.flags(),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "do not wait for the container's end", Destination: &n.detach},
			&cli.BoolFlag{Name: "keep", Usage: "do not delete the container at its end", Destination: &n.keep},
			&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt the container's orphans", Destination: &n.noSubreaper}),
		Action: h.on(func(_ *cli.Context, id string) error {
			code, err := n.run(id)
			if err != nil {
				return fmt.Errorf("%s run failed: %w", name, err)
			}
			return exitStatus(code)
		})}
}

// exitStatus ends the program as the container's process did.
func exitStatus(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

func (n *creation) run(id string) (code int, err error) {
	f := &foreground{}
	if !n.detach {
		// Before there is a container: a signal must not end us and leave it.
		f.catch()
		if !n.noSubreaper {
			if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
				return 0, fmt.Errorf("become subreaper: %w", err)
			}
		}
	}
	if err := n.create(id); err != nil {
		return 0, err
	}
	if !n.detach && n.process.Terminal != nil {
		if err := f.connect(n.process.Terminal); err != nil {
			n.unlock()
			return 0, n.fail(err)
		}
		defer f.disconnect()
	}
	err = n.begin(n.process, n.spec)
	n.unlock()
	if err != nil {
		return 0, n.fail(err)
	}
	if n.detach {
		return 0, nil
	}
	code = f.wait(n.process)
	if n.keep {
		return code, nil
	}
	return code, n.destroy()
}

// fail destroys a container that could not be started.
func (n *creation) fail(err error) error {
	n.warn(n.destroy())
	return err
}

// foreground is a command that lasts as long as the container's process.
type foreground struct {
	signals chan os.Signal
	restore func()
	output  chan struct{} // closed at the end of the terminal's output; nil without one
}

// catch catches all signals: they are the process's.
func (f *foreground) catch() {
	f.signals = make(chan os.Signal, 128)
	signal.Notify(f.signals)
}

// wait passes the signals on until the process's end, and gives its exit status.
func (f *foreground) wait(p *runtime.Process) int {
	exited := make(chan int, 1)
	go func() { exited <- p.Wait() }()
	for {
		select {
		case code := <-exited:
			if f.output != nil {
				<-f.output
			}
			return code
		case s := <-f.signals:
			switch s {
			case unix.SIGCHLD:
				reapOthers(p.Pid)
			case unix.SIGURG: // Go's scheduler sends it its own threads
			case unix.SIGWINCH:
				f.resize(p.Terminal)
			default:
				p.Signal(s.(unix.Signal))
			}
		}
	}
}

// reapOthers waits for the orphans this process has adopted. Its own child, the
// container's process, is the thread's that cloned it.
func reapOthers(own int) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		pid := childOf(&info)
		if err != nil || pid == 0 || pid == own {
			return
		}
		unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}
