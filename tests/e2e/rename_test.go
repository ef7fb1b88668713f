package e2e

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestRename(t *testing.T) {
	h := newHost(t)
	id := h.up(deaf, "--name", "c1")
	other := h.ok("create", "--name", "c2", "busybox", "true")
	for _, c := range []struct{ old, new, word string }{
		{"c1", "c2", `Error when allocating new name: Conflict. The container name "/c2" is already in use by container "` + other + `"`},
		{"c2", "c1", `already in use by container "` + id + `"`},
		{"c1", "c1", "Renaming a container with the same name as its current name"},
		{"c2", "c2", "Renaming a container with the same name as its current name"},
		{"c1", "a b", "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"c1", "x", "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"c2", "_x", "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"c2", "../x", "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"},
		{"nope", "c3", "No such container: nope"},
		{"c1", "", "Neither old nor new names may be empty"},
		{"", "c1", "Neither old nor new names may be empty"},
	} {
		r := h.fails(1, []string{c.word}, "rename", c.old, c.new)
		if c.old != "" && c.new != "" && !strings.Contains(r.err, "failed to rename container named "+c.old) {
			t.Errorf("want the container's name: %s", r)
		}
	}
	for _, args := range [][]string{{"rename"}, {"rename", "c1"}, {"rename", "c1", "c3", "c4"}} {
		h.fails(1, []string{"'mydocker rename' requires 2 arguments"}, args...)
	}
	equal(t, "after what was refused", h.ok("ps", "-a", "--format", "{{.Names}}"), "c2\nc1")

	equal(t, "rename prints", h.ok("rename", "c1", "c3"), "")
	for ref, of := range map[string]string{"c3": id, "c2": other} {
		for round := range 3 { // running, or created; after its end; after a crash
			old, name := ref, ref+strings.Repeat("x", round+1)
			h.ok("rename", "/"+ref, "/"+name)
			equal(t, "inspect", h.inspect(name, "{{.Id}} {{.Name}}"), of+" /"+name)
			equal(t, "ps", h.ok("ps", "-a", "--filter", "name=^"+name+"$", "--format", "{{.Names}}"), name)
			h.fails(1, []string{"No such object: " + old}, "inspect", old)
			h.ok("create", "--name", old, "busybox", "true") // it is free
			h.fails(1, []string{`The container name "/` + name + `" is already in use`}, "create", "--name", name, "busybox", "true")
			h.ok("rm", old)
			h.ok("rename", of, old)
			switch {
			case of == id && round == 0:
				h.ok("stop", "-t", "0", id)
			case of == id && round == 1:
				h.ok("start", id)
				killMonitor(h, id)
			}
		}
	}
	equal(t, "events", strings.Join(seen(h, "--filter", "event=rename", "--filter", "container="+other), "\n"), strings.Join([]string{
		"container rename ID (image=busybox, name=c2x, oldName=/c2)", "container rename ID (image=busybox, name=c2, oldName=/c2x)",
		"container rename ID (image=busybox, name=c2xx, oldName=/c2)", "container rename ID (image=busybox, name=c2, oldName=/c2xx)",
		"container rename ID (image=busybox, name=c2xxx, oldName=/c2)", "container rename ID (image=busybox, name=c2, oldName=/c2xxx)"}, "\n"))

	// Of a running one all goes on, under the new name.
	h.ok("start", "c3")
	pid := h.pid("c3")
	h.ok("rename", "c3", "c4")
	equal(t, "exec", h.ok("exec", "c4", "echo", "fine"), "fine")
	equal(t, "pid", h.pid("c4"), pid)
	h.ok("stop", "-t", "0", "c4")
	equal(t, "events of its end", h.ok("events", "--since", "1h", "--until", "0s", "--filter", "container=c4", "--filter", "event=die", "--format", "{{.Actor.Attributes.name}}"), "c4")
	h.ok("start", "c4")
	equal(t, "name", h.inspect(id, "{{.Name}}"), "/c4")
}

// Killed at any moment, a container has one name, and the other is free.
func TestRenameKill(t *testing.T) {
	h := newHost(t)
	live, dead := h.up(deaf, "--name", "live"), h.ok("create", "--name", "dead", "busybox", "true")
	rounds := 24
	if testing.Short() {
		rounds = 8
	}
	for i := range rounds {
		id := []string{live, dead}[i%2]
		old := strings.TrimPrefix(h.inspect(id, "{{.Name}}"), "/")
		name := "new-" + nonce()
		p := h.begin("rename", old, name)
		time.Sleep(time.Duration(rand.N(int64(12 * time.Millisecond))))
		if i%4 == 2 {
			killMonitor(h, id)
		} else {
			p.cmd.Process.Kill()
		}
		r := p.wait()
		now := strings.TrimPrefix(h.inspect(id, "{{.Name}}"), "/")
		if r.code != 0 && now == old { // a monitor goes on with what a killed client has asked for
			time.Sleep(100 * time.Millisecond)
			now = strings.TrimPrefix(h.inspect(id, "{{.Name}}"), "/")
		}
		free := old
		switch {
		case now == old && r.code != 0:
			free = name
		case now != name:
			t.Fatalf("it is called %s, not %s or %s: %s", now, old, name, r)
		}
		equal(t, "ps", h.ok("ps", "-a", "--no-trunc", "--filter", "id="+id, "--format", "{{.Names}}"), now)
		equal(t, "by name", h.inspect(now, "{{.Id}}"), id)
		h.fails(1, []string{"No such object: " + free}, "inspect", free)
		h.ok("create", "--name", free, "busybox", "true")
		h.ok("rm", free)
		if r := h.try("system", "check"); r.code != 0 {
			t.Fatal(r)
		}
		h.try("start", live)
	}
}
