package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"

	api "github.com/moby/moby/api/types/container"
)

// AttachOptions say which of the container's streams are wanted.
type AttachOptions struct{ Stdin, Stdout, Stderr bool }

// Stream is a client's connection to a container's standard streams.
type Stream struct{ conn *net.UnixConn }

// Attach connects to the standard streams of a container that runs or is about
// to: one that was created gets its monitor by this, and no output is lost.
func (e *Engine) Attach(ref string, o AttachOptions) (*Stream, error) {
	id, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	conn, err := e.dial(id, attach.Request{Verb: attach.Attach, Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr}, true)
	if err != nil {
		return nil, err
	}
	if _, _, err := attach.Answer(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return &Stream{conn}, nil
}

// Write sends to the container's standard input.
func (s *Stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite ends the input, and the container's with it if it was created for
// one client (StdinOnce).
func (s *Stream) CloseWrite() error { return s.conn.CloseWrite() }

// Copy writes the container's output until its streams end. With a terminal all
// goes to stdout. attach.ErrLost says the monitor was lost before.
func (s *Stream) Copy(stdout, stderr io.Writer) error { return attach.Copy(s.conn, stdout, stderr) }

// Close gives the connection up; the container runs on.
func (s *Stream) Close() error { return s.conn.Close() }

// Start starts a container; it is a success if it runs already.
func (e *Engine) Start(ref string) error {
	_, err := e.askRef(ref, attach.Request{Verb: attach.Start}, true)
	return err
}

// StartAttached starts a container that Attach has given its monitor. If that
// was lost it is attach.ErrLost: another one would start the container for a
// client that hears nothing of it.
func (e *Engine) StartAttached(ref string) error {
	_, err := e.askRef(ref, attach.Request{Verb: attach.Start}, false)
	if errors.Is(err, errDead) {
		return attach.ErrLost
	}
	return err
}

// Resize sets the size of the container's terminal, in characters.
func (e *Engine) Resize(ref string, height, width uint) error {
	id, err := e.askRef(ref, attach.Request{Verb: attach.Resize, Height: height, Width: width}, false)
	return e.notRunning(id, err)
}

// notRunning puts errDead into Docker's words.
func (e *Engine) notRunning(id string, err error) error {
	if errors.Is(err, errDead) {
		return &NotRunningError{id}
	}
	return err
}

// NotRunningError reports a verb that needs a running container.
type NotRunningError struct{ ID string }

func (e *NotRunningError) Error() string { return fmt.Sprintf("container %s is not running", e.ID) }

// Wait begins to wait at once and returns a function that gives the result: the
// exit status, once the container does not run (WaitConditionNotRunning, or ""),
// has exited once more (NextExit), or has been removed (Removed).
func (e *Engine) Wait(ref string, condition api.WaitCondition) (func() (api.WaitResponse, error), error) {
	id, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	if condition == "" {
		condition = api.WaitConditionNotRunning
	}
	conn, err := e.dial(id, attach.Request{Verb: attach.Wait, Condition: condition}, condition != api.WaitConditionNotRunning)
	if errors.Is(err, errDead) {
		state, err := e.current(id)
		if err != nil {
			return nil, err
		}
		return func() (api.WaitResponse, error) { return api.WaitResponse{StatusCode: int64(state.ExitCode)}, nil }, nil
	}
	if isGone(err) {
		return nil, &container.NotFoundError{Ref: ref} // it has just gone
	}
	if err != nil {
		return nil, err
	}
	return func() (api.WaitResponse, error) {
		defer conn.Close()
		response, _, err := attach.Answer(conn)
		if errors.Is(err, attach.ErrLost) {
			return e.lost(id)
		}
		if err != nil {
			return api.WaitResponse{}, err
		}
		if condition == api.WaitConditionRemoved {
			e.awaitRemoval(id)
		}
		return api.WaitResponse{StatusCode: int64(response.ExitCode)}, nil
	}, nil
}

// lost tells how a container ended whose monitor was lost while a client waited.
func (e *Engine) lost(id string) (api.WaitResponse, error) {
	state, err := e.current(id)
	switch {
	case isGone(err): // --rm: reconciled away
		return api.WaitResponse{StatusCode: exitLost}, nil
	case err != nil:
		return api.WaitResponse{}, err
	case state.Status != api.StateExited:
		return api.WaitResponse{}, attach.ErrLost // never started
	}
	return api.WaitResponse{StatusCode: int64(state.ExitCode)}, nil
}

// awaitRemoval returns when the container is gone. With --rm its monitor has
// removed it already.
func (e *Engine) awaitRemoval(id string) {
	for {
		if _, err := os.Lstat(e.containers.Dir(id)); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
