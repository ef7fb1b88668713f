package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"minidocker/mydocker/cgroup"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// These tests make containers on this host's kernel, as root. The test binary
// plays init, the command, and the hooks; it is static (CGO_ENABLED=0).

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		Init()
	}
	if len(os.Args) > 2 && os.Args[1] == "play" {
		if err := play(os.Args[2], os.Args[3:]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		fmt.Println("these tests need root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// play is the command of a container, or a hook.
func play(part string, args []string) error {
	switch part {
	case "cat":
		for _, name := range args {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			os.Stdout.Write(data)
		}
	case "ls":
		entries, err := os.ReadDir(args[0])
		for _, entry := range entries {
			fmt.Println(entry.Name())
		}
		return err
	case "write":
		return os.WriteFile(args[0], []byte("x"), 0o644)
	case "mkdir":
		return os.Mkdir(args[0], 0o755)
	case "mount": // a tmpfs
		return unix.Mount("t", args[0], "tmpfs", 0, "")
	case "getcwd":
		wd, err := unix.Getwd()
		fmt.Println(wd)
		return err
	case "stat":
		var st unix.Stat_t
		err := unix.Stat(args[0], &st)
		fmt.Printf("%o %d:%d\n", st.Mode, st.Uid, st.Gid)
		return err
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "fail":
		fmt.Print("said")
		os.Exit(3)
	case "hook": // which, and where its standard input and namespace are noted
		state, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		wd, _ := os.Getwd()
		mnt, _ := os.Readlink("/proc/self/ns/mnt")
		note, err := os.OpenFile(args[1], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(note, args[0], mnt, wd, string(state))
		return err
	default:
		return playMore(part, args)
	}
	return nil
}

// container is what a test asks for.
type container struct {
	change  func(spec *specs.Spec)
	options Options
	args    []string               // of play
	during  func(p *Process) error // between create and start
}

func bundleOf(t *testing.T, args ...string) (*specs.Spec, string) {
	t.Helper()
	bundle, err := os.MkdirTemp("/tmp", "mydocker-rt-") // a real disk, and short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(bundle) })
	for _, dir := range []string{"rootfs/proc", "rootfs/dev", "rootfs/sys", "rootfs/tmp", "rootfs/mnt/old", "state"} {
		if err := os.MkdirAll(filepath.Join(bundle, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"}
	spec := &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Args: append([]string{"/play", "play"}, args...), Cwd: "/", Env: []string{"PATH=/bin", "HOME=/"},
			Capabilities: &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all},
		},
		Root: &specs.Root{Path: filepath.Join(bundle, "rootfs")},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666"}},
			{Destination: "/play", Type: "bind", Source: self, Options: []string{"bind", "ro"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
		}},
	}
	return spec, bundle
}

var groups sync.Map

// run runs a container to its end and gives what it wrote.
func (c container) run(t *testing.T) (output string, err error) {
	t.Helper()
	spec, bundle := bundleOf(t, c.args...)
	if c.change != nil {
		c.change(spec)
	}
	name := "/mydocker-" + filepath.Base(bundle)
	group, err := cgroup.Open(name)
	if err == nil {
		err = group.Create(&specs.LinuxResources{})
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := Release(filepath.Join(bundle, "state")); err != nil {
			t.Error(err)
		}
		if err := group.Delete(); err != nil {
			t.Error(err)
		}
	}()
	out, err := os.Create(filepath.Join(bundle, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	o := c.options
	o.Stdio = [3]*os.File{nil, out, out}
	o.DieWithParent = true
	o.State.ID, o.State.Bundle, o.State.Version = "test", bundle, specs.Version
	p, err := Create(spec, filepath.Join(bundle, "state"), group, o)
	if err != nil {
		return "", err
	}
	if c.during != nil {
		groups.Store(p, group)
		if err := c.during(p); err != nil {
			p.Abandon()
			return "", err
		}
	}
	if err := p.Start(); err != nil {
		p.Abandon()
		return "", err
	}
	status := p.Wait()
	p.Close()
	data, err := os.ReadFile(out.Name())
	if err == nil && status != 0 {
		err = fmt.Errorf("exit status %d", status)
	}
	return string(data), err
}

func (c container) mustRun(t *testing.T) string {
	t.Helper()
	output, err := c.run(t)
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return output
}

func selfHook(t *testing.T, args ...string) specs.Hook {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return specs.Hook{Path: self, Args: append([]string{"hook", "play"}, args...)}
}

func TestHooks(t *testing.T) {
	note := filepath.Join(t.TempDir(), "note")
	host, _ := os.Readlink("/proc/self/ns/mnt")
	var bundle string
	output := container{
		args: []string{"cat", "/tmp/note"},
		change: func(spec *specs.Spec) {
			bundle = filepath.Dir(spec.Root.Path)
			inside := specs.Hook{Path: "/play", Args: []string{"hook", "play", "hook", "start", "/tmp/note"}}
			spec.Hooks = &specs.Hooks{
				Prestart:        []specs.Hook{selfHook(t, "hook", "pre", note), selfHook(t, "hook", "pre2", note)},
				CreateRuntime:   []specs.Hook{selfHook(t, "hook", "runtime", note)},
				CreateContainer: []specs.Hook{selfHook(t, "hook", "container", note)},
				StartContainer:  []specs.Hook{inside},
			}
		},
		options: Options{State: specs.State{Annotations: map[string]string{"a": "b"}}},
	}.mustRun(t)
	data, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)+output), "\n")
	want := []struct {
		name, dir  string
		host, init bool
	}{
		{"pre", bundle, true, false}, {"pre2", bundle, true, false}, {"runtime", bundle, true, false},
		{"container", bundle + "/rootfs", false, true}, {"start", "/", false, true},
	}
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i, w := range want {
		f := strings.SplitN(lines[i], " ", 4)
		var state specs.State
		if err := json.Unmarshal([]byte(f[3]), &state); err != nil {
			t.Fatal(err)
		}
		if f[0] != w.name || f[2] != w.dir || (f[1] == host) != w.host || (state.Pid == 1) != w.init || state.Pid == 0 ||
			state.ID != "test" || state.Bundle != bundle || state.Status != specs.StateCreated || state.Annotations["a"] != "b" {
			t.Errorf("%s", lines[i])
		}
	}
}

func TestFailingHooks(t *testing.T) {
	second := 1
	for name, c := range map[string]struct {
		hooks func() *specs.Hooks
		want  string
	}{
		"prestart":  {func() *specs.Hooks { return &specs.Hooks{Prestart: []specs.Hook{selfHook(t, "fail")}} }, "error running hook #0: error running hook: exit status 3, stdout: said, stderr: "},
		"container": {func() *specs.Hooks { return &specs.Hooks{CreateContainer: []specs.Hook{selfHook(t, "fail")}} }, "error running hook #0: error running hook: exit status 3, stdout: said"},
		"start": {func() *specs.Hooks {
			return &specs.Hooks{StartContainer: []specs.Hook{{Path: "/play", Args: []string{"p", "play", "env"}}, {Path: "/nothing"}}}
		}, "error running hook #1: fork/exec /nothing: no such file"},
		"timeout": {func() *specs.Hooks {
			return &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "100"}, Timeout: &second}}}
		}, "hook ran past specified timeout of 1.0s"},
		"environment": {func() *specs.Hooks {
			hook := selfHook(t, "env")
			hook.Args, hook.Env = []string{hook.Path, "play", "fail"}, []string{"A=b"}
			return &specs.Hooks{CreateRuntime: []specs.Hook{hook}}
		}, "stdout: said"},
	} {
		_, err := container{args: []string{"env"}, change: func(spec *specs.Spec) { spec.Hooks = c.hooks() }}.run(t)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

var errPlay = errors.New("no such part")

// TestOpenEnded opens a process that has ended, while others are in the session it began.
func TestOpenEnded(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	defer unix.Kill(other, unix.SIGKILL)
	if _, err := Open(cmd.Process.Pid, t.TempDir()); !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// TestDetached asserts that an orphan's exit status is left to whom it falls to.
func TestDetached(t *testing.T) {
	container{args: []string{"env"}, during: func(p *Process) error {
		group, _ := groups.Load(p)
		spec, _ := bundleOf(t)
		process := *spec.Process
		process.Args = []string{"/play", "play", "fail"}
		e, err := Exec(spec, p, &process, group.(cgroup.Group), Options{Orphan: true})
		if err != nil {
			return err
		}
		defer e.Close()
		if !e.DoneWithin(20000) {
			t.Error("it does not end")
		}
		time.Sleep(50 * time.Millisecond)
		var status unix.WaitStatus
		if _, err := unix.Wait4(e.Pid, &status, 0, nil); err != nil || status.ExitStatus() != 3 {
			t.Errorf("exit status %d, %v", status.ExitStatus(), err)
		}
		return nil
	}}.mustRun(t)
}
