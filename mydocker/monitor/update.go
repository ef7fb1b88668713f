package monitor

import (
	"fmt"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// update changes limits and restart policy: in the kernel, and then on disk; if either
// refuses, in neither. The policy holds from the next end on.
func (m *Monitor) update(u *api.UpdateConfig) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase == ended {
		return attach.ErrLeaving
	}
	updated := *m.record()
	host, err := spec.Update(updated.HostConfig, u)
	if err != nil {
		return m.errUpdate(err)
	}
	updated.HostConfig = host
	undo := func() {}
	if m.errNoProcess() == nil {
		hierarchies, err := cgroup.Host()
		if err != nil {
			return m.errUpdate(err)
		}
		if undo, err = m.group.Update(spec.Limits(host, hierarchies.Version == 2)); err != nil {
			return m.errUpdate(err)
		}
	}
	if err := m.store.SaveRecord(&updated); err != nil {
		undo()
		return m.errUpdate(err)
	}
	m.settled.Store(&updated)
	m.event(events.ActionUpdate, nil)
	return nil
}

func (m *Monitor) errUpdate(err error) error {
	return fmt.Errorf("Cannot update container %s: %w", m.id(), err)
}
