package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// Open gives a container's first process that another process created, with the state
// directory it was given. Start, Signal, Done, Root and Exec work on it, and Close; only
// the creator learns from Start why the command could not be executed, and from Wait how
// the process ended. os.ErrProcessDone says that there is no such process. The number may
// have become another's before: the caller compares its start time, after Open.
func Open(pid int, state string) (*Process, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	// EINVAL: the number is a thread's by now, or still that of the session the process began.
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, os.ErrProcessDone
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &Process{Pid: pid, fifo: filepath.Join(state, "exec.fifo"), pidfd: pidfd}, nil
}

// Start lets the command go, and returns when the kernel has executed it, or
// with why it could not. It can be called once.
func (p *Process) Start() error {
	err := openFifo(p.fifo, p.pidfd)
	if p.sync.file == nil { // another's, to whom init talks
		return err
	}
	// What init has to say comes first: it is the reason if it has ended.
	_, _, said := p.sync.receive()
	p.sync.file.Close()
	if !errors.Is(said, errGone) { // gone: closed, by execve if there was no error
		return p.explain(said)
	}
	return p.explain(err)
}

// openFifo reads the byte that init, which waits in open(2) on the fifo, writes
// before it executes the command. The fifo is removed: a second start fails.
func openFifo(path string, pidfd int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return errors.New("the container is already started")
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	trace.Step("open", "exec.fifo: init may execute the command")
	events := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(events, -1); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for init: %w", err)
		}
		if events[0].Revents&unix.POLLIN != 0 {
			return os.Remove(path)
		}
		if events[1].Revents != 0 {
			return errors.New("init has ended")
		}
	}
}

// unreaped stands for the status of a process that has ended and is still a zombie.
const unreaped = ^unix.WaitStatus(0)

// reap waits for the end of the process, on the thread that started it. The zombie is
// left to who asks for its status: a caller that ends without having asked, for the process
// is detached, hands it over to its own parent, which may want to know.
func (p *Process) reap() {
	for unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.exited <- unreaped
}

func (p *Process) takeStatus(status unix.WaitStatus) unix.WaitStatus {
	for status == unreaped {
		if _, err := unix.Wait4(p.Pid, &status, 0, nil); err != nil && err != unix.EINTR {
			status = 0
		}
	}
	p.exited <- status
	return status
}

// Wait waits for the end of the process and returns its exit status as a shell
// has it: the exit code, or 128 + the signal's number; -1 if it is another's child.
// Without a call of it the process stays a zombie.
func (p *Process) Wait() int {
	if p.exited == nil {
		p.DoneWithin(-1)
		return -1
	}
	status := p.takeStatus(<-p.exited)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// Signal sends a signal. The pidfd makes sure that it is this process and not a
// later one of the same number; os.ErrProcessDone says it has ended.
func (p *Process) Signal(signal unix.Signal) error {
	trace.Step("pidfd_send_signal", "%d to process %d", int(signal), p.Pid)
	err := unix.PidfdSendSignal(p.pidfd, signal, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Abandon kills a process that was not started, and releases what it held.
func (p *Process) Abandon() {
	p.Signal(unix.SIGKILL)
	p.Wait()
	os.Remove(p.fifo)
	p.Close()
}

// Close releases the descriptors, once the process has ended or is none of the
// caller's business any more.
func (p *Process) Close() {
	p.sync.file.Close()
	if p.Terminal != nil {
		p.Terminal.Close()
		p.Terminal = nil
	}
	if p.pidfd >= 0 {
		unix.Close(p.pidfd)
		p.pidfd = -1
	}
}

// explain turns "init has gone" into what happened to it. A memory limit too
// small for init itself is the usual reason.
func (p *Process) explain(err error) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	select {
	case status := <-p.exited:
		if status = p.takeStatus(status); status.Signaled() && status.Signal() == unix.SIGKILL {
			return fmt.Errorf("%w (init was killed; is the memory limit too small for it?)", err)
		}
	default:
	}
	return err
}

// Root opens what the process sees as /. os.ErrProcessDone says it has ended.
func (p *Process) Root() (*os.File, error) {
	root, err := os.OpenFile(fmt.Sprintf("/proc/%d/root", p.Pid), unix.O_PATH|unix.O_DIRECTORY, 0)
	if p.Done() { // and the number may have been another process's
		root.Close()
		return nil, os.ErrProcessDone
	}
	return root, err
}

// Done tells whether the process has ended.
func (p *Process) Done() bool { return p.DoneWithin(0) }

// DoneWithin waits for the process's end, but not longer than so many milliseconds.
func (p *Process) DoneWithin(milliseconds int) bool {
	events := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(events, milliseconds)
		if err != unix.EINTR {
			return n > 0
		}
	}
}
