package e2e

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPause(t *testing.T) {
	h := newHost(t)
	dir := h.dir("count")
	id := h.up(`trap 'exit 5' TERM; i=0; echo 0 > /d/n; echo up; while :; do i=$((i+1)); echo $i > /d/n; sleep 0.01; done`, "--name", "c1", "-v", dir+":/d")
	created := h.ok("create", "--name", "c2", "busybox", "true")
	counts := func() bool {
		before := read(t, dir+"/n")
		time.Sleep(200 * time.Millisecond)
		return read(t, dir+"/n") != before
	}
	h.fails(1, []string{"Container " + id + " is not paused"}, "unpause", "c1")
	h.fails(1, []string{created + " is not running"}, "pause", "c2")
	h.fails(1, []string{"Container " + created + " is not paused"}, "unpause", "c2")

	equal(t, "pause", h.ok("pause", "c1"), "c1")
	if counts() {
		t.Error("it works on")
	}
	h.fails(1, []string{"Container " + id + " is already paused"}, "pause", "c1")
	equal(t, "state", h.inspect("c1", "{{.State.Status}} {{.State.Running}} {{.State.Paused}} {{.State.ExitCode}}"), "paused true true 0")
	if out := h.ok("ps", "--format", "{{.Names}} {{.State}} {{.Status}}"); !strings.HasPrefix(out, "c1 paused Up ") || !strings.HasSuffix(out, " (Paused)") {
		t.Errorf("ps: %q", out)
	}
	equal(t, "ps of the paused", h.ok("ps", "--filter", "status=paused", "--format", "{{.Names}}"), "c1")
	equal(t, "ps of the running", h.ok("ps", "-q", "--filter", "status=running"), "")
	equal(t, "info", h.ok("info", "--format", "{{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}"), "0 1 1")

	// What needs a process that answers is refused.
	h.fails(1, []string{"Container c1 is paused, unpause the container before exec"}, "exec", "c1", "true")
	h.fails(1, []string{"Container c1 is paused, unpause the container before exec"}, "exec", "-d", "c1", "true")
	h.fails(1, []string{"You cannot attach to a paused container, unpause it first"}, "attach", "c1")
	h.fails(1, []string{"cannot start a paused container, try unpause instead"}, "start", "c1")
	h.fails(1, []string{"cannot start a paused container, try unpause instead"}, "start", "-a", "c1")
	h.fails(1, []string{`cannot remove container "/c1": container is paused and must be unpaused first`}, "rm", "c1")
	equal(t, "logs", h.ok("logs", "c1"), "up")
	h.ok("rename", "c1", "c3")
	h.ok("rename", "c3", "c1")
	equal(t, "all that was frozen is", h.inspect("c1", "{{.State.Status}}"), "paused")

	equal(t, "unpause", h.ok("unpause", "c1"), "c1")
	h.eventually("it works again", counts)
	equal(t, "state", h.inspect("c1", "{{.State.Status}} {{.State.Paused}}"), "running false")
	equal(t, "exec", h.ok("exec", "c1", "echo", "fine"), "fine")

	// Several: what is refused does not keep the others.
	r := h.fails(1, []string{"No such container: nope", created + " is not running"}, "pause", "nope", "c2", "c1")
	equal(t, "stdout", r.out, "c1\n")
	r = h.fails(1, []string{"No such container: nope"}, "unpause", "nope", "c1")
	equal(t, "stdout", r.out, "c1\n")
	for _, verb := range []string{"pause", "unpause"} {
		h.fails(1, []string{"'mydocker " + verb + "' requires at least 1 argument"}, verb)
	}
	equal(t, "events", h.ok("events", "--since", "1h", "--until", "0s", "--filter", "container=c1", "--filter", "event=pause", "--filter", "event=unpause", "--format", "{{.Action}}"),
		"pause\nunpause\npause\nunpause")
}

// A frozen process answers no signal: whoever ends it thaws it.
func TestPauseEnd(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		script, code string
		args         []string
	}{
		{patient, "5", []string{"stop"}}, // by its own handler, before the time is over
		{deaf, "137", []string{"stop", "-t", "0"}},
		{patient, "137", []string{"kill"}},
		{patient, "5", []string{"kill", "-s", "TERM"}},
	} {
		id := h.up(c.script, "--stop-timeout", "100")
		h.ok("pause", id)
		h.ok(append(c.args, id)...)
		equal(t, strings.Join(c.args, " "), h.ok("wait", id), c.code)
		equal(t, "state", h.inspect(id, "{{.State.Status}} {{.State.Paused}} {{.State.Pid}}"), "exited false 0")
		h.ok("start", id)
		equal(t, "state", h.inspect(id, "{{.State.Status}}"), "running")
		h.ok("pause", id)
		h.ok("restart", "-t", "0", id)
		equal(t, "restart", h.inspect(id, "{{.State.Status}} {{.State.Paused}}"), "running false")
		h.ok("pause", id)
		equal(t, "rm -f", h.ok("rm", "-f", id), id)
	}
}

// Neither the loss of its processes nor of its monitor leaves anything frozen.
func TestPauseLost(t *testing.T) {
	h := newHost(t)
	for _, kill := range []func(id string){
		func(id string) { killMonitor(h, id) },
		func(string) { killAll(h) },
		func(string) { powerOff(h) },
	} {
		word := nonce()
		id := h.up("echo up; exec sleep "+word, "--name", "c1")
		h.findProcess(word)
		h.ok("pause", id)
		kill(id)
		h.becomes("c1", "exited")
		equal(t, "state", h.inspect("c1", "{{.State.Paused}} {{.State.Pid}}"), "false 0")
		if len(living([]string{word})) > 0 {
			t.Error("its process lives")
		}
		h.ok("start", "c1")
		equal(t, "exec", h.ok("exec", "c1", "echo", "fine"), "fine")
		h.ok("rm", "-f", "c1")
	}
}

// A machine that goes down ends the paused containers in order, too.
func TestPauseShutdown(t *testing.T) {
	h := newHost(t)
	id := h.up(patient, "--stop-timeout", "100", "--restart", "always")
	h.ok("pause", id)
	endMonitor(h, id, unix.SIGTERM)
	equal(t, "state", h.inspect(id, "{{.State.Status}} {{.State.ExitCode}} {{.State.Paused}}"), "exited 5 false")
}
