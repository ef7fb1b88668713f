package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestStats(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "spin", "--network", "none", "--cpus", "0.5", "-m", "64m", "busybox", "sh", "-c", "while :; do :; done")
	h.ok("run", "-d", "--name", "idle", "busybox", "sleep", "1000")
	h.ok("create", "--name", "dead", "busybox", "true")
	row := map[string]string{}
	if err := json.Unmarshal([]byte(h.ok("stats", "--no-stream", "--format", "json", "spin")), &row); err != nil {
		t.Fatal(err)
	}
	// The limit is half a CPU, so more than one and a half cannot be measured; a busy
	// machine may give less.
	cpu, err := strconv.ParseFloat(strings.TrimSuffix(row["CPUPerc"], "%"), 64)
	if err != nil || cpu <= 0 || cpu > 150 {
		t.Errorf("CPU %q", row["CPUPerc"])
	}
	if !strings.HasSuffix(row["MemUsage"], " / 64MiB") || strings.HasPrefix(row["MemUsage"], "0B") {
		t.Errorf("memory %q", row["MemUsage"])
	}
	equal(t, "network none", row["NetIO"], "0B / 0B")
	equal(t, "the rest", row["PIDs"]+" "+row["Name"]+" "+row["Container"], "1 spin spin")

	if all := h.ok("stats", "--no-stream"); !strings.HasPrefix(all, "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT") ||
		!strings.Contains(all, "idle") || strings.Contains(all, "dead") {
		t.Errorf("those that run: %s", all)
	}
	equal(t, "all", h.ok("stats", "--no-stream", "-a", "--format", "{{.Name}}"), "dead\nidle\nspin")
	equal(t, "a dead one", h.ok("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}", "dead"),
		"0.00% 0B / 0B 0.00% 0B / 0B 0B / 0B 0")
	equal(t, "IDs", h.ok("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}} {{.Container}}", "idle", "/idle"), h.inspect("idle", "{{.ID}}")+" /idle")
	h.fails(1, []string{"No such container: none"}, "stats", "--no-stream", "idle", "none")
	h.fails(1, []string{"Nope"}, "stats", "--no-stream", "--format", "{{.Nope}}")
}

func TestStatsLive(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "one", "busybox", "sleep", "1000")
	p := h.onTerminal("stats")
	p.shows("\x1b[HCONTAINER ID") // home, so it keeps its place
	p.shows("one")
	h.ok("run", "-d", "--name", "two", "busybox", "sleep", "1000")
	p.shows("two")
	p.resize(3, 60) // one row and what says that there is more
	p.shows("(2 more)")
	p.types("\x03")
	equal(t, "exit code after Ctrl-C", exitCode(p.wait()), "130")
	// Not on a terminal: tables, and no escape sequences.
	q := h.begin("stats", "--format", "{{.Name}}", "one")
	q.says("one\none\n")
	q.cmd.Process.Signal(syscall.SIGTERM)
	if r := q.wait(); r.code != 143 || strings.Contains(r.out, "\x1b") {
		t.Errorf("%s", r)
	}
}
