package monitor

import (
	"fmt"
	"net"

	"minidocker/mydocker/attach"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// pause stops all processes of the container where they are. Its health is not
// looked at meanwhile.
func (m *Monitor) pause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.errNoProcess(); err != nil {
		return err
	}
	if m.state.Status == api.StatePaused {
		return fmt.Errorf("Container %s is already paused", m.id())
	}
	return m.freeze()
}

// freeze begins a pause. The caller holds mu.
func (m *Monitor) freeze() error {
	if err := m.group.Freeze(); err != nil {
		return fmt.Errorf("pause container %s: %w", m.id(), err)
	}
	m.stopProbing(m.life)
	m.state.Status = api.StatePaused
	m.event(events.ActionPause, nil)
	return m.saveState()
}

// unpause lets them go on.
func (m *Monitor) unpause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.errNoProcess() != nil || m.state.Status != api.StatePaused {
		return fmt.Errorf("Container %s is not paused", m.id())
	}
	return m.thaw()
}

// thaw ends a pause. The caller holds mu.
func (m *Monitor) thaw() error {
	if err := m.group.Thaw(); err != nil {
		return fmt.Errorf("unpause container %s: %w", m.id(), err)
	}
	m.state.Status, m.held = api.StateRunning, nil
	m.startProbing()
	m.event(events.ActionUnPause, nil)
	return m.saveState()
}

// hold pauses a container that runs for as long as anybody who asked for it is
// connected: the end of a client, by kill -9 too, is the end of the pause. One that
// is paused already stays it; who unpauses it meanwhile has his way.
func (m *Monitor) hold(conn *net.UnixConn) {
	m.mu.Lock()
	var err error
	if m.errNoProcess() == nil && m.state.Status != api.StatePaused {
		if err = m.freeze(); err == nil {
			m.held = m.life
		}
	}
	m.holders++
	m.mu.Unlock()
	if attach.Send(conn, respond(err)) == nil {
		<-hangup(conn)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holders--; m.holders == 0 && m.held == m.life && m.errNoProcess() == nil && m.state.Status == api.StatePaused {
		m.thaw() // what a broken freezer keeps, only the container's end frees
	}
}

// rename gives the container another name.
func (m *Monitor) rename(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase == ended {
		return attach.ErrLeaving
	}
	before := m.record()
	renamed, err := m.store.Rename(before, name)
	if err != nil {
		return err
	}
	m.settled.Store(renamed)
	if err := m.networks.Rename(m.id(), renamed.Name); err != nil {
		return err
	}
	m.event(events.ActionRename, map[string]string{"oldName": "/" + before.Name})
	return nil
}
