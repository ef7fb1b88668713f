package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// fake is a directory that looks like part of a version 2 tree. It shows which
// file gets which text; what a kernel makes of it, the suite in tests/vm shows.
type fake struct {
	t    *testing.T
	root string
}

func newFake(t *testing.T, controllers string) (fake, Group) {
	f := fake{t, t.TempDir()}
	for _, dir := range []string{"", "engine", "engine/c1"} {
		f.put(filepath.Join(dir, "cgroup.controllers"), controllers)
		f.put(filepath.Join(dir, "cgroup.subtree_control"), "")
		f.put(filepath.Join(dir, "cgroup.procs"), "")
	}
	return f, Group{host: &Hierarchies{Version: 2, trees: []hierarchy{{mount: f.root, root: "/"}}}, path: "/engine/c1"}
}

func (f fake) put(name, text string) {
	f.t.Helper()
	file := filepath.Join(f.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f fake) want(name, text string) {
	f.t.Helper()
	got, err := os.ReadFile(filepath.Join(f.root, name))
	if err != nil || string(got) != text {
		f.t.Errorf("%s: %q, %v, want %q", name, got, err, text)
	}
}

func TestV2Create(t *testing.T) {
	f, g := newFake(t, "cpuset cpu io memory pids\n")
	f.put("cgroup.subtree_control", "cpu memory\n") // systemd's choice
	for _, name := range []string{"memory.max", "memory.swap.max", "cpu.max", "pids.max", "io.weight"} {
		f.put("engine/c1/"+name, "")
	}
	res := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr[int64](1 << 20), Swap: ptr[int64](3 << 20)},
		CPU:     &specs.LinuxCPU{Quota: ptr[int64](20000)},
		Pids:    &specs.LinuxPids{Limit: ptr[int64](7)},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](10)},
	}
	if err := g.Create(res); err != nil {
		t.Fatal(err)
	}
	f.want("cgroup.subtree_control", "+cpuset +io +pids")
	f.want("engine/cgroup.subtree_control", "+cpuset +cpu +io +memory +pids")
	f.want("engine/c1/cgroup.subtree_control", "") // it holds processes
	f.want("engine/c1/memory.max", "1048576")
	f.want("engine/c1/memory.swap.max", "2097152")
	f.want("engine/c1/cpu.max", "20000 100000")
	f.want("engine/c1/io.weight", "1") // since there is no io.bfq.weight
	f.want("engine/c1/pids.max", "")   // not yet
	if err := g.LimitPids(res); err != nil {
		t.Fatal(err)
	}
	f.want("engine/c1/pids.max", "7")

	if err := os.Remove(filepath.Join(f.root, "engine/c1/memory.swap.max")); err != nil {
		t.Fatal(err)
	}
	if err := g.Set(&specs.LinuxResources{Memory: res.Memory}); !errors.Is(err, ErrNoController) {
		t.Errorf("a limit of swap without swap accounting: %v", err)
	}
	for _, swap := range []int64{-1, 1 << 20} { // what a kernel without it does anyway
		if err := g.Set(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: res.Memory.Limit, Swap: &swap}}); err != nil {
			t.Errorf("swap %d without swap accounting: %v", swap, err)
		}
	}
}

func TestV2MissingController(t *testing.T) {
	_, g := newFake(t, "")
	err := g.Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](4096)}})
	if !errors.Is(err, ErrNoController) || !strings.Contains(err.Error(), "memory.max") {
		t.Errorf("%v, want ErrNoController for memory.max", err)
	}
}

func TestV2Read(t *testing.T) {
	f, g := newFake(t, "")
	f.put("engine/c1/memory.current", "10000\n")
	f.put("engine/c1/memory.stat", "anon 1\ninactive_file 4000\nactive_file 2\n")
	f.put("engine/c1/memory.max", "max\n")
	f.put("engine/c1/memory.events", "low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
	f.put("engine/c1/cpu.stat", "usage_usec 1234\nuser_usec 1000\n")
	f.put("engine/c1/io.stat", "8:16 rbytes=100 wbytes=1 rios=9 wios=9 dbytes=9 dios=9\n8:0 rbytes=20 wbytes=2\n")
	f.put("engine/c1/pids.current", "3\n")
	f.put("engine/c1/pids.max", "42\n")
	got, err := g.Stats()
	want := &Stats{MemoryUsage: 6000, CPUUsage: 1234000, CPUUser: 1000000, IORead: 120, IOWrite: 3, Pids: 3, PidsLimit: 42,
		Memory: got.Memory, Throttled: map[string]uint64{"usage_usec": 1234, "user_usec": 1000}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("stats: %v, -want +got:\n%s", err, diff)
	}
	if n, err := g.OOMKills(); n != 2 || err != nil {
		t.Errorf("OOM kills: %d, %v", n, err)
	}
	f.put("engine/c1/cgroup.procs", "30\n4\n")
	f.put("engine/c1/sub/cgroup.procs", "7\n30\n")
	if list, err := g.Pids(); err != nil || !slices.Equal(list, []int{4, 7, 30}) {
		t.Errorf("pids: %v, %v", list, err)
	}
}

func TestV2Write(t *testing.T) {
	f, g := newFake(t, "")
	f.put("engine/c1/cgroup.kill", "")
	f.put("engine/c1/cgroup.freeze", "")
	for _, step := range []struct {
		call       func() error
		events     string // what the kernel makes of it
		file, text string
	}{
		{g.Freeze, "frozen 1\n", "cgroup.freeze", "1"},
		{g.Thaw, "frozen 0\n", "cgroup.freeze", "0"},
		{g.Kill, "populated 0\n", "cgroup.kill", "1"},
		{func() error { return g.Add(77) }, "", "cgroup.procs", "77"},
	} {
		f.put("engine/c1/cgroup.events", step.events)
		if err := step.call(); err != nil {
			t.Error(err)
		}
		f.want("engine/c1/"+step.file, step.text)
	}

	var attr syscall.SysProcAttr
	leave, err := g.Enter(&attr)
	if err != nil {
		t.Fatal(err)
	}
	target, _ := os.Readlink("/proc/self/fd/" + itoa(attr.CgroupFD))
	if !attr.UseCgroupFD || target != g.Paths()[""] {
		t.Errorf("Enter: %t, descriptor of %s", attr.UseCgroupFD, target)
	}
	if err := leave(); err != nil || attr.UseCgroupFD {
		t.Errorf("leave: %v, %+v", err, attr)
	}

	away := Group{host: g.host, path: "/engine/none"}
	if err := errors.Join(away.Kill(), away.Delete()); err != nil {
		t.Errorf("a group that does not exist: %v", err)
	}
	if list, err := away.Pids(); err != nil || len(list) != 0 {
		t.Errorf("processes of a group that does not exist: %v, %v", list, err)
	}
}
