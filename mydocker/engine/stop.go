package engine

import (
	"errors"
	"fmt"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// StopOptions are the options of Stop.
type StopOptions struct {
	Signal  string // "": the container's own
	Timeout *int   // seconds until SIGKILL; nil: the container's own; negative: for ever
}

// Stop sends the stop signal, and SIGKILL after the timeout, and returns when
// the container has ended. It is a success if it does not run.
func (e *Engine) Stop(ref string, o StopOptions) error {
	request, err := o.request(attach.Stop)
	if err != nil {
		return err
	}
	id, err := e.find(ref)
	if err != nil {
		return err
	}
	err = e.ask(id, request, false)
	if errors.Is(err, attach.ErrLost) {
		err = e.ask(id, request, false) // its end is recorded by this
	}
	if isDead(err) {
		return nil
	}
	return err
}

func (o StopOptions) request(verb attach.Verb) (attach.Request, error) {
	request := attach.Request{Verb: verb, Timeout: o.Timeout}
	if o.Signal == "" {
		return request, nil
	}
	signal, err := container.ParseSignal(o.Signal)
	request.Signal = int(signal)
	return request, err
}

// isGone tells whether there is no such container, or, with --rm, no longer.
func isGone(err error) bool {
	var gone *container.NotFoundError
	return errors.As(err, &gone)
}

// isDead tells whether a request was refused because the container does not run.
func isDead(err error) bool {
	var refused *attach.Error
	return errors.Is(err, errDead) || isGone(err) || errors.As(err, &refused) && refused.NotRunning
}

// Kill sends a signal, "" for SIGKILL, to the container's first process.
func (e *Engine) Kill(ref, signal string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot kill container: %s: %w", ref, err)
		}
	}()
	request, err := StopOptions{Signal: signal}.request(attach.Kill)
	if err != nil {
		return err
	}
	id, err := e.askRef(ref, request, false)
	return e.notRunning(id, err)
}

// RemoveOptions are the options of Remove.
type RemoveOptions struct {
	Force   bool // a running container too: it is killed
	Volumes bool // anonymous volumes too
}

// Remove takes a container away.
func (e *Engine) Remove(ref string, o RemoveOptions) error {
	id, err := e.find(ref)
	if err != nil {
		return err
	}
	for killed := false; ; {
		lock, err := e.containers.TryLock(id)
		if err == nil {
			defer lock.Release()
			return e.removeDead(id, o)
		}
		if errors.Is(err, disk.ErrLocked) {
			err = e.endMonitor(id, o.Force)
			killed = killed || o.Force
		}
		if killed && isGone(err) {
			return nil // by --rm: its monitor has removed it
		}
		if err != nil {
			return err
		}
	}
}

// removeDead removes a container whose lock the caller holds.
func (e *Engine) removeDead(id string, o RemoveOptions) error {
	state, err := e.reconcile(id)
	switch {
	case isGone(err):
		return nil
	case err != nil:
		return err
	case state.Status == api.StateRestarting && !o.Force: // its monitor was lost
		return e.errRunning(id, state.Status)
	}
	// A damaged record does not keep a container from being removed.
	record, recordErr := e.containers.Record(id)
	if err := e.containers.Remove(id, o.Volumes); err != nil {
		return err
	}
	if recordErr == nil {
		if len(record.Networks) > 0 {
			if err := e.networks.Tidy(); err != nil {
				return err
			}
		}
		e.journal.Append(record.Event(events.ActionDestroy, nil))
	}
	return nil
}

// endMonitor makes a live container dead: kills it if force says so, or sends
// the monitor of one that was never started away.
func (e *Engine) endMonitor(id string, force bool) error {
	state, err := e.containers.State(id)
	if err != nil {
		return err
	}
	request := attach.Request{Verb: attach.Release}
	if running(state) {
		if !force {
			return e.errRunning(id, state.Status)
		}
		request = attach.Request{Verb: attach.Kill}
	}
	err = e.ask(id, request, false)
	var refused *attach.Error
	switch {
	case isDead(err), errors.Is(err, attach.ErrLost):
		return nil
	case errors.As(err, &refused) && request.Verb == attach.Release && !force:
		return e.errRunning(id, api.StateRunning)
	case errors.As(err, &refused) && request.Verb == attach.Release:
		return nil // it has started meanwhile: once more, by force
	}
	return err
}

// RunningError refuses to remove a container that runs, is paused or restarting.
type RunningError struct {
	Name   string
	Status api.ContainerState
}

func (e *RunningError) Error() string {
	what := fmt.Sprintf("cannot remove container \"/%s\": container is %s", e.Name, e.Status)
	if e.Status == api.StatePaused {
		return what + " and must be unpaused first"
	}
	return what + ": stop the container before removing or force remove"
}

func (e *Engine) errRunning(id string, status api.ContainerState) error {
	record, err := e.containers.Record(id)
	if err != nil {
		return err
	}
	return &RunningError{record.Name, status}
}
