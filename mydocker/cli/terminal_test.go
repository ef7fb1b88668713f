package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/moby/term"

	"minidocker/mydocker/engine"
)

func TestDetachKeys(t *testing.T) {
	for sequence, want := range map[string]string{
		"":               "\x10\x11",
		"a":              "a",
		"a,b":            "ab",
		"ctrl-a,ctrl-z":  "\x01\x1a",
		"ctrl-@,ctrl-_":  "\x00\x1f",
		"ctrl-\\,DEL,~":  "\x1c\x7f~",
		"ctrl-],ctrl-^ ": "error",
		"ctrl-pp":        "error",
		"ab":             "error",
	} {
		var keys []byte
		err := detachKeys(&keys).Set(sequence)
		if sequence == "" {
			detachKeys(&keys)
			err = nil
		}
		if err != nil {
			keys = []byte("error")
		}
		if string(keys) != want {
			t.Errorf("%q: %q, %v, want %q", sequence, keys, err, want)
		}
	}
}

// fakeEnd is a container that says out when its input has ended, or at once.
type fakeEnd struct {
	bytes.Buffer
	out    string
	closed chan struct{}
	now    bool
}

func (f *fakeEnd) CloseWrite() error { close(f.closed); return nil }

func (f *fakeEnd) Copy(stdout, stderr io.Writer) error {
	if !f.now {
		<-f.closed
	}
	_, err := io.WriteString(stdout, f.out)
	return err
}

// ended is how a container ends that runs for a moment.
func ended() error {
	time.Sleep(10 * time.Millisecond)
	return status(7)
}

// never is a container that runs on.
func never() error { select {} }

func nothing(uint, uint) error { return nil }

// redirect gives the test process other standard streams and returns what was
// written to standard output.
func redirect(t *testing.T, input *os.File, act func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, stdout := os.Stdin, os.Stdout
	os.Stdin, os.Stdout = input, w
	defer func() { os.Stdin, os.Stdout = stdin, stdout }()
	act()
	w.Close()
	written, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(written)
}

func TestExchange(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "in\x10\x11put") // no detaching without a terminal
	w.Close()
	far := &fakeEnd{out: "output", closed: make(chan struct{})}
	got := redirect(t, r, func() {
		if err := (exchange{stdin: true, stdout: true, keys: []byte{16, 17}}).run(far, ended); exitCode(err, 1) != 7 {
			t.Errorf("%v, want exit status 7", err)
		}
	})
	if got != "output" || far.String() != "in\x10\x11put" {
		t.Errorf("got %q and sent %q", got, far.String())
	}
}

// TestExchangeWithoutOutput ends with the exit, though the input stays open.
func TestExchangeWithoutOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	redirect(t, r, func() {
		if err := (exchange{stdin: true}).run(&fakeEnd{closed: make(chan struct{})}, ended); exitCode(err, 1) != 7 {
			t.Errorf("%v, want exit status 7", err)
		}
	})
}

// TestDetach types into a real terminal, which is descriptor 0 of this process
// meanwhile, and looks at its mode.
func TestDetach(t *testing.T) {
	far := &fakeEnd{closed: make(chan struct{})}
	onTerminal(t, func(master *os.File) {
		before := localModes(t)
		go func() {
			for localModes(t) == before { // raw mode is set before the first read
				time.Sleep(time.Millisecond)
			}
			io.WriteString(master, "ls\x10x\x10\x11")
		}()
		err := (exchange{stdin: true, stdout: true, tty: true, keys: []byte{16, 17}, resize: nothing}).run(far, never)
		if !errors.As(err, new(term.EscapeError)) {
			t.Errorf("error %v, want a term.EscapeError", err)
		}
		if after := localModes(t); after != before {
			t.Errorf("terminal modes %x, were %x", after, before)
		}
	})
	if far.String() != "ls\x10x" {
		t.Errorf("sent %q", far.String())
	}
}

// TestHangUp: a signal ends the client, restores the terminal and is not an end of
// the container's input.
func TestHangUp(t *testing.T) {
	far := &fakeEnd{closed: make(chan struct{})}
	onTerminal(t, func(*os.File) {
		before := localModes(t)
		go func() {
			for localModes(t) == before {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(10 * time.Millisecond) // the handler is set after the mode
			syscall.Kill(os.Getpid(), syscall.SIGHUP)
		}()
		err := (exchange{stdin: true, stdout: true, tty: true, proxied: true, resize: nothing}).run(far, never)
		var own *exitError
		if !errors.As(err, &own) || own.code != 129 {
			t.Errorf("error %v, want exit status 129", err)
		}
		if after := localModes(t); after != before {
			t.Errorf("terminal modes %x, were %x", after, before)
		}
	})
	select {
	case <-far.closed:
		t.Error("the container's input was closed")
	default:
	}
}

func onTerminal(t *testing.T, act func(master *os.File)) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup2(int(slave.Fd()), 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		syscall.Dup2(saved, 0)
		syscall.Close(saved)
		master.Close()
		slave.Close()
	}()
	act(master)
}

func localModes(t *testing.T) string {
	state, err := term.SaveState(0)
	if err != nil {
		t.Error(err)
		return "?"
	}
	return fmt.Sprint(*state)
}

func TestProxied(t *testing.T) {
	for s, want := range map[syscall.Signal]bool{
		syscall.SIGTERM: true, syscall.SIGINT: true, syscall.SIGHUP: true, syscall.SIGUSR1: true, 34: true, 64: true,
		syscall.SIGCHLD: false, syscall.SIGPIPE: false, syscall.SIGURG: false, syscall.SIGWINCH: false,
	} {
		if got := proxied(s); got != want {
			t.Errorf("%v: %v", s, got)
		}
	}
}

func TestProxySignals(t *testing.T) {
	got := make(chan string, 1)
	stop := proxySignals(false, func(signal string) error { got <- signal; return nil })
	defer stop()
	syscall.Kill(os.Getpid(), syscall.SIGUSR2)
	select {
	case s := <-got:
		if s != "12" {
			t.Errorf("got %s", s)
		}
	case <-time.After(5 * time.Second):
		t.Error("no signal in 5 s")
	}
}

// TestExecOutput: a child that keeps the output open delays the client for a
// while, not for ever.
func TestExecOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	io.WriteString(w, "said")
	begun := time.Now()
	out := redirect(t, os.Stdin, func() {
		x := exchange{stdout: true, stderr: true, grace: 100 * time.Millisecond}
		if err := x.run(execEnd{&engine.Exec{Stdout: r}}, ended); exitCode(err, 1) != 7 {
			t.Errorf("%v, want exit status 7", err)
		}
	})
	if took := time.Since(begun); out != "said" || took < 100*time.Millisecond || took > 10*time.Second {
		t.Errorf("%q after %v", out, took)
	}
}
