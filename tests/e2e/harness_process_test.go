package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// output collects what a command writes while a test looks on.
type output struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.Buffer.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.Buffer.String()
}

// process is a command line that runs while the test goes on.
type process struct {
	h        *host
	cmd      *exec.Cmd
	out, err *output
	stdin    io.WriteCloser
	exited   chan struct{}
}

// begin starts a command line with a pipe as its standard input.
func (h *host) begin(args ...string) *process {
	h.t.Helper()
	return h.beginCommand(h.command(args...))
}

// beginCommand is begin for a command whose streams the test may have set.
func (h *host) beginCommand(cmd *exec.Cmd) *process {
	h.t.Helper()
	p := &process{h: h, cmd: cmd, out: new(output), err: new(output), exited: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.err
	}
	if cmd.Stdin == nil {
		var err error
		if p.stdin, err = cmd.StdinPipe(); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		cmd.Wait()
	}()
	h.t.Cleanup(func() { // before the host's own: nobody talks to its containers any more
		cmd.Process.Kill()
		<-p.exited
	})
	return p
}

// wait gives the result of the command, which must end.
func (p *process) wait() result {
	p.h.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(limit):
		p.h.t.Fatalf("hangs: %v\nstdout: %s\nstderr: %s", p.cmd.Args, p.out, p.err)
	}
	return result{args: p.cmd.Args[1:], out: p.out.String(), err: p.err.String(), code: p.cmd.ProcessState.ExitCode()}
}

// says waits until the command has written text to its standard output.
func (p *process) says(text string) {
	p.h.t.Helper()
	p.h.eventuallyOr(func() string { return fmt.Sprintf("%q is not in %q: %v", text, p.out, p.cmd.Args[1:]) }, func() bool {
		if !p.running() && !strings.Contains(p.out.String(), text) {
			p.h.t.Fatalf("has not said %q: %s", text, p.wait())
		}
		return strings.Contains(p.out.String(), text)
	})
}

// running tells whether the command has not ended.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// terminal is a command line that runs on a terminal of its own, as its session's
// controlling one.
type terminal struct {
	*process
	master *os.File
	screen *output
	read   int // of the screen, by shows
}

// onTerminal starts a command line on a terminal of 24 rows and 80 columns.
func (h *host) onTerminal(args ...string) *terminal {
	h.t.Helper()
	return h.onTerminalOf(h.command(args...))
}

// onTerminalOf is onTerminal for a command that the test has prepared.
func (h *host) onTerminalOf(cmd *exec.Cmd) *terminal {
	h.t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		h.t.Fatal(err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	t := &terminal{master: master, screen: new(output)}
	t.resize(24, 80)
	t.process = h.beginCommand(cmd)
	t.out = t.screen
	go io.Copy(t.screen, master)
	h.t.Cleanup(func() { master.Close() })
	return t
}

// types writes what a user would type.
func (t *terminal) types(text string) {
	t.h.t.Helper()
	if _, err := io.WriteString(t.master, text); err != nil {
		t.h.t.Fatal(err)
	}
}

func (t *terminal) resize(rows, columns uint16) {
	pty.Setsize(t.master, &pty.Winsize{Rows: rows, Cols: columns})
}

// shows waits until text is on the screen, after what earlier calls have waited for.
func (t *terminal) shows(text string) {
	t.h.t.Helper()
	fresh := func() string { return t.screen.String()[t.read:] }
	t.h.eventuallyOr(func() string { return fmt.Sprintf("%q is not in %q: %v", text, fresh(), t.cmd.Args[1:]) }, func() bool {
		return strings.Contains(fresh(), text)
	})
	t.read += strings.Index(fresh(), text) + len(text)
}

// raw waits until the client has made the terminal raw: what is typed earlier the
// terminal itself interprets, Ctrl-Q as XON for one.
func (t *terminal) raw() {
	t.h.t.Helper()
	t.h.eventually("the terminal is raw", func() bool {
		mode, err := unix.IoctlGetTermios(int(t.master.Fd()), unix.TCGETS)
		return err == nil && mode.Lflag&unix.ICANON == 0
	})
}

// eventuallyOr is eventually with a description of what there was at the end.
func (h *host) eventuallyOr(what func() string, condition func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatal(what())
		}
	}
}

// nonce is a word that no other process of this host has in its command line:
// sleeping that many seconds, the host can tell a process from all others.
func nonce() string { return strconv.FormatInt(nonces.Add(1), 10) }

var nonces atomic.Int64

func init() { nonces.Store(int64(os.Getpid())*1000 + 1_000_000_000) }

// findProcess waits for the process whose last argument is word, and gives its
// host PID.
func (h *host) findProcess(word string) string {
	h.t.Helper()
	var found string
	h.eventually("a process with the argument "+word, func() bool {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			h.t.Fatal(err)
		}
		for _, e := range entries {
			line, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
			if strings.HasPrefix(string(line), "sleep\x00") && strings.HasSuffix(string(line), "\x00"+word+"\x00") {
				found = e.Name()
				return true
			}
		}
		return false
	})
	return found
}

// becomes waits until a container's state is the given one.
func (h *host) becomes(ref, status string) {
	h.t.Helper()
	h.eventually(ref+" is "+status, func() bool { return h.try("inspect", "-f", "{{.State.Status}}", ref).out == status+"\n" })
}

// noise is n bytes without any structure, every byte among them.
func noise(n int) string {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(data)
	return string(data)
}
