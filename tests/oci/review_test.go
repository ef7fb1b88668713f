package oci

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// init is what a container of TestNotifySocket does: it says that it is ready, and waits.
func init() {
	if len(os.Args) != 2 || os.Args[1] != "ready" {
		return
	}
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err == nil {
		_, err = conn.Write([]byte("STATUS=nearly\nREADY=1\n"))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		unix.Pause()
	}
}

// TestNotifySocket has a container report to the caller's service manager.
func TestNotifySocket(t *testing.T) {
	b := newBox(t, tested)
	path := b.dir + "/manager"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	b.spec.Process.User = specs.User{UID: 1000, GID: 1000}
	b.spec.Process.Args = []string{"/report", "ready"}
	if r := b.create(); r.code != 0 {
		t.Fatal(r)
	}
	b.ok("start", b.id) // returns when it is ready
	manager.SetReadDeadline(time.Now().Add(limit))
	text := make([]byte, 4096)
	n, err := manager.Read(text)
	if want := fmt.Sprintf("READY=1\nMAINPID=%d\n", b.pid); err != nil || string(text[:n]) != want {
		t.Errorf("the manager heard %q, %v, want %q", text[:n], err, want)
	}
}

// TestHookEnvironment asserts that a hook which runs in the container's namespaces, but in the
// host's file system, gets no variable of the image's (CVE-2025-23266).
func TestHookEnvironment(t *testing.T) {
	b := newBox(t, tested)
	b.spec.Process.Env = append(b.spec.Process.Env, "LD_PRELOAD=/proc/self/cwd/evil.so")
	b.spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "test -z \"$LD_PRELOAD\""}}}}
	if r := b.run("echo $LD_PRELOAD"); r.code != 0 || r.out != "/proc/self/cwd/evil.so\n" {
		t.Error(r)
	}
}

// TestNotReady ends without a word, for which start does not wait.
func TestNotReady(t *testing.T) {
	b := newBox(t, tested)
	t.Setenv("NOTIFY_SOCKET", b.dir+"/nobody")
	if r := b.run("true", "--detach"); r.code != 0 {
		t.Error(r)
	}
}

// TestOwnTerminal asserts that the caller's terminal stays the caller's when the
// container has one of its own.
func TestOwnTerminal(t *testing.T) {
	b := newBox(t, tested)
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	b.spec.Process.Terminal, b.spec.Process.User = true, specs.User{UID: 1000, GID: 1000}
	b.spec.Process.Args = []string{"stat", "-c", "%u", "/dev/console"}
	b.write()
	cmd := b.command("run", "--bundle", b.dir, b.id)
	cmd.Stdin, cmd.Stdout = slave, slave
	if r := b.tryCommand(cmd); r.code != 0 {
		t.Fatal(r)
	}
	text := make([]byte, 100)
	if n, err := master.Read(text); err != nil || !strings.HasPrefix(string(text[:n]), "1000") {
		t.Errorf("the container's terminal: owner %q, %v, want 1000", text[:n], err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(slave.Fd()), &st); err != nil || st.Uid != 0 {
		t.Errorf("the caller's terminal: owner %d, %v, want 0", st.Uid, err)
	}
}

// TestCoveredTerminals asks for a terminal in a container that has put a file of its own
// where terminals are made, and for a home in a passwd file that is a device.
func TestCoveredTerminals(t *testing.T) {
	b := newBox(t, tested)
	all := []string{"CAP_SYS_ADMIN", "CAP_MKNOD"}
	b.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	b.spec.Root.Readonly = false
	b.begin("sh", "-c", "rm /etc/passwd; mknod /etc/passwd c 1 5 && mount --bind /dev/full /dev/pts/ptmx && echo done; sleep 100000")
	b.eventually("the trap is laid", func() bool { return strings.Contains(b.stdout(), "done") })
	b.fails([]string{"/dev/pts/ptmx: invalid cross-device link"}, "exec", "--tty", b.id, "true")
	equal(t, "home", b.ok("exec", b.id, "sh", "-c", "echo $HOME"), "/\n")
}
