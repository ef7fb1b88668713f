package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/moby/term"
	"golang.org/x/sys/unix"
)

// farEnd is the other end of an exchange: a container's streams or those of an exec.
type farEnd interface {
	io.Writer
	CloseWrite() error
	Copy(stdout, stderr io.Writer) error
}

// exchange carries the client's standard streams to and from a farEnd.
type exchange struct {
	stdin, stdout, stderr bool
	tty                   bool
	keys                  []byte          // that detach; with a terminal only
	proxied               bool            // signals go to the container, but for SIGHUP with a terminal
	exited                <-chan struct{} // ends an exchange without output
}

// run returns when the output has ended (if none is attached, the input), with a
// term.EscapeError when the user detached, and with a signal's exit status when
// one ended the client. The terminal is restored in every case.
func (x exchange) run(far farEnd) error {
	var in io.Reader
	if x.stdin {
		in = os.Stdin
	}
	var ended chan os.Signal
	if x.stdin && x.tty && term.IsTerminal(0) {
		state, err := term.SetRawTerminal(0)
		if err != nil {
			return fmt.Errorf("set terminal to raw mode: %w", err)
		}
		defer term.RestoreTerminal(0, state)
		in = term.NewEscapeProxy(in, x.keys)
		// Death by signal would leave the user's terminal raw. SIGHUP says that
		// the terminal is gone: the container runs on without it.
		ended = make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGHUP)
		if !x.proxied {
			signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
		}
		defer signal.Stop(ended)
	}

	var output chan error // nil: nothing is copied
	exited := x.exited
	if x.stdout || x.stderr {
		output, exited = make(chan error, 1), nil // what is still to be read follows the exit
		go func() { output <- far.Copy(x.writers()) }()
	}
	input := make(chan error, 1)
	go func() { input <- x.send(far, in) }()
	for {
		select {
		case err := <-output:
			return err
		case err := <-input:
			if errors.As(err, new(term.EscapeError)) || output == nil {
				return err
			}
			input = nil // how it went wrong the output will tell
		case <-exited:
			return nil
		case s := <-ended:
			return status(128 + int(s.(syscall.Signal)))
		}
	}
}

func (x exchange) writers() (stdout, stderr io.Writer) {
	stdout, stderr = io.Discard, io.Discard
	if x.stdout {
		stdout = os.Stdout
	}
	if x.stderr {
		stderr = os.Stderr
	}
	return stdout, stderr
}

// send copies the input to its end. A terminal's end is not passed on: it is the
// client that goes away, and the next one attaches to the same terminal.
func (x exchange) send(far farEnd, in io.Reader) error {
	if in == nil {
		return nil
	}
	if _, err := io.Copy(far, in); err != nil {
		return err
	}
	if x.tty {
		return nil
	}
	return far.CloseWrite()
}

// checkTTY refuses a container's terminal that has no terminal to type on.
func checkTTY(stdin, tty bool) error {
	if stdin && tty && !term.IsTerminal(0) {
		return exit(1, "the input device is not a TTY")
	}
	return nil
}

// detachKeys parses --detach-keys: letters and ctrl-X, separated by commas.
func detachKeys(sequence string) ([]byte, error) {
	if sequence == "" {
		return []byte{16, 17}, nil // Ctrl-P Ctrl-Q
	}
	keys, err := term.ToBytes(sequence)
	if err != nil {
		return nil, exit(1, "invalid detach keys (%s): %w", sequence, err)
	}
	return keys, nil
}

// windowSize is that of the client's terminal, 0 0 if it has none.
func windowSize() (size [2]uint) {
	if w, err := term.GetWinsize(1); err == nil {
		size = [2]uint{uint(w.Height), uint(w.Width)}
	}
	return size
}

// followSize tells resize the size of the client's terminal, at once and at each
// change, until stop is called.
func followSize(resize func(height, width uint) error) (stop func()) {
	if !term.IsTerminal(1) {
		return func() {}
	}
	changed := make(chan os.Signal, 1)
	changed <- unix.SIGWINCH
	signal.Notify(changed, unix.SIGWINCH)
	go func() {
		for range changed {
			if size := windowSize(); size != [2]uint{} {
				resize(size[0], size[1]) // the program may have ended meanwhile
			}
		}
	}()
	return func() { signal.Stop(changed) }
}
