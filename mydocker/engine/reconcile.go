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

// reconcile makes the records of a container without a monitor true, and takes
// back what its monitor left: processes, cgroup, run directory. The caller holds
// the container's lock, so nobody lives there. It costs two stat calls when all
// is well. If the container went by this (--rm), the error is a NotFoundError.
func (e *Engine) reconcile(id string) error {
	state, err := e.containers.State(id)
	if err != nil {
		return err
	}
	_, err = os.Lstat(e.containers.RunDir(id))
	unfinished := err == nil
	alive := state.Status == api.StateRunning || state.Status == api.StatePaused || state.Status == api.StateRestarting
	if !unfinished && !alive {
		return nil
	}
	record, err := e.containers.Record(id)
	if err != nil {
		return err
	}
	group, err := cgroup.Open(record.CgroupPath(e.config.Instance))
	if err != nil {
		return err
	}
	if err := group.Kill(); err != nil {
		return fmt.Errorf("kill what is left of container %s: %w", id, err)
	}
	if err := group.Delete(); err != nil {
		return err
	}
	torn, _ := filepath.Glob(filepath.Join(e.containers.Dir(id), ".tmp-*"))
	for _, file := range torn { // of a write that was killed: we hold the lock
		os.Remove(file)
	}
	if alive {
		if err := e.recordLoss(record, state); err != nil {
			return err
		}
	}
	if record.HostConfig.AutoRemove {
		if err := e.containers.Remove(id); err != nil {
			return err
		}
		e.journal.Append(record.Event(events.ActionDestroy, nil))
		return &container.NotFoundError{Ref: id}
	}
	return disk.RemoveAll(e.containers.RunDir(id))
}

// recordLoss writes the end that the monitor did not live to record.
func (e *Engine) recordLoss(record *container.Record, state *container.State) error {
	boot, err := container.BootID()
	if err != nil {
		return err
	}
	state.ExitCode = exitLost
	state.Error = "the container's monitor was lost"
	if state.BootID != boot {
		state.ExitCode = exitReboot
		state.Error = "the machine went down"
	}
	state.Status, state.Pid, state.FinishedAt = api.StateExited, 0, time.Now().UTC()
	if err := e.containers.SaveState(record.ID, state); err != nil {
		return err
	}
	e.journal.Append(record.Event(events.ActionDie, map[string]string{"exitCode": strconv.Itoa(state.ExitCode)}))
	return nil
}

// current gives the container's state, reconciled first if its monitor is gone.
// A container that is just being removed is a NotFoundError.
func (e *Engine) current(id string) (*container.State, error) {
	state, err := e.containers.State(id)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(e.containers.RunDir(id))
	if err != nil && state.Status != api.StateRunning && state.Status != api.StatePaused && state.Status != api.StateRestarting {
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
	if err := e.reconcile(id); err != nil {
		return nil, err
	}
	return e.containers.State(id)
}

// find resolves what a user calls a container.
func (e *Engine) find(ref string) (id string, err error) {
	if err := e.containers.Sweep(); err != nil {
		return "", err
	}
	return e.containers.Resolve(ref)
}
