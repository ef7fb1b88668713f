package engine

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"
)

// TestLeaks makes each kind of leak by hand beside a container that lives.
func TestLeaks(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	keep := start(t, e, false)
	idle := create(t, e)
	before, err := e.Inspect(keep, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		make func(t *testing.T)
		want []string // kinds
	}{
		{"nothing", func(t *testing.T) {}, nil},
		{"cgroup of nobody", func(t *testing.T) { sleepIn(t, e, container.NewID()) }, []string{"cgroup"}},
		{"empty cgroup", func(t *testing.T) { group(t, e, container.NewID()) }, []string{"cgroup"}},
		{"cgroup of a dead container", func(t *testing.T) { sleepIn(t, e, idle) }, []string{"cgroup"}},
		{"monitor without container", func(t *testing.T) { idleMonitor(t, e, container.NewID()) }, []string{"process"}},
		{"monitor without lock", func(t *testing.T) { idleMonitor(t, e, idle) }, []string{"process"}},
		{"no monitor", func(t *testing.T) { sleepIn(t, e, "monitors") }, []string{"process"}},
		{"monitor killed", func(t *testing.T) { killMonitor(t, e, start(t, e, false)) }, []string{"cgroup", "container"}},
		{"monitor killed, --rm", func(t *testing.T) { killMonitor(t, e, start(t, e, true)) }, []string{"cgroup", "container"}},
		{"machine went down", func(t *testing.T) {
			id := start(t, e, false)
			killMonitor(t, e, id)
			os.RemoveAll(e.containers.RunDir(id))
		}, []string{"cgroup", "container"}},
		{"record deleted", func(t *testing.T) {
			if err := os.RemoveAll(e.containers.Dir(start(t, e, false))); err != nil {
				t.Fatal(err)
			}
		}, []string{"cgroup", "process", "record", "record", "record"}},
		{"monitor killed in a network", func(t *testing.T) {
			r := request(false, "sleep", "1000")
			r.HostConfig.NetworkMode = "bridge"
			c, err := e.Create(r)
			if err == nil {
				err = e.Start(c.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.PruneNetworks(nil) })
			killMonitor(t, e, c.ID)
		}, []string{"cgroup", "container", "lease"}},
		{"run directory", func(t *testing.T) { mkdir(t, e.containers.RunDir(container.NewID())) }, []string{"record"}},
		{"run directory of a dead container", func(t *testing.T) { mkdir(t, e.containers.RunDir(idle)) }, []string{"container"}},
		{"name", func(t *testing.T) {
			if err := os.WriteFile(e.config.Root+"/names/orphan", []byte(container.NewID()), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"record"}},
		{"half-made container", func(t *testing.T) { mkdir(t, e.config.Root+"/containers/new-"+container.NewID()) }, []string{"record"}},
		{"mount", func(t *testing.T) {
			bind(t, e.containers.Dir(idle)+"/some where")
		}, []string{"mount"}},
		{"mounts in a run directory", func(t *testing.T) {
			dir := e.containers.RunDir(container.NewID())
			bind(t, dir+"/outer")
			bind(t, dir+"/outer/inner")
			bind(t, dir+"/outer/inner")
		}, []string{"mount", "mount", "mount", "record"}},
		{"staging", func(t *testing.T) { mkdir(t, e.config.Root+"/layers/new-1") }, []string{"staging"}},
		{"layer", func(t *testing.T) { mkdir(t, e.config.Root+"/layers/0123456789abcdef01234567/fs") }, []string{"layer"}},
		{"doctor killed", func(t *testing.T) { mkdir(t, e.config.Root+"/doctor-99999999-1/overlay") }, []string{"directory"}},
		{"doctor alive", func(t *testing.T) {
			dir := fmt.Sprintf("%s/doctor-%d-1", e.config.Root, os.Getpid())
			mkdir(t, dir)
			t.Cleanup(func() { os.Remove(dir) })
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.make(t)
			for _, step := range []struct {
				repair bool
				want   []string
			}{{false, test.want}, {true, test.want}, {false, nil}} {
				leaks, err := e.Check(step.repair)
				if err != nil {
					t.Error(err)
				}
				var kinds []string
				for _, l := range leaks {
					kinds = append(kinds, l.Kind)
					if l.Repaired != step.repair {
						t.Errorf("repair %v: %+v", step.repair, l)
					}
				}
				slices.Sort(kinds)
				if diff := cmp.Diff(step.want, kinds); diff != "" {
					t.Errorf("repair %v: %s\n%+v", step.repair, diff, leaks)
				}
			}
		})
	}
	after, err := e.Inspect(keep, false)
	if diff := cmp.Diff(before.State, after.State); diff != "" || err != nil {
		t.Errorf("the living container changed: %s %v", diff, err)
	}
	if err := unix.Kill(before.State.Pid, 0); err != nil {
		t.Error("the living container was killed")
	}
	if state, err := e.current(idle); err != nil || state.Status != api.StateCreated {
		t.Errorf("the container that never ran: %+v %v", state, err)
	}
}

// TestCheckBesideCommands: nothing that living commands are at is a leak, and
// repair does not get in their way.
func TestCheckBesideCommands(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	var commands []*exec.Cmd
	var outputs []*bytes.Buffer
	for range 2 {
		c := exec.Command("/proc/self/exe", "churn", e.config.Root, e.config.RunRoot, e.config.Instance)
		out := new(bytes.Buffer)
		c.Stdout, c.Stderr = out, out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		commands, outputs = append(commands, c), append(outputs, out)
	}
	done := make(chan bool)
	go func() {
		for i, c := range commands {
			if err := c.Wait(); err != nil {
				t.Errorf("%v: %s", err, outputs[i])
			}
		}
		close(done)
	}()
	for checks := 0; ; checks++ {
		leaks, err := e.Check(checks%2 == 0)
		if err != nil || len(leaks) > 0 {
			t.Errorf("check %d: %+v, %v", checks, leaks, err)
		}
		select {
		case <-done:
			t.Logf("%d checks", checks)
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestOtherRoot: another root that by mistake has the same instance and run root
// is spared.
func TestOtherRoot(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	other, err := Open(Config{Root: filepath.Dir(e.config.Root) + "/other", RunRoot: e.config.RunRoot, Instance: e.config.Instance})
	if err != nil {
		t.Fatal(err)
	}
	importBusybox(t, other)
	id := start(t, other, false)
	for _, repair := range []bool{false, true} {
		if leaks, err := e.Check(repair); err != nil || len(leaks) > 0 {
			t.Errorf("repair %v: %+v %v", repair, leaks, err)
		}
	}
	mkdir(t, e.containers.RunDir(container.NewID()))
	if leaks, err := e.Check(true); err != nil || len(leaks) != 1 || leaks[0].Repaired {
		t.Errorf("a run directory that may be the other's: %+v %v", leaks, err)
	}
	if state, err := other.current(id); err != nil || state.Status != api.StateRunning {
		t.Errorf("%+v %v", state, err)
	}
	if leaks, err := other.Check(true); err != nil || len(leaks) != 1 || !leaks[0].Repaired {
		t.Errorf("%+v %v", leaks, err)
	}
	removeAll(t, other)
}

// TestUnreachable: a container that lost its run directory cannot be told anything any more.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	id := start(t, e, false)
	if err := os.RemoveAll(e.containers.RunDir(id)); err != nil {
		t.Fatal(err)
	}
	if leaks, err := e.Check(false); err != nil || len(leaks) != 1 || leaks[0].Kind != "process" {
		t.Errorf("%+v %v", leaks, err)
	}
	leaks, err := e.Check(true)
	if err != nil || slices.ContainsFunc(leaks, func(l Leak) bool { return !l.Repaired }) {
		t.Errorf("%+v %v", leaks, err)
	}
	if state, err := e.containers.State(id); err != nil || state.Status != api.StateExited {
		t.Errorf("%+v %v", state, err)
	}
}

// TestDamagedImageOfContainer: repair must not take the layers a container is made of.
func TestDamagedImageOfContainer(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	id := create(t, e)
	images, err := e.images.List()
	if err != nil {
		t.Fatal(err)
	}
	manifest := e.config.Root + "/image/blobs/sha256/" + images[0].Descriptor.Digest.Encoded()
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(manifest)
	leaks, err := e.Check(true)
	if err != nil || len(leaks) != 1 || leaks[0].Kind != "image" || leaks[0].Repaired {
		t.Errorf("%+v %v", leaks, err)
	}
	if err := e.Start(id); err != nil {
		t.Error(err)
	}
	os.WriteFile(manifest, data, 0o600)
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// bind mounts a directory whose content has to survive on dir.
func bind(t *testing.T, dir string) {
	t.Helper()
	mkdir(t, dir)
	precious := t.TempDir()
	mkdir(t, precious+"/inner")
	if err := unix.Mount(precious, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := os.Stat(precious + "/inner"); err != nil {
			t.Error(err)
		}
	})
}

func group(t *testing.T, e *Engine, name string) cgroup.Group {
	t.Helper()
	g, err := cgroup.Open("/" + e.config.Instance + "/" + name)
	if err == nil {
		err = g.Create(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// sleepIn leaves a process in a cgroup; at the end of the test it must be dead.
func sleepIn(t *testing.T, e *Engine, name string) {
	t.Helper()
	expectKilled(t, e, name, exec.Command("sleep", "1000"))
}

func idleMonitor(t *testing.T, e *Engine, id string) {
	t.Helper()
	c := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"mydocker", "monitor", e.config.Root, e.config.RunRoot, e.config.Instance, id},
		Env: []string{"TEST_IDLE=1"}}
	expectKilled(t, e, "monitors", c)
}

func expectKilled(t *testing.T, e *Engine, name string, c *exec.Cmd) {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := group(t, e, name).Add(c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		select {
		case <-ended:
		case <-time.After(time.Second):
			t.Errorf("process %d lives", c.Process.Pid)
			c.Process.Kill()
		}
	})
}

// killMonitor kills a container's monitor, and returns when the container is dead too.
func killMonitor(t *testing.T, e *Engine, id string) {
	t.Helper()
	g, err := cgroup.Open("/" + e.config.Instance + "/monitors")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := g.Pids()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if argv := commandLine(pid); slices.Contains(argv, id) {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	for alive := true; alive; time.Sleep(time.Millisecond) {
		if alive, err = e.containers.Alive(id); err != nil {
			t.Fatal(err)
		}
	}
}
