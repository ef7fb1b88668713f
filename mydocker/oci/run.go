package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
	"unsafe"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/runtime"

	"github.com/moby/term"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func (h *host) start(_ *cli.Context, id string) error {
	c, v, lock, err := h.lookLocked(id)
	if err != nil {
		return err
	}
	defer lock.Release()
	defer v.close()
	switch v.status {
	case specs.StateCreated:
	case specs.StateStopped:
		return errors.New("cannot start a container that has stopped")
	case specs.StateRunning:
		return errors.New("cannot start an already running container")
	default:
		return fmt.Errorf("cannot start a container in the %s state", v.status)
	}
	spec, err := c.spec()
	if err != nil {
		return err
	}
	return c.begin(v.process, spec, lock, v.process.Pid)
}

// begin lets the process go and runs the hooks for that. A hook that fails ends it. The
// lock is released before: a hook may use the container. main is who stands for it to a
// service manager; if that is not the caller, it waits until it is ready.
func (c *container) begin(p *runtime.Process, spec *specs.Spec, lock *disk.Lock, main int) error {
	socket, err := c.listen()
	if err == nil {
		err = p.Start()
	}
	lock.Release()
	if err == nil && spec.Hooks != nil {
		if err = runtime.RunHooks(spec.Hooks.Poststart, c.state(specs.StateRunning)); err != nil {
			err = fmt.Errorf("poststart: %w", err)
			p.Signal(unix.SIGKILL)
		}
	}
	switch {
	case err != nil || socket == nil:
		return err
	case main == p.Pid:
		return passReady(socket, p, main)
	}
	go passReady(socket, p, main)
	return nil
}

func (n *creation) runAction(c *cli.Context, id string) error {
	code, err := n.run(c, id)
	if err != nil {
		return fmt.Errorf("%s run failed: %w", name, err)
	}
	return &exitError{code: code}
}

func (n *creation) run(c *cli.Context, id string) (code int, err error) {
	f := &foreground{}
	if !n.detach {
		f.catch() // before there is a container: a signal must not end us and leave it
	}
	if !n.detach && !c.Bool("no-subreaper") {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return 0, fmt.Errorf("become subreaper: %w", err)
		}
	}
	if err := n.create(c, id); err != nil {
		return 0, err
	}
	if !n.detach {
		err = f.connect(n.process.Terminal)
	}
	if err == nil {
		main := n.process.Pid
		if !n.detach {
			main = os.Getpid()
		}
		err = n.begin(n.process, n.spec, n.lock, main)
	}
	n.lock.Release()
	switch {
	case err != nil:
		f.disconnect(n.process.Terminal)
		n.warn(n.destroy())
		return 0, err
	case n.detach:
		return 0, nil
	}
	if code = f.wait(n.process); c.Bool("keep") {
		return code, nil
	}
	lock, err := acquire(n.dir)
	if err == nil {
		defer lock.Release()
		now, err := read(n.dir, stateFile)
		if err == nil && now.Pid == n.Pid && now.StartTime == n.StartTime {
			return code, n.destroy()
		}
	}
	return code, nil // somebody else has deleted it; there may be another of that name
}

// foreground is a command that lasts as long as the container's process.
type foreground struct {
	signals chan os.Signal
	raw     *term.State   // to be restored; nil: the own terminal is as it was
	output  chan struct{} // closed at the end of the terminal's output; nil without one
}

// catch catches the signals: they are the process's. Those that somebody is likely to
// send come first, since for each the Go runtime hands over between two threads, and for
// all that costs half a millisecond.
func (f *foreground) catch() {
	f.signals = make(chan os.Signal, 128)
	signal.Notify(f.signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2)
	time.AfterFunc(20*time.Millisecond, func() {
		signal.Notify(f.signals)
		f.signals <- unix.SIGWINCH // perhaps missed
	})
}

// wait passes the signals on until the process's end, disconnects, and gives its exit status.
func (f *foreground) wait(p *runtime.Process) int {
	exited := make(chan int, 1)
	go func() { exited <- p.Wait() }()
	for {
		select {
		case code := <-exited:
			f.disconnect(p.Terminal)
			return code
		case s := <-f.signals:
			switch s {
			case unix.SIGCHLD:
				reapOthers(p.Pid)
			case unix.SIGURG: // Go's scheduler sends it its own threads
			case unix.SIGWINCH:
				resize(p.Terminal)
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

// connect makes the own terminal the container's, in raw mode and of one size.
func (f *foreground) connect(terminal *os.File) error {
	if terminal == nil {
		return nil
	}
	if term.IsTerminal(0) {
		state, err := term.SetRawTerminal(0)
		if err != nil {
			return fmt.Errorf("set terminal to raw mode: %w", err)
		}
		f.raw = state
	}
	resize(terminal)
	f.output = make(chan struct{})
	go io.Copy(terminal, os.Stdin)
	go func() {
		io.Copy(os.Stdout, terminal) // to EIO: no process has the other side open
		close(f.output)
	}()
	return nil
}

// disconnect waits for the last output, though not for that of processes which outlive the first.
func (f *foreground) disconnect(terminal *os.File) {
	if f.output != nil {
		terminal.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		<-f.output
	}
	if f.raw != nil {
		term.RestoreTerminal(0, f.raw)
	}
}

// resize gives the container's terminal the size of the own.
func resize(terminal *os.File) {
	if size, err := term.GetWinsize(0); err == nil && terminal != nil {
		term.SetWinsize(terminal.Fd(), size)
	}
}

// childOf reads the process number waitid(2) has filled in, 0 for none. On 64-bit
// machines the union that holds it begins at byte 16 of siginfo_t.
func childOf(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}
