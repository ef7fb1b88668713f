package e2e

import (
	"strings"
	"testing"
)

// patient counts signals: it says which it got, exits 5 by TERM and 6 by USR1.
const patient = `trap 'echo hup' HUP; trap 'exit 5' TERM; trap 'exit 6' USR1; echo up; while :; do sleep 0.01; done`

// deaf ignores what it can.
const deaf = `trap '' TERM HUP INT QUIT; echo up; while :; do sleep 0.01; done`

// up starts a shell script and waits for the line "up".
func (h *host) up(script string, flags ...string) (id string) {
	h.t.Helper()
	args := append([]string{"run", "-d"}, flags...)
	id = h.ok(append(args, "busybox", "sh", "-c", script)...)
	h.eventually("up", func() bool { return strings.Contains(h.ok("logs", id), "up") })
	return id
}

func TestStopSignal(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		run  []string
		stop []string
		code string
	}{
		{nil, nil, "5"},
		{[]string{"--stop-signal", "USR1"}, nil, "6"},
		{[]string{"--stop-signal", "SIGUSR1"}, nil, "6"},
		{[]string{"--stop-signal", "10"}, nil, "6"},
		{nil, []string{"-s", "USR1"}, "6"},
		{nil, []string{"--signal=sigusr1", "--timeout", "100"}, "6"},
	} {
		id := h.up(patient, c.run...)
		equal(t, "stop", h.ok(append(append([]string{"stop"}, c.stop...), id)...), id)
		equal(t, strings.Join(append(c.run, c.stop...), " "), h.inspect(id, "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}} {{.State.OOMKilled}}"), "exited "+c.code+" 0 false")
		h.ok("rm", id)
	}
	h.fails(125, []string{"invalid signal: FOO"}, "run", "--stop-signal", "FOO", "busybox", "true")
}

// STOPSIGNAL of the image counts unless the command line has another.
func TestStopSignalOfImage(t *testing.T) {
	h := newHost(t)
	h.ok("import", "-c", "STOPSIGNAL SIGUSR1", busybox, "usr1")
	id := h.ok("run", "-d", "usr1", "sh", "-c", patient)
	h.eventually("up", func() bool { return h.ok("logs", id) == "up" })
	h.ok("stop", id)
	equal(t, "exit code", h.inspect(id, "{{.State.ExitCode}} {{.Config.StopSignal}}"), "6 SIGUSR1")
}

// What does not stop is killed after the timeout: the command line's, the
// container's, or ten seconds.
func TestStopTimeout(t *testing.T) {
	h := newHost(t)
	id := h.up(deaf)
	h.ok("stop", "-t", "0", id)
	equal(t, "state", h.inspect(id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137")
	// One that takes its time ends by itself, unless the time is too short.
	const slow = `trap 'sleep 1; exit 5' TERM; echo up; while :; do sleep 0.01; done`
	for timeout, code := range map[string]string{"0": "137", "100": "5"} {
		id = h.up(slow, "--stop-timeout", timeout)
		h.ok("stop", id)
		equal(t, "state", h.inspect(id, "{{.State.Status}} {{.State.ExitCode}} {{.Config.StopTimeout}}"), "exited "+code+" "+timeout)
	}
	id = h.up(deaf, "--stop-timeout", "0")
	p := h.begin("stop", "--timeout=-1", id) // waits for ever
	h.ok("kill", id)
	equal(t, "stop", p.wait().out, id+"\n")
	id = h.up(deaf, "--stop-timeout", "0")
	p = h.begin("stop", "-t", "-1", id)
	p2 := h.begin("stop", "-t", "1", id) // another, less patient one
	equal(t, "stop -t 1", p2.wait().out, id+"\n")
	equal(t, "stop -t -1", p.wait().out, id+"\n")
	h.fails(125, []string{`invalid argument "abc" for "-t, --timeout" flag`}, "stop", "-t", "abc", id)
}

// PID 1 has no default actions: TERM does nothing to a sleep. Its children it takes
// along.
func TestStopFirstProcess(t *testing.T) {
	h := newHost(t)
	word := nonce()
	id := h.ok("run", "-d", "busybox", "sh", "-c", "sleep "+word+" & sleep "+word)
	pid := h.findProcess(word)
	h.ok("stop", "-t", "0", id)
	if onHost("/proc/" + pid) {
		t.Errorf("a child outlives its container")
	}
}

func TestStopNothing(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "c1", "busybox", "true")
	equal(t, "of a created one", h.ok("stop", "c1"), "c1")
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "created")
	h.ok("start", "-a", "c1")
	equal(t, "of an exited one", h.ok("stop", "c1"), "c1")
	h.fails(1, []string{"No such container: nope"}, "stop", "nope")
	h.fails(1, []string{"'mydocker stop' requires at least 1 argument"}, "stop")
}

func TestStopSeveral(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"c1", "c2", "c3"} {
		h.up(deaf, "--name", name)
	}
	r := h.fails(1, []string{"No such container: nope"}, "stop", "-t", "1", "c1", "nope", "c2", "c3")
	equal(t, "stdout", r.out, "c1\nc2\nc3\n")
	equal(t, "running", h.ok("ps", "-q"), "")
}

func TestKill(t *testing.T) {
	h := newHost(t)
	id := h.up(patient, "--name", "c1")
	for _, signal := range []string{"HUP", "SIGHUP", "hup", "1"} {
		h.ok("kill", "-s", signal, "c1")
		h.eventually("hup by "+signal, func() bool { return strings.Contains(h.ok("logs", id), "hup") })
		h.ok("kill", "--signal=USR1", "c1")
		equal(t, "wait", h.ok("wait", "c1"), "6")
		h.ok("rm", "c1")
		id = h.up(patient, "--name", "c1")
	}
	for _, signal := range []string{"FOO", "SIGFOO", "99", "0", "-1"} {
		h.fails(1, []string{"nvalid signal: " + signal}, "kill", "-s", signal, "c1")
	}
	equal(t, "kill", h.ok("kill", id[:12]), id[:12])
	equal(t, "wait", h.ok("wait", "c1"), "137")
	r := h.fails(1, []string{id + " is not running", "No such container: nope"}, "kill", "c1", "nope")
	equal(t, "stdout", r.out, "")
}

// Signals reach the first process only, and real-time ones too.
func TestKillRealTime(t *testing.T) {
	h := newHost(t)
	id := h.up(`trap 'exit 9' 36; echo up; while :; do sleep 0.01; done`)
	h.ok("kill", "-s", "RTMIN+2", id)
	equal(t, "wait", h.ok("wait", id), "9")
}

func TestWait(t *testing.T) {
	h := newHost(t)
	h.up(patient, "--name", "c1")
	h.up(patient, "--name", "c2")
	p := h.begin("wait", "c1", "c2")
	h.ok("stop", "c1")
	h.ok("kill", "-s", "USR1", "c2")
	equal(t, "wait", p.wait().out, "5\n6\n")
	equal(t, "wait for what has ended", h.ok("wait", "c2", "c1"), "6\n5")
	r := h.fails(1, []string{"No such container: nope"}, "wait", "nope", "c1")
	equal(t, "stdout", r.out, "5\n")

	// --rm: the exit code all the same.
	h.up(patient, "--rm", "--name", "c3")
	p = h.begin("wait", "c3")
	h.ok("kill", "-s", "USR1", "c3")
	r = p.wait()
	if r.out != "6\n" && !strings.Contains(r.err, "No such container: c3") { // that it came too late is an answer too
		t.Errorf("wait for --rm: %s", r)
	}
	h.fails(1, []string{"'mydocker wait' requires at least 1 argument"}, "wait")

	// Killing who waits does not matter.
	h.up(patient, "--name", "c4")
	p = h.begin("wait", "c4")
	p.cmd.Process.Kill()
	p.wait()
	h.ok("stop", "c4")
	equal(t, "wait", h.ok("wait", "c4"), "5")
}

func TestRemove(t *testing.T) {
	h := newHost(t)
	h.up(deaf, "--name", "c1")
	h.fails(1, []string{`"/c1"`, "running", "top the container before", "force remove"}, "rm", "c1")
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
	equal(t, "rm -f", h.ok("rm", "c1", "-f"), "c1")
	h.fails(1, []string{"No such object: c1"}, "inspect", "c1")
	h.fails(1, []string{"No such container: c1"}, "rm", "c1")
	r := h.try("rm", "-f", "c1", "c2")
	if r.code != 0 || r.out != "" || !strings.Contains(r.err, "No such container: c1") || !strings.Contains(r.err, "No such container: c2") {
		t.Errorf("rm -f of nothing: %s", r)
	}
	h.ok("create", "--name", "c1", "busybox", "true")
	h.ok("run", "--name", "c2", "busybox", "true")
	r = h.fails(1, []string{"No such container: nope"}, "rm", "c1", "nope", "c2", "-v")
	equal(t, "stdout", r.out, "c1\nc2\n")
	h.fails(1, []string{"'mydocker rm' requires at least 1 argument"}, "rm")
}
