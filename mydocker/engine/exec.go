package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"minidocker/mydocker/attach"

	api "github.com/moby/moby/api/types/container"
)

// Exec is a command running in a container beside its first process.
type Exec struct {
	Stdin          io.WriteCloser // nil unless AttachStdin, and with a terminal
	Stdout, Stderr *os.File       // nil with a terminal
	Tty            *os.File       // the terminal's master; nil unless Tty was asked for

	conn *net.UnixConn
}

// Exec runs a command in a running container. With detach none of its streams
// is attached, and there is nothing to wait for: the result is nil.
func (e *Engine) Exec(ref string, r api.ExecCreateRequest, detach bool) (*Exec, error) {
	id, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	conn, err := e.dial(id, attach.Request{Verb: attach.Exec, Exec: &r, Detach: detach}, false)
	if err != nil {
		return nil, e.notRunning(id, err)
	}
	response, files, err := attach.Answer(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if detach {
		return nil, conn.Close()
	}
	x := &Exec{conn: conn}
	if response.Terminal {
		return x, x.take(files, &x.Tty)
	}
	if !r.AttachStdin {
		return x, x.take(files, &x.Stdout, &x.Stderr)
	}
	var stdin *os.File
	err = x.take(files, &stdin, &x.Stdout, &x.Stderr)
	x.Stdin = stdin
	return x, err
}

func (x *Exec) take(files []*os.File, targets ...**os.File) error {
	if len(files) != len(targets) {
		x.conn.Close()
		return fmt.Errorf("exec: got %d descriptors, want %d", len(files), len(targets))
	}
	for i, target := range targets {
		*target = files[i]
	}
	return nil
}

// Wait waits for the command's end and gives its exit status. A monitor lost on
// the way took the command with it: 137.
func (x *Exec) Wait() (exitCode int, err error) {
	response, _, err := attach.Answer(x.conn)
	if errors.Is(err, attach.ErrLost) {
		return exitLost, nil
	}
	return response.ExitCode, err
}

// Resize sets the size of the command's terminal, in characters.
func (x *Exec) Resize(height, width uint) error { return attach.SetSize(x.Tty, height, width) }

// Close detaches: a command that has not ended runs on.
func (x *Exec) Close() error {
	for _, file := range []*os.File{x.Stdout, x.Stderr, x.Tty} {
		if file != nil {
			file.Close()
		}
	}
	if x.Stdin != nil {
		x.Stdin.Close()
	}
	return x.conn.Close()
}
