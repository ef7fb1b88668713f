package monitor

import (
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

// awaitEnd waits for the container's end and takes down what start put up:
// processes, streams, cgroup, then the record, then the container itself if it
// was asked to go. Only then are the clients told.
func (m *Monitor) awaitEnd() {
	code := m.process.Wait()
	// With --pid host the first process's end is not everybody's. To look costs
	// less than to kill nobody.
	if pids, err := m.group.Pids(); err != nil || len(pids) > 0 {
		m.group.Kill()
	}
	select {
	case <-m.streams.copied:
	case <-time.After(drainTime):
	}
	m.execs.Wait()
	m.streams.close()
	if m.log != nil {
		m.log.Close()
	}
	kills, _ := m.group.OOMKills()
	cleanErr := m.group.Delete()

	m.mu.Lock()
	defer m.mu.Unlock()
	m.process.Close()
	m.state.Status, m.state.Pid = api.StateExited, 0
	m.state.ExitCode, m.state.OOMKilled = code, kills > 0
	m.state.FinishedAt = time.Now().UTC()
	if err := m.saveState(); cleanErr == nil {
		cleanErr = err
	}
	if m.state.OOMKilled {
		m.event(events.ActionOOM, nil)
	}
	m.event(events.ActionDie, map[string]string{
		"exitCode":     strconv.Itoa(code),
		"execDuration": strconv.Itoa(int(m.state.FinishedAt.Sub(m.state.StartedAt).Seconds())),
	})
	if m.stopping {
		m.event(events.ActionStop, nil)
	}
	m.finish(cleanErr)
}

// finish removes the container if it was asked to go, or else its run directory,
// and leaves. With an error the run directory stays: it tells the next command
// that there is something to reconcile. The caller holds mu.
func (m *Monitor) finish(err error) {
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "monitor:", err)
	case m.record.HostConfig.AutoRemove:
		if err := m.store.Remove(m.id()); err == nil {
			m.event(events.ActionDestroy, nil)
		}
	default:
		disk.RemoveAll(m.store.RunDir(m.id()))
	}
	m.leave()
}
