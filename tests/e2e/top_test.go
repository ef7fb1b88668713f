package e2e

import (
	"strings"
	"testing"
)

func TestTop(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "busybox", "sh", "-c", "sleep 1001 & exec sleep 1000")
	h.eventually("both sleep", func() bool { return strings.Count(h.ok("top", "c1"), "sleep 100") == 2 })
	out := strings.Split(h.ok("top", "c1"), "\n")
	equal(t, "titles", strings.Join(strings.Fields(out[0]), " "), "UID PID PPID C STIME TTY TIME CMD")
	equal(t, "as the host numbers them", strings.Fields(out[1])[1], h.pid("c1"))
	if out := h.ok("top", "c1", "-o", "pid,args"); !strings.Contains(out, h.pid("c1")) || strings.Count(out, "\n") != 2 {
		t.Errorf("with options: %s", out)
	}
	for _, options := range []string{"aux", "-eo user,pid,ppid,args", "-L", "axf"} {
		if out := h.ok(append([]string{"top", "c1"}, strings.Fields(options)...)...); strings.Count(out, "\n") != 2 {
			t.Errorf("%s: %s", options, out)
		}
	}
	h.fails(1, []string{"Couldn't find PID field in ps output"}, "top", "c1", "-o", "comm")
	h.fails(1, []string{"ps: error: unknown gnu long option"}, "top", "c1", "--nonsense")
	h.fails(1, []string{"No such container: none"}, "top", "none")
	h.ok("create", "--name", "dead", "busybox", "true")
	h.fails(1, []string{"container " + h.inspect("dead", "{{.ID}}") + " is not running"}, "top", "dead")
	h.env = []string{"PATH=/nonexistent"}
	h.fails(1, []string{"no program ps"}, "top", "c1")
	h.env = nil
}
