package engine

import (
	"errors"
	"slices"

	"minidocker/mydocker/attach"

	"github.com/moby/moby/api/types/events"
)

// Restart stops a container that runs, and starts it again.
func (e *Engine) Restart(ref string, o StopOptions) error {
	request, err := o.request(attach.Restart)
	if err == nil {
		_, err = e.askRef(ref, request, true)
	}
	return err
}

// Pause stops all processes of a container where they are, until Unpause.
func (e *Engine) Pause(ref string) error { return e.askRunning(ref, attach.Pause) }

// Unpause lets the processes of a paused container go on.
func (e *Engine) Unpause(ref string) error { return e.askRunning(ref, attach.Unpause) }

func (e *Engine) askRunning(ref string, verb attach.Verb) error {
	id, err := e.askRef(ref, attach.Request{Verb: verb}, false)
	if errors.Is(err, errDead) && verb == attach.Unpause {
		return &NotPausedError{id}
	}
	return e.notRunning(id, err)
}

// NotPausedError refuses to unpause a container that does not run.
type NotPausedError struct{ ID string }

func (e *NotPausedError) Error() string { return "Container " + e.ID + " is not paused" }

// Rename gives a container another name.
func (e *Engine) Rename(ref, name string) error {
	if ref == "" || name == "" {
		return errors.New("Neither old nor new names may be empty")
	}
	id, err := e.find(ref)
	if err != nil {
		return err
	}
	return e.change(id, attach.Request{Verb: attach.Rename, Name: name}, func() error {
		record, err := e.containers.Record(id)
		if err != nil {
			return err
		}
		renamed, err := e.containers.Rename(record, name)
		if err == nil {
			e.journal.Append(renamed.Event(events.ActionRename, map[string]string{"oldName": "/" + record.Name}))
		}
		return err
	})
}

// StartByPolicy starts the containers that do not run and whose restart policy
// wants them to, as at boot, in the order in which they were made, and gives their
// names. One that needs another (--pid container:X) may be before it: what did not
// start is tried once more.
func (e *Engine) StartByPolicy() (started []string, err error) {
	all, err := e.snapshot()
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	all = slices.DeleteFunc(all, func(c known) bool {
		return running(c.State) || c.State.StartedAt.IsZero() || !c.ShouldRestart(c.State)
	})
	for range 2 {
		var errs []error
		all = slices.DeleteFunc(all, func(c known) bool {
			err := e.Start(c.ID)
			if isGone(err) {
				return true
			}
			if err != nil {
				errs = append(errs, err)
				return false
			}
			started = append(started, c.Name)
			return true
		})
		err = errors.Join(errs...)
	}
	return started, err
}
