package monitor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"

	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"
)

// killTime is how long a SIGKILL may take: a process in an uninterruptible sleep
// does not die.
const killTime = 10 * time.Second

// defaultStopTimeout is how long a container gets to end by itself.
const defaultStopTimeout = 10

// errNotRunning answers a verb that needs a running container.
func (m *Monitor) errNotRunning() error {
	return &attach.Error{Message: fmt.Sprintf("container %s is not running", m.id()), NotRunning: true}
}

// signal sends one to the container's first process. That the end was asked for
// is recorded before: a monitor killed right after must not let the container
// be started again.
func (m *Monitor) signal(signal unix.Signal, ends bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase != running {
		return m.errNotRunning()
	}
	if ends && !m.state.StopRequested {
		m.state.StopRequested = true
		if err := m.saveState(); err != nil {
			return err
		}
	}
	m.event(events.ActionKill, map[string]string{"signal": strconv.Itoa(int(signal))})
	if err := m.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send signal %d to container %s: %w", signal, m.id(), err)
	}
	return nil
}

// kill sends a signal; with SIGKILL it returns when the container has ended.
func (m *Monitor) kill(signal int) error {
	if signal == 0 {
		signal = int(unix.SIGKILL)
	}
	end := unix.Signal(signal) == unix.SIGKILL || unix.Signal(signal) == m.stopSignal()
	if err := m.signal(unix.Signal(signal), end); err != nil {
		return err
	}
	if unix.Signal(signal) != unix.SIGKILL {
		return nil
	}
	return m.awaitOver(killTime)
}

// stop sends the stop signal, and SIGKILL after the timeout. It returns when the
// container has ended.
func (m *Monitor) stop(signal int, timeout *int) error {
	first := unix.Signal(signal)
	if signal == 0 {
		first = m.stopSignal()
	}
	patience := m.stopTimeout()
	if timeout != nil {
		patience = time.Duration(*timeout) * time.Second
	}
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	if err := m.signal(first, true); err != nil {
		return err
	}
	if m.awaitOver(patience) != nil {
		if err := m.signal(unix.SIGKILL, true); err != nil {
			var gone *attach.Error
			if !errors.As(err, &gone) { // it may have ended meanwhile
				return err
			}
		}
		return m.awaitOver(killTime)
	}
	return nil
}

// awaitOver waits for the container's end, with a negative timeout for ever.
func (m *Monitor) awaitOver(timeout time.Duration) error {
	var late <-chan time.Time
	if timeout >= 0 {
		late = time.After(timeout)
	}
	select {
	case <-m.over:
		return nil
	case <-late:
		return fmt.Errorf("container %s did not end within %v of the signal", m.id(), timeout)
	}
}

// stopSignal is the signal that asks the container to end.
func (m *Monitor) stopSignal() unix.Signal {
	signal, err := container.ParseSignal(m.record.Config.StopSignal)
	if err != nil {
		return unix.SIGTERM // create has refused anything else
	}
	return signal
}
