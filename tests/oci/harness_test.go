// Package oci tests `mydocker oci` from outside, as a program with runc's command
// line: beside runc and crun on the same bundles, under the validation programs
// of runtime-tools, and below Docker, Podman and containerd. Each test has a
// bundle and a state directory of its own and leaves nothing behind, which is
// checked. The test binary itself is what runs inside: it reports what it sees.
package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// runtime is a program with runc's command line.
type runtime struct {
	name string
	argv []string
}

// tested is the runtime under test; runc and crun are what it is compared with,
// without argv where they are not installed.
var (
	tested  = runtime{name: "mydocker-runc"}
	runc    = runtime{name: "runc"}
	crun    = runtime{name: "crun"}
	busybox string // a tar of a root file system
	scratch string // a directory of this run
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "report" {
		report(os.Args[2:])
		for {
			unix.Pause()
		}
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	busybox = os.Getenv("MYDOCKER_ROOTFS_BUSYBOX")
	if os.Geteuid() != 0 || os.Getenv("MYDOCKER_BIN") == "" || busybox == "" || os.Getenv("MYDOCKER_DISPOSABLE") != "1" {
		fmt.Fprintln(os.Stderr, "these tests need root, a machine that may be disturbed, MYDOCKER_BIN and MYDOCKER_ROOTFS_BUSYBOX: make test-oci")
		return 1
	}
	var err error
	if scratch, err = os.MkdirTemp("/var/tmp", "mydocker-oci-"); err == nil {
		err = findRuntimes()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	// Containers that their runtime has left become children of this process, which learns how they end.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "become subreaper:", err)
		return 1
	}
	return m.Run()
}

// findRuntimes takes MYDOCKER_OCI_RUNTIME as the runtime under test, or a link to
// MYDOCKER_BIN with the name that makes it one.
func findRuntimes() error {
	if other := os.Getenv("MYDOCKER_OCI_RUNTIME"); other != "" {
		tested = runtime{filepath.Base(other), []string{other}}
	} else {
		link := scratch + "/mydocker-runc"
		if err := os.Symlink(os.Getenv("MYDOCKER_BIN"), link); err != nil {
			return err
		}
		tested.argv = []string{link}
	}
	if path, err := exec.LookPath("runc"); err == nil {
		runc.argv = []string{path}
	}
	path, err := exec.LookPath("crun")
	if err != nil {
		return nil
	}
	crun.argv = []string{path}
	if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.controllers"); err != nil {
		return nil
	}
	// crun refuses a hybrid host whose version 2 hierarchy has controllers: that is hidden from it.
	wrapper := scratch + "/crun"
	script := "#!/bin/sh\nexec unshare -m --propagation unchanged sh -c 'mount --make-rslave /sys/fs/cgroup && umount /sys/fs/cgroup/unified && exec " + path + " \"$@\"' crun \"$@\"\n"
	crun.argv = []string{wrapper}
	return os.WriteFile(wrapper, []byte(script), 0o755)
}

// need skips the test where a runtime is not installed.
func (r runtime) need(t *testing.T) {
	t.Helper()
	if r.argv == nil {
		t.Skipf("%s is not installed", r.name)
	}
}

// box is a bundle, a state directory and a container of one runtime.
type box struct {
	t        *testing.T
	rt       runtime
	dir      string // the bundle
	root     string // of the runtime's state
	id       string
	spec     *specs.Spec
	pid      int
	pidsSeen []int
	mounts   []string
}

var boxes atomic.Int64

// newBox makes a bundle whose process reports what it sees and then waits to be
// killed. At the end of the test nothing may be left of it.
func newBox(t *testing.T, rt runtime) *box {
	t.Helper()
	rt.need(t)
	dir, err := os.MkdirTemp(scratch, "box-")
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, rt: rt, dir: dir, root: dir + "/state", id: fmt.Sprintf("ocit-%d-%d", os.Getpid(), boxes.Add(1)), spec: baseSpec()}
	t.Cleanup(b.cleanUp)
	if err := os.MkdirAll(dir+"/rootfs", 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-C", dir+"/rootfs", "-xf", busybox).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Link(self, dir+"/rootfs/report") != nil {
		text, err := os.ReadFile(self)
		if err = errors.Join(err, os.WriteFile(dir+"/rootfs/report", text, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// mount mounts something on the host, until the end of the test.
func (b *box) mount(source, target, kind string, flags uintptr) {
	b.t.Helper()
	if err := unix.Mount(source, target, kind, flags, ""); err != nil {
		b.t.Fatal(err)
	}
	if flags&(unix.MS_SHARED|unix.MS_PRIVATE|unix.MS_SLAVE) == 0 {
		b.mounts = append(b.mounts, target)
	}
}

// cleanUp deletes the box's containers and looks for what they have left.
func (b *box) cleanUp() {
	for _, id := range strings.Fields(b.try("list", "-q").out) {
		b.try("delete", "--force", id)
	}
	for _, pid := range b.pidsSeen {
		unix.Wait4(pid, nil, 0, nil)
	}
	for _, target := range slices.Backward(b.mounts) {
		unix.Unmount(target, unix.MNT_DETACH)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		above, _ := filepath.Glob(pattern + b.id + "-*") // which runc does not remove
		for _, dir := range above {
			os.Remove(dir)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := b.left()
		if left == "" {
			break
		}
		if time.Now().After(deadline) {
			b.t.Errorf("%s left behind: %s", b.rt.name, left)
			break
		}
	}
	os.RemoveAll(b.dir)
}

// left names what there still is of the box on this host.
func (b *box) left() string {
	if entries, _ := os.ReadDir(b.root); b.rt.name != "crun" && len(entries) > 0 {
		return "state " + entries[0].Name()
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range bytes.Lines(mounts) {
		if bytes.Contains(line, []byte(b.dir)) {
			return "mount " + string(line)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/" + b.id + "*", "/sys/fs/cgroup/" + b.id + "*", "/sys/fs/cgroup/*/*/" + b.id + "*"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return "cgroup " + found[0]
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		cgroup, _ := os.ReadFile(p + "/cgroup")
		if stat, _ := os.ReadFile(p + "/stat"); bytes.Contains(cgroup, []byte(b.id)) && !bytes.Contains(stat, []byte(") Z ")) {
			return "process " + string(stat)
		}
	}
	return ""
}

// result is what a command line did.
type result struct {
	args     []string
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("%s: exit %d\nstdout: %s\nstderr: %s", strings.Join(r.args, " "), r.code, r.out, r.err)
}

// limit is how long a command may take before the test calls it a hang.
const limit = 30 * time.Second

func (b *box) command(args ...string) *exec.Cmd {
	argv := append(append(append([]string{}, b.rt.argv...), "--root", b.root), args...)
	return exec.Command(argv[0], argv[1:]...)
}

// try runs a command line of the runtime to its end.
func (b *box) try(args ...string) result { return b.tryCommand(b.command(args...)) }

func (b *box) tryCommand(cmd *exec.Cmd) result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// Files, not pipes: a container that is left running holds them, and nobody is to wait for it.
	out, err := os.CreateTemp(b.dir, "out-")
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	stderr, err := os.CreateTemp(b.dir, "err-")
	if err != nil {
		b.t.Fatal(err)
	}
	defer stderr.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	if cmd.Stdin == nil { // not the host's /dev/null, whose owner a runtime might change
		cmd.Stdin = out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = stderr
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatalf("run %v: %v", cmd.Args, err)
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			cmd.Process.Kill()
		case <-done:
		}
	}()
	cmd.Wait()
	close(done)
	text := func(f *os.File) string {
		data, _ := os.ReadFile(f.Name())
		return string(data)
	}
	r := result{args: cmd.Args, out: text(out), err: text(stderr), code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		b.t.Fatalf("hangs: %s", r)
	}
	return r
}

// ok runs a command line that must succeed.
func (b *box) ok(args ...string) string {
	b.t.Helper()
	r := b.try(args...)
	if r.code != 0 {
		b.t.Fatalf("must succeed: %s", r)
	}
	return r.out
}

// fails runs a command line that must fail, and say each of the words.
func (b *box) fails(words []string, args ...string) result {
	b.t.Helper()
	r := b.try(args...)
	if r.code == 0 {
		b.t.Errorf("must fail: %s", r)
	}
	for _, word := range words {
		if !strings.Contains(r.err, word) {
			b.t.Errorf("want %q on stderr: %s", word, r)
		}
	}
	return r
}

// write writes the bundle's config.json.
func (b *box) write() {
	b.t.Helper()
	b.writeJSON("config.json", b.spec)
}

func (b *box) writeJSON(name string, value any) string {
	b.t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(b.dir+"/"+name, text, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return b.dir + "/" + name
}

// create makes the container, its output going to a file, without starting it.
func (b *box) create(flags ...string) result {
	b.t.Helper()
	b.write()
	cmd := b.command(append(append([]string{"create", "--bundle", b.dir, "--pid-file", b.dir + "/pid"}, flags...), b.id)...)
	out, err := os.OpenFile(b.dir+"/stdout", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	r := b.tryCommand(cmd)
	if text, err := os.ReadFile(b.dir + "/pid"); err == nil && r.code == 0 {
		b.pid, _ = strconv.Atoi(string(text))
		b.pidsSeen = append(b.pidsSeen, b.pid)
	}
	return r
}

// begin creates and starts the container with this command in it.
func (b *box) begin(args ...string) {
	b.t.Helper()
	if len(args) > 0 {
		b.spec.Process.Args = args
	}
	if r := b.create(); r.code != 0 {
		b.t.Fatalf("must succeed: %s", r)
	}
	b.ok("start", b.id)
}

// run runs the container in the foreground with this shell script in it.
func (b *box) run(script string, flags ...string) result {
	b.t.Helper()
	b.spec.Process.Args = []string{"sh", "-c", script}
	b.write()
	return b.try(append(append([]string{"run", "--bundle", b.dir}, flags...), b.id)...)
}

// wait gives the exit code of the container's first process, 128+n for a signal.
func (b *box) wait() int {
	b.t.Helper()
	var status unix.WaitStatus
	var err error
	b.eventually("the container's process ends", func() bool {
		var pid int
		pid, err = unix.Wait4(b.pid, &status, unix.WNOHANG, nil)
		return err != nil && err != unix.EINTR || pid == b.pid
	})
	if err != nil {
		b.t.Fatalf("%s: wait for %d: %v", b.rt.name, b.pid, err)
	}
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func (b *box) stdout() string {
	text, _ := os.ReadFile(b.dir + "/stdout")
	return string(text)
}

// state is the container's as the runtime tells it.
func (b *box) state() (s struct {
	specs.State
	Rootfs, Owner, Created string
}) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.ok("state", b.id)), &s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *box) becomes(status string) {
	b.t.Helper()
	b.eventually("the container is "+status, func() bool { return string(b.state().Status) == status })
}

// eventually polls until the condition holds.
func (b *box) eventually(what string, condition func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s, never: %s; stdout %.300q", b.rt.name, what, b.stdout())
		}
	}
}

// both runs a test with runc, which shows that the test is right, and with the
// runtime under test.
func both(t *testing.T, test func(*testing.T, *box)) { against(t, runc, test) }

func against(t *testing.T, oracle runtime, test func(*testing.T, *box)) {
	t.Parallel()
	for _, rt := range []runtime{oracle, tested} {
		t.Run(rt.name, func(t *testing.T) {
			t.Parallel()
			test(t, newBox(t, rt))
		})
	}
}

func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

// baseSpec is what `runc spec` proposes, with a writable root and without the
// limits, which a process without CAP_SYS_RESOURCE may not be able to set.
func baseSpec() *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	mount := func(at, kind, source string, options ...string) specs.Mount {
		return specs.Mount{Destination: at, Type: kind, Source: source, Options: options}
	}
	return &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Args: []string{"/report", "report"}, Cwd: "/", NoNewPrivileges: true,
			Env:          []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"},
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps, Ambient: caps},
		},
		Root:     &specs.Root{Path: "rootfs"},
		Hostname: "runc",
		Mounts: []specs.Mount{
			mount("/proc", "proc", "proc"),
			mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
			mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
			mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
			mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
			mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
			mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
		},
		Linux: &specs.Linux{
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}},
			Namespaces:    []specs.LinuxNamespace{{Type: "pid"}, {Type: "network"}, {Type: "ipc"}, {Type: "uts"}, {Type: "mount"}, {Type: "cgroup"}},
			MaskedPaths:   []string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

func pointer[V any](v V) *V { return &v }

// ownTerminal is of commands that get a terminal of their own.
var ownTerminal = &syscall.SysProcAttr{Setsid: true, Setctty: true}
