package monitor

import (
	"fmt"
	"os"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// The pause before a restart by policy doubles with each, from the first to the
// longest, and starts again after a life that lasted (Docker's numbers).
const (
	firstDelay   = 100 * time.Millisecond
	longestDelay = time.Minute
	lasted       = 10 * time.Second
)

// nextDelay gives the pause after one of the given length and a life that took so long.
func nextDelay(delay, lived time.Duration) time.Duration {
	if delay == 0 || lived >= lasted {
		return firstDelay
	}
	return min(2*delay, longestDelay)
}

// wantsRestart tells whether the policy holds after this end. When the machine
// goes down it holds at the next boot. The caller holds mu.
func (m *Monitor) wantsRestart() bool {
	return !m.shutdown && !m.state.StopRequested && m.record().ShouldRestart(m.state)
}

// restartLater begins the next life after the pause that is due, unless it is
// cancelled before. The caller holds mu.
func (m *Monitor) restartLater(lived time.Duration) {
	m.delay = nextDelay(m.delay, lived)
	next := m.life
	time.AfterFunc(m.delay, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.life != next || m.phase != restarting {
			return
		}
		if m.shutdown || !m.record().ShouldRestart(m.state) { // update has changed the policy
			m.giveUp()
			return
		}
		if m.donorRestarts() {
			m.restartLater(0)
			return
		}
		m.state.RestartCount++
		switch err := m.run(); {
		case err == nil:
		case m.donorRestarts(): // it ended while it was joined
			m.state.RestartCount--
			if err := m.undo(); err != nil {
				m.finish(err)
				return
			}
			m.restartLater(0)
		default:
			fmt.Fprintln(os.Stderr, "monitor:", m.failed(err))
		}
	})
}

// cancelRestart ends a container between two lives. The caller holds mu.
func (m *Monitor) cancelRestart() error {
	m.state.StopRequested = true
	if m.life.stopping {
		m.event(events.ActionStop, nil)
	}
	return m.giveUp()
}

// giveUp leaves the container as its last life left it. The caller holds mu.
func (m *Monitor) giveUp() error {
	m.state.Status = api.StateExited
	m.life.exitCode = &m.state.ExitCode
	err := m.saveState()
	m.finish(err)
	return err
}

// restart stops the container if it runs, and starts it, without looking at the
// policy: a container that would be removed at its end is not.
func (m *Monitor) restart(signal int, timeout *int) error {
	m.mu.Lock()
	l := m.life
	var begun chan error
	if m.phase == running {
		if l.again == nil {
			l.again = make(chan error, 1)
		}
		begun = l.again
	}
	m.mu.Unlock()
	var err error
	if begun == nil {
		err = m.start(true)
	} else if err = m.stop(l, signal, timeout); err == nil {
		err = <-begun
		begun <- err // for who else has asked
	}
	if err == nil {
		m.event(events.ActionRestart, nil)
	}
	return err
}
