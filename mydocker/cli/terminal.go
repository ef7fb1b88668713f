package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/moby/term"
)

// farEnd is the other end of an exchange: a container's streams or those of an exec.
type farEnd interface {
	io.Writer
	CloseWrite() error
	Copy(stdout, stderr io.Writer) error // of the streams attached
}

// exchange carries the client's standard streams to and from a farEnd.
type exchange struct {
	stdin, stdout, stderr bool
	tty                   bool
	keys                  []byte                         // that detach; with a terminal only
	mayDetach             bool                           // without an error: all that was asked for is done
	proxied               bool                           // signals go to the container, but for SIGHUP with a terminal
	resize                func(height, width uint) error // of the far terminal
	grace                 time.Duration                  // for output after the exit; 0: all of it
}

// run returns what wait says when that and the output have ended, exit status 1
// with a term.EscapeError when the user detached, and a signal's exit status when
// one ended the client. The terminal is restored in every case.
func (x exchange) run(far farEnd, wait func() error) (result error) {
	var in io.Reader = os.Stdin
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
	if x.tty {
		defer x.followSize()()
	}
	var input, output, exited chan error
	if x.stdin {
		input = goResult(func() error { return x.send(far, in) })
	}
	if x.stdout || x.stderr {
		output = goResult(func() error { return far.Copy(os.Stdout, os.Stderr) })
	}
	exited = goResult(wait)
	var late <-chan time.Time
	for output != nil || exited != nil {
		select {
		case err := <-output:
			if err != nil { // a monitor that was lost is the container's 137
				return exit(exitCode(err, 1), "%w", err)
			}
			output = nil
		case err := <-input:
			if errors.As(err, new(term.EscapeError)) {
				if x.mayDetach {
					return nil
				}
				return exit(1, "%w", err)
			}
			input = nil // how it went wrong the output will tell
		case result = <-exited:
			exited = nil
			if x.grace != 0 {
				late = time.After(x.grace)
			}
		case <-late:
			output = nil
		case s := <-ended:
			return status(128 + int(s.(syscall.Signal)))
		}
	}
	return result
}

func goResult(f func() error) chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// send copies the input to its end. A terminal's end is not passed on: it is the
// client that goes away, and the next one attaches to the same terminal.
func (x exchange) send(far farEnd, in io.Reader) error {
	if _, err := io.Copy(far, in); err != nil || x.tty {
		return err
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

// detachKeys is --detach-keys: letters and ctrl-X, separated by commas.
func detachKeys(to *[]byte) *option {
	*to = []byte{16, 17} // Ctrl-P Ctrl-Q
	return value(to, "string", "detach-keys", "Override the key sequence for detaching a container", term.ToBytes)
}

// windowSize is that of the client's terminal, 0 0 if it has none.
func windowSize() (size [2]uint) {
	if w, err := term.GetWinsize(1); err == nil {
		size = [2]uint{uint(w.Height), uint(w.Width)}
	}
	return size
}

// followSize gives the far terminal the size of the client's, at once and at each
// change, until stop is called.
func (x exchange) followSize() (stop func()) {
	changed := make(chan os.Signal, 1)
	changed <- syscall.SIGWINCH
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for range changed {
			if size := windowSize(); size != [2]uint{} {
				x.resize(size[0], size[1]) // the program may have ended meanwhile
			}
		}
	}()
	return func() { signal.Stop(changed) }
}

// proxySignals hands the signals that the client gets to send, until stop is
// called. With a terminal SIGHUP is left out: it says that the client's terminal
// was closed, and that does not concern the container.
func proxySignals(tty bool, send func(signal string) error) (stop func()) {
	var all []os.Signal
	for n := syscall.Signal(1); n <= 64; n++ {
		if proxied(n) && !(tty && n == syscall.SIGHUP) {
			all = append(all, n)
		}
	}
	// SIGPIPE is caught and dropped, so that a write to a closed pipe is an error
	// that is reported, as in Docker, and does not kill the client (os/signal).
	arrived := make(chan os.Signal, 128)
	signal.Notify(arrived, append(all, syscall.SIGPIPE)...)
	go func() {
		for s := range arrived {
			if s != syscall.SIGPIPE {
				send(strconv.Itoa(int(s.(syscall.Signal)))) // the process may be gone
			}
		}
	}()
	return func() { signal.Stop(arrived) }
}

// proxied leaves out what concerns the client alone: its children, its terminal,
// its pipes, and what Go's scheduler and profiler send to their own threads.
func proxied(s syscall.Signal) bool {
	return !slices.Contains([]syscall.Signal{
		syscall.SIGKILL, syscall.SIGSTOP, // cannot be caught
		syscall.SIGCHLD, syscall.SIGWINCH, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE,
		syscall.SIGURG, syscall.SIGPROF, 32, 33, // 32, 33: the C library's, nptl(7)
	}, s)
}
