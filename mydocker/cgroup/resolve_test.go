package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestResolve(t *testing.T) {
	v1 := &Hierarchies{Version: 1, trees: []hierarchy{{name: "memory", mount: "/cg/memory", root: "/"}, {name: "pids", mount: "/cg/pids", root: "/docker/abc"}, {mount: "/cg/unified", root: "/"}}}
	v2 := &Hierarchies{Version: 2, trees: []hierarchy{{mount: "/cg", root: "/"}}}
	ownV1, ownV2 := map[string]string{"memory": "/me", "pids": "/docker/abc/in", "": "/"}, map[string]string{"": "/user.slice/me.scope"}
	for path, want := range map[string]struct {
		v1 map[string]string
		v2 string
	}{
		"/a/b":    {map[string]string{"memory": "/cg/memory/a/b", "pids": "/cg/pids/a/b", "": "/cg/unified/a/b"}, "/cg/a/b"},
		"a/b":     {map[string]string{"memory": "/cg/memory/me/a/b", "pids": "/cg/pids/in/a/b", "": "/cg/unified/a/b"}, "/cg/user.slice/a/b"},
		"":        {map[string]string{"memory": "/cg/memory/me/id", "pids": "/cg/pids/in/id", "": "/cg/unified/id"}, "/cg/user.slice/id"},
		"/a/../b": {map[string]string{"memory": "/cg/memory/b", "pids": "/cg/pids/b", "": "/cg/unified/b"}, "/cg/b"},
		"../../b": {map[string]string{"memory": "/cg/memory/me/b", "pids": "/cg/pids/in/b", "": "/cg/unified/b"}, "/cg/user.slice/b"},
		"/":       {}, "..": {}, "/a/..": {}, ".": {},
	} {
		g, err := v1.resolve(path, "id", ownV1)
		if (err == nil) != (want.v1 != nil) {
			t.Errorf("%q: %v", path, err)
			continue
		}
		g2, err2 := v2.resolve(path, "id", ownV2)
		if (err2 == nil) != (want.v2 != "") {
			t.Errorf("%q, version 2: %v", path, err2)
		}
		if err != nil {
			continue
		}
		if diff := cmp.Diff(want.v1, g.Paths()); diff != "" {
			t.Errorf("%q: -want +got:\n%s", path, diff)
		}
		if got := g2.Paths()[""]; got != want.v2 {
			t.Errorf("%q, version 2: %s, want %s", path, got, want.v2)
		}
	}
}

// TestRelative is a group below the caller's own, in which processes are born.
func TestRelative(t *testing.T) {
	name := "mydocker-test-rel-" + itoa(os.Getpid())
	g, err := Resolve(name, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(g.Kill(), g.Delete()); err != nil {
			t.Error(err)
		}
	})
	if err := g.CheckFree(); err != nil {
		t.Errorf("a group that is not there is not free: %v", err)
	}
	limit := int64(64 << 20)
	if err := g.Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	start(t, g, cmd)
	go cmd.Wait()
	if s, err := g.Stats(); err != nil || s.MemoryLimit != uint64(limit) || s.Pids != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := g.CheckFree(); !errors.Is(err, ErrNotEmpty) || err.Error() != "container's cgroup is not empty: 1 process(es) found" {
		t.Errorf("CheckFree: %v", err)
	}
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := g.CheckFree(); !errors.Is(err, ErrFrozen) {
		t.Errorf("frozen: %v", err)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	// Somebody's freezer of version 1.
	if file, err := g.file("freezer.state"); err == nil && g.host.Version == 1 {
		if err := write(file, "FROZEN"); err != nil {
			t.Fatal(err)
		}
		if frozen, err := g.Frozen(); !frozen || err != nil {
			t.Errorf("FROZEN: %t, %v", frozen, err)
		}
		if err := write(file, "THAWED"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOf is a container whose first process has gone into a group of its own and enables
// controllers, as a systemd inside does.
func TestOf(t *testing.T) {
	g := newGroup(t)
	if err := g.Create(nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	start(t, g, cmd)
	go cmd.Wait()
	if of := g.Of(cmd.Process.Pid); of.path != g.path {
		t.Errorf("in the group: %s", of.path)
	}
	if g.host.Version != 2 {
		t.Skip("version 1 lets every group have processes")
	}
	below := g
	below.path += "/init.scope"
	if err := errors.Join(below.Create(nil), below.Add(cmd.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(g.Paths()[""], "cgroup.subtree_control"), "+memory"); err != nil {
		t.Fatal(err)
	}
	of := g.Of(cmd.Process.Pid)
	if of.path != below.path {
		t.Errorf("in a group below: %s, want %s", of.path, below.path)
	}
	other := exec.Command("sleep", "60")
	start(t, of, other)
	go other.Wait()
	if list, err := of.Pids(); err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestCpusetOfOthers is a group below one that somebody made with empty lists.
func TestCpusetOfOthers(t *testing.T) {
	g := newGroup(t)
	if g.host.find("cpuset") == nil || g.host.Version == 2 {
		t.Skip("on version 2 an empty list is all of the parent's")
	}
	if err := g.Create(nil); err != nil {
		t.Fatal(err)
	}
	file, _ := g.file("cgroup.clone_children")
	dir := filepath.Dir(file)
	for _, tree := range g.host.trees {
		if tree.has("cpuset") {
			dir = filepath.Join(tree.mount, g.path)
		}
	}
	if err := write(filepath.Join(dir, "cgroup.clone_children"), "0"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "theirs"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.path += "/theirs/ours"
	if err := g.Create(nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("true")
	start(t, g, cmd)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
