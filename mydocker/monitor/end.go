package monitor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"minidocker/mydocker/disk"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// drainTime is how long output may still arrive after the container's end.
// Nobody of the container is left to write, but a pipe's end may have been handed
// to a process elsewhere.
const drainTime = 2 * time.Second

// awaitEnd waits for the end of a life and takes down what start put up:
// processes, streams, cgroup, then the record. It goes on with the next life, or
// the container itself goes if it was asked to. Only then are the clients told.
func (m *Monitor) awaitEnd(l *life) {
	code := l.process.Wait()
	m.mu.Lock()
	m.stopProbing(l)
	m.mu.Unlock()
	// With --pid host the first process's end is not everybody's. To look costs
	// less than to kill nobody.
	if pids, err := m.group.Pids(); err != nil || len(pids) > 0 {
		m.group.Kill()
	}
	select {
	case <-l.streams.copied:
	case <-time.After(drainTime):
	}
	l.execs.Wait()
	l.streams.close()
	if l.log != nil {
		l.log.Close()
	}
	kills, _ := m.group.OOMKills()
	cleanErr := m.group.Delete()

	m.mu.Lock()
	defer m.mu.Unlock()
	l.process.Close()
	m.disconnect(l)
	l.exitCode = &code
	m.state.Status, m.state.Pid = api.StateExited, 0
	m.state.ExitCode, m.state.OOMKilled = code, kills > 0
	m.state.FinishedAt, m.state.Ports = time.Now().UTC(), nil
	again := cleanErr == nil && (l.again != nil || m.wantsRestart())
	if again && l.again == nil {
		m.state.Status = api.StateRestarting
	}
	// What --rm removes is recorded to run until it is gone, for who finds it half removed.
	if again || !m.record().HostConfig.AutoRemove {
		cleanErr = errors.Join(cleanErr, m.leaveNetworks(), m.saveState())
	}
	m.tellEnd(l)
	if !again {
		if l.again != nil {
			l.again <- cleanErr
		}
		m.finish(cleanErr)
		return
	}
	close(l.over)
	m.life, m.phase = newLife(), restarting
	if l.again != nil {
		m.state.RestartCount, m.delay = 0, 0
		l.again <- m.begin()
		return
	}
	m.restartLater(m.state.FinishedAt.Sub(m.state.StartedAt))
}

// tellEnd records the events of a life's end.
func (m *Monitor) tellEnd(l *life) {
	if m.state.OOMKilled {
		m.event(events.ActionOOM, nil)
	}
	m.event(events.ActionDie, map[string]string{
		"exitCode":     strconv.Itoa(m.state.ExitCode),
		"execDuration": strconv.Itoa(int(m.state.FinishedAt.Sub(m.state.StartedAt).Seconds())),
	})
	if l.stopping {
		m.event(events.ActionStop, nil)
	}
	m.closedVolumes()
}

// finish removes the container if it was asked to go, or else its run directory,
// and leaves. With an error the run directory stays: it tells the next command
// that there is something to reconcile. The caller holds mu.
func (m *Monitor) finish(err error) {
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "monitor:", err)
	case m.record().HostConfig.AutoRemove:
		m.ports.Close() // who finds the container gone finds its ports free
		if err := m.store.Remove(m.id(), true); err == nil {
			m.event(events.ActionDestroy, nil)
		}
	default:
		disk.RemoveAll(m.store.RunDir(m.id()))
	}
	m.leave()
}
