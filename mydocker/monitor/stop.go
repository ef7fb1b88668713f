package monitor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"

	api "github.com/moby/moby/api/types/container"
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

// errRestarting answers a verb that needs a process, in the pause before the next one.
func (m *Monitor) errRestarting() error {
	return fmt.Errorf("Container %s is restarting, wait until the container is running", m.id())
}

// errNoProcess answers a verb that needs a live process; nil: there is one. A life
// that has ended gives up its cgroup before its end is recorded. The caller holds mu.
func (m *Monitor) errNoProcess() error {
	switch {
	case m.phase == restarting:
		return m.errRestarting()
	case m.phase != running || m.life.process.Done():
		return m.errNotRunning()
	}
	return nil
}

// signal sends one to the first process of the life, nil for the one that goes on,
// and tells which that is. That the end was asked for is recorded before: a monitor
// killed right after must not let the container be started again. Between two lives
// there is nobody to send it to, and an end asked for is one.
func (m *Monitor) signal(l *life, signal unix.Signal, ends bool) (*life, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l = cmp.Or(l, m.life)
	switch {
	case l != m.life: // it has ended
		return l, nil
	case m.phase == restarting && ends:
		return l, m.cancelRestart()
	case m.phase == restarting:
		return l, m.errRestarting()
	case m.phase != running:
		return l, m.errNotRunning()
	}
	if ends && !m.state.StopRequested {
		m.state.StopRequested = true
		if err := m.saveState(); err != nil {
			return l, err
		}
	}
	m.event(events.ActionKill, map[string]string{"signal": strconv.Itoa(int(signal))})
	err := l.process.Signal(signal)
	switch {
	case errors.Is(err, os.ErrProcessDone):
		return l, nil
	case err != nil:
		return l, fmt.Errorf("send signal %d to container %s: %w", signal, m.id(), err)
	case (ends || m.shutdown) && m.state.Status == api.StatePaused:
		return l, m.thaw()
	}
	return l, nil
}

// kill sends a signal; with SIGKILL it returns when the container has ended.
func (m *Monitor) kill(signal int) error {
	if signal == 0 {
		signal = int(unix.SIGKILL)
	}
	end := unix.Signal(signal) == unix.SIGKILL || unix.Signal(signal) == m.stopSignal()
	l, err := m.signal(nil, unix.Signal(signal), end)
	if err != nil || unix.Signal(signal) != unix.SIGKILL {
		return err
	}
	return m.awaitOver(l, killTime)
}

// stop sends the stop signal, and SIGKILL after the timeout. It returns when the
// life, nil for the one that goes on, has ended.
func (m *Monitor) stop(l *life, signal int, timeout *int) error {
	first := unix.Signal(signal)
	if signal == 0 {
		first = m.stopSignal()
	}
	patience := m.stopTimeout()
	if timeout != nil {
		patience = time.Duration(*timeout) * time.Second
	}
	m.mu.Lock()
	l = cmp.Or(l, m.life)
	l.stopping = true
	m.mu.Unlock()
	l, err := m.signal(l, first, true)
	if err != nil {
		return err
	}
	if m.awaitOver(l, patience) == nil {
		return nil
	}
	if _, err := m.signal(l, unix.SIGKILL, true); err != nil {
		var gone *attach.Error
		if !errors.As(err, &gone) { // it may have ended meanwhile
			return err
		}
	}
	return m.awaitOver(l, killTime)
}

// awaitOver waits for the end of a life, with a negative timeout for ever.
func (m *Monitor) awaitOver(l *life, timeout time.Duration) error {
	var late <-chan time.Time
	if timeout >= 0 {
		late = time.After(timeout)
	}
	select {
	case <-l.over:
		return nil
	case <-late:
		return fmt.Errorf("container %s did not end within %v of the signal", m.id(), timeout)
	}
}

// stopSignal is the signal that asks the container to end.
func (m *Monitor) stopSignal() unix.Signal {
	signal, err := container.ParseSignal(m.record().Config.StopSignal)
	if err != nil {
		return unix.SIGTERM // create has refused anything else
	}
	return signal
}
