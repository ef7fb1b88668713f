package oci

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/creack/pty"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// console is a socket on which a runtime hands over a terminal's master.
type console struct {
	b        *box
	path     string
	listener *net.UnixListener
}

func newConsole(b *box) *console {
	b.t.Helper()
	path := b.dir + "/console.sock"
	os.Remove(path)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { listener.Close() })
	return &console{b, path, listener}
}

// receive gives the descriptors that come with a message, and the message.
func (c *console) receive() ([]*os.File, string) {
	c.b.t.Helper()
	c.listener.SetDeadline(time.Now().Add(limit))
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		c.b.t.Fatal(err)
	}
	defer conn.Close()
	var text, oob [8192]byte
	n, oobn, _, _, err := conn.ReadMsgUnix(text[:], oob[:])
	if err != nil {
		c.b.t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		c.b.t.Fatal(err, len(messages))
	}
	rights, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		c.b.t.Fatal(err)
	}
	var files []*os.File
	for _, fd := range rights {
		files = append(files, os.NewFile(uintptr(fd), "received"))
	}
	return files, string(text[:n])
}

// screen collects what a terminal's master says.
type screen struct {
	*os.File
	mutex sync.Mutex
	text  strings.Builder
}

func newScreen(master *os.File) *screen {
	s := &screen{File: master}
	go io.Copy(writer(func(p []byte) (int, error) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		return s.text.Write(p)
	}), master)
	return s
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// until waits until the text has come, and gives all that has.
func (s *screen) until(b *box, text string) (all string) {
	b.t.Helper()
	b.eventually("terminal says "+text, func() bool {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		all = s.text.String()
		return strings.Contains(all, text)
	})
	return all
}

// The runtime sizes the terminal beside the process.
const looks = "until stty size 2>/dev/null | grep -q [1-9]; do sleep 0.05; done; tty; stty size; stat -c '%u %g' $(tty); ls -l /dev/console | cut -c1; echo done; read line; echo got $line; exit 8"

func TestTerminalDetached(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Process.Terminal, b.spec.Process.ConsoleSize = true, &specs.Box{Height: 20, Width: 70}
		b.spec.Process.User = specs.User{UID: 1000, GID: 1000}
		b.spec.Process.Args = []string{"sh", "-c", looks}
		c := newConsole(b)
		if r := b.create("--console-socket", c.path); r.code != 0 {
			t.Fatal(r)
		}
		files, _ := c.receive()
		master := newScreen(files[0])
		b.ok("start", b.id)
		got := master.until(b, "done")
		for _, want := range []string{"/dev/pts/0", "20 70", "1000 5", "c"} {
			if !strings.Contains(got, want) {
				t.Errorf("want %q in %q", want, got)
			}
		}
		io.WriteString(master, "hello\n")
		master.until(b, "got hello")
		equal(t, "exit code", b.wait(), 8)
		b.ok("delete", b.id)
	})
}

// TestTerminal is that of the foreground: the runtime copies.
func TestTerminal(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		onTerminal := func(cmd *exec.Cmd) (*screen, func() int) {
			master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 90})
			if err != nil {
				t.Fatal(err)
			}
			return newScreen(master), func() int { cmd.Wait(); return cmd.ProcessState.ExitCode() }
		}
		b.spec.Process.Terminal = true
		b.spec.Process.Args = []string{"sh", "-c", looks}
		b.write()
		master, wait := onTerminal(b.command("run", "--bundle", b.dir, b.id))
		got := master.until(b, "done")
		for _, want := range []string{"/dev/pts/0", "30 90"} {
			if !strings.Contains(got, want) {
				t.Errorf("want %q in %q", want, got)
			}
		}
		io.WriteString(master, "hello\n")
		master.until(b, "got hello")
		equal(t, "exit code", wait(), 8)

		b.spec.Process.Terminal = false
		b.begin("sleep", "100000")
		master, wait = onTerminal(b.command("exec", "--tty", b.id, "sh", "-c", "tty; until [ \"$(stty size)\" = '30 90' ]; do sleep 0.05; done; echo sized; read line; echo got $line; exit 9"))
		if got := master.until(b, "sized"); !strings.Contains(got, "/dev/pts/0") {
			t.Errorf("terminal: %q", got)
		}
		io.WriteString(master, "hello\n")
		master.until(b, "got hello")
		equal(t, "exit code of exec", wait(), 9)

		c := newConsole(b)
		b.ok("exec", "--tty", "--detach", "--console-socket", c.path, "--pid-file", b.dir+"/exec-pid", b.id, "sh", "-c", "tty; read line; exit 3")
		files, _ := c.receive()
		newScreen(files[0]).until(b, "/dev/pts/")
		io.WriteString(files[0], "x\n")
		text, _ := os.ReadFile(b.dir + "/exec-pid")
		b2 := *b
		b2.pid, _ = strconv.Atoi(string(text))
		equal(t, "exit code of detached exec", b2.wait(), 3)
		b.ok("delete", "-f", b.id)
		b.wait()
	})
}

func TestTerminalErrors(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		c := newConsole(b)
		b.write()
		b.fails([]string{"console socket"}, "create", "--bundle", b.dir, "--console-socket", c.path, b.id)
		b.spec.Process.Terminal = true
		b.write()
		b.fails([]string{"console socket"}, "create", "--bundle", b.dir, b.id)
		b.fails([]string{"console socket"}, "run", "--detach", "--bundle", b.dir, b.id)
		b.fails(nil, "create", "--bundle", b.dir, "--console-socket", b.dir+"/nothing", b.id)
	})
}

// TestSeccompListener is SCMP_ACT_NOTIFY: the agent gets the container's state
// and a descriptor of the filter, and answers for the kernel.
func TestSeccompListener(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		c := newConsole(b)
		b.spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: c.path, ListenerMetadata: "some words",
			Syscalls: []specs.LinuxSyscall{{Names: []string{"chmod", "fchmodat", "fchmodat2"}, Action: specs.ActNotify}}}
		b.spec.Process.Args = []string{"sh", "-c", "chmod 700 /etc/passwd; echo $?"}
		made := make(chan result)
		go func() { made <- b.create() }()
		files, message := c.receive()
		defer files[0].Close()
		for _, want := range []string{`"fds":["seccompFd"]`, `"metadata":"some words"`, `"id":"` + b.id + `"`, `"ociVersion"`, `"pid":`, `"status":"creating"`} {
			if !strings.Contains(message, want) {
				t.Errorf("want %s in %s", want, message)
			}
		}
		if r := <-made; r.code != 0 {
			t.Fatal(r)
		}
		b.ok("start", b.id)
		refuse(t, files[0])
		equal(t, "exit code", b.wait(), 0)
		if out := b.stdout(); !strings.HasSuffix(out, "1\n") {
			t.Errorf("the call that was refused: %q", out)
		}
		b.ok("delete", b.id)
	})
}

// refuse answers one call of a seccomp listener with EPERM, seccomp_unotify(2).
func refuse(t *testing.T, listener *os.File) {
	t.Helper()
	request := struct {
		ID    uint64
		PID   uint32
		Flags uint32
		Data  [64]byte
	}{}
	answer := struct {
		ID    uint64
		Val   int64
		Error int32
		Flags uint32
	}{Error: -int32(unix.EPERM)}
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(poll, int(limit.Milliseconds())); n != 1 {
			t.Error("no call has come")
			return
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&request))); errno != 0 {
			t.Error("receive:", errno)
		}
		answer.ID = request.ID
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&answer))); errno != 0 {
			t.Error("send:", errno)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
