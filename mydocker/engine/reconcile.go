package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// A container whose monitor was lost exits with 137, as if killed; one that was
// running when the machine went down with 255, as Docker has it.
const (
	exitLost   = 137
	exitReboot = 255
)

// reconcile makes the records of a container without a monitor true, takes back
// what its monitor left, processes, cgroup, run directory, and gives the state. The
// caller holds the container's lock, so nobody lives there. It costs two stat calls
// when all is well. If the container went by this (--rm), the error is a
// NotFoundError; if the restart policy wants it again, the state says restarting,
// and the next monitor does it.
func (e *Engine) reconcile(id string) (*container.State, error) {
	state, err := e.containers.State(id)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(e.containers.RunDir(id))
	if err != nil && !running(state) {
		return state, nil
	}
	record, err := e.containers.Record(id)
	if err != nil {
		return nil, err
	}
	group, err := cgroup.Open(record.CgroupPath(e.config.Instance))
	if err != nil {
		return nil, err
	}
	if err := group.Kill(); err != nil {
		return nil, fmt.Errorf("kill what is left of container %s: %w", id, err)
	}
	if err := group.Delete(); err != nil {
		return nil, err
	}
	if err := errors.Join(e.networks.LeaveLost(id), e.networks.Tidy()); err != nil {
		return nil, err
	}
	torn, _ := filepath.Glob(filepath.Join(e.containers.Dir(id), ".tmp-*"))
	for _, file := range torn { // of a write that was killed: we hold the lock
		os.Remove(file)
	}
	if running(state) {
		if err := e.recordLoss(record, state); err != nil {
			return nil, err
		}
	}
	if record.HostConfig.AutoRemove {
		if err := e.containers.Remove(id, true); err != nil {
			return nil, err
		}
		e.journal.Append(record.Event(events.ActionDestroy, nil))
		return nil, &container.NotFoundError{Ref: id}
	}
	return state, disk.RemoveAll(e.containers.RunDir(id))
}

// recordLoss writes the end that the monitor did not live to record. One lost while
// it waited for the next life has recorded the last one's.
func (e *Engine) recordLoss(record *container.Record, state *container.State) error {
	boot, err := container.BootID()
	if err != nil {
		return err
	}
	rebooted := state.BootID != boot
	if state.Status == api.StateRestarting && !rebooted {
		return nil
	}
	state.ExitCode, state.Error = exitLost, "the container's monitor was lost"
	if rebooted {
		state.ExitCode, state.Error = exitReboot, "the machine went down"
	}
	state.Status, state.Pid, state.FinishedAt, state.Ports = api.StateExited, 0, time.Now().UTC(), nil
	if state.Health != nil {
		state.Health.Status = api.Unhealthy
	}
	if !rebooted && !state.StopRequested && record.ShouldRestart(state) {
		state.Status = api.StateRestarting
	}
	if !record.HostConfig.AutoRemove { // what is removed next is recorded to run until it is gone
		if err := e.containers.SaveState(record.ID, state); err != nil {
			return err
		}
	}
	e.journal.Append(record.Event(events.ActionDie, map[string]string{"exitCode": strconv.Itoa(state.ExitCode)}))
	return nil
}

// current gives the container's state. If its monitor is gone it is reconciled
// first, and has a new one if the restart policy says so. A container that is just
// being removed is a NotFoundError.
func (e *Engine) current(id string) (*container.State, error) {
	state, err := e.containers.State(id)
	if err != nil {
		return nil, err
	}
	if _, err = os.Lstat(e.containers.RunDir(id)); err != nil && !running(state) {
		return state, nil
	}
	if alive, err := e.containers.Alive(id); err != nil || alive {
		// Read again: it may have ended between the two looks.
		if err == nil {
			return e.containers.State(id)
		}
		return state, err
	}
	lock, err := e.containers.TryLock(id)
	if errors.Is(err, disk.ErrLocked) {
		return e.containers.State(id)
	}
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if state, err = e.reconcile(id); err == nil && state.Status == api.StateRestarting {
		err = e.spawn(id, lock)
	}
	return state, err
}

// find resolves what a user calls a container.
func (e *Engine) find(ref string) (id string, err error) {
	if err := e.containers.Sweep(); err != nil {
		return "", err
	}
	return e.containers.Resolve(ref)
}
