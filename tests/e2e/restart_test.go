package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// life is a container's state with the number of restarts.
const life = "{{.State.Status}} {{.RestartCount}} {{.State.ExitCode}}"

// hasLife waits until a container's life is the given one.
func (h *host) hasLife(ref, want string) {
	h.t.Helper()
	h.eventuallyOr(func() string { return fmt.Sprintf("%s: %s, want %s", ref, h.inspect(ref, life), want) },
		func() bool { return h.inspect(ref, life) == want })
}

// resting waits until a container is between two lives, for a second at least.
func (h *host) resting(ref string) {
	h.t.Helper()
	h.eventually(ref+" waits for its next life", func() bool {
		var status string
		var count int
		fmt.Sscan(h.inspect(ref, "{{.State.Status}} {{.RestartCount}}"), &status, &count)
		return status == "restarting" && count >= 4
	})
}

// actions gives the actions of a container's life from the events, "start die start ...".
func (h *host) actions(ref string) string {
	h.t.Helper()
	return strings.ReplaceAll(h.ok("events", "--since", "1h", "--until", "0s", "--filter", "container="+ref, "--format", "{{.Action}}"), "\n", " ")
}

func TestRestartPolicy(t *testing.T) {
	h := newHost(t)
	h.fails(1, nil, "run", "--name", "three", "--restart", "on-failure:3", "busybox", "sh", "-c", "echo life; false") // the first life's
	h.hasLife("three", "exited 3 1")
	equal(t, "log", h.ok("logs", "three"), "life\nlife\nlife\nlife")
	equal(t, "events", h.actions("three"), "create attach start die start die start die start die")
	equal(t, "policy", h.inspect("three", "{{json .HostConfig.RestartPolicy}}"), `{"Name":"on-failure","MaximumRetryCount":3}`)
	// Started by hand it has its restarts again.
	h.ok("start", "three")
	h.hasLife("three", "exited 3 1")
	equal(t, "lives", strconv.Itoa(strings.Count(h.ok("logs", "three"), "life")), "8")

	h.ok("run", "-d", "--name", "fine", "--restart", "on-failure", "busybox", "true")
	h.hasLife("fine", "exited 0 0")
	h.ok("run", "-d", "--name", "none", "busybox", "false")
	h.hasLife("none", "exited 0 1")
	for _, policy := range []string{"always", "unless-stopped"} {
		h.ok("run", "-d", "--name", policy, "--restart", policy, "busybox", "true") // success, too
		h.eventually("a second restart", func() bool { return strings.Count(h.actions(policy), "start") > 2 })
		h.ok("rm", "-f", policy)
	}
	// What could not be started is not tried again.
	h.fails(127, []string{"/nope"}, "run", "-d", "--name", "nope", "--restart", "always", "busybox", "/nope")
	h.hasLife("nope", "created 0 127")

	for _, c := range []struct{ word, policy string }{
		{"invalid restart policy", "foo"},
		{"maximum retry count can", "always:3"}, // only be used with 'on-failure'; cannot be used with 'always'
		{"maximum retry count must be an integer", "on-failure:x"},
		{"maximum retry count cannot be negative", "on-failure:-1"},
	} {
		h.fails(125, []string{c.word}, "run", "--restart", c.policy, "busybox", "true")
	}
	h.fails(125, []string{"conflicting options: cannot specify both --restart and --rm"}, "run", "--rm", "--restart", "always", "busybox", "true")
}

// The pauses double, from 100 ms. They may be longer here, never shorter.
func TestRestartBackOff(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "--restart", "always", "busybox", "false")
	h.resting("c1")
	h.ok("stop", "c1")
	var died time.Time
	due := 100 * time.Millisecond
	for line := range strings.Lines(h.ok("events", "--since", "1h", "--until", "0s", "--filter", "container=c1", "--filter", "event=start", "--filter", "event=die", "--format", "{{.TimeNano}} {{.Action}}")) {
		var nanos int64
		var action string
		fmt.Sscan(line, &nanos, &action)
		at := time.Unix(0, nanos)
		if action == "die" {
			died = at
		} else if !died.IsZero() {
			if at.Sub(died) < due-20*time.Millisecond { // an event is late by what its record takes
				t.Errorf("restarted after %v, want %v", at.Sub(died), due)
			}
			due *= 2
		}
	}
	if due < 1600*time.Millisecond {
		t.Errorf("the last pause was to be %v", due/2)
	}
}

// While it waits for its next life there is no process, and Docker's answers.
func TestRestartWaiting(t *testing.T) {
	h := newHost(t)
	id := h.ok("run", "-d", "--name", "c1", "--restart", "always", "busybox", "sh", "-c", "echo life; exit 3")
	h.resting("c1")
	equal(t, "state", h.inspect("c1", "{{.State.Running}} {{.State.Restarting}} {{.State.Pid}} {{.State.ExitCode}}"), "true true 0 3")
	equal(t, "info", h.ok("info", "--format", "{{.ContainersRunning}} {{.ContainersStopped}}"), "0 1")
	for _, c := range []struct {
		word string
		args []string
	}{
		{"Container " + id + " is restarting, wait until the container is running", []string{"exec", "c1", "true"}},
		{"Container " + id + " is restarting, wait until the container is running", []string{"pause", "c1"}},
		{"You cannot attach to a restarting container, wait until it is running", []string{"attach", "c1"}},
		{`cannot remove container "/c1": container is restarting: stop the container before removing or force remove`, []string{"rm", "c1"}},
	} {
		h.resting("c1")
		h.fails(1, []string{c.word}, c.args...)
	}
	h.resting("c1")
	if out := h.ok("ps", "-a", "--format", "{{.State}} {{.Status}}"); !strings.HasPrefix(out, "restarting Restarting (3) ") {
		t.Errorf("ps: %q", out)
	}
	equal(t, "ps by filter", h.ok("ps", "--filter", "status=restarting", "--format", "{{.Names}}"), "c1")

	for _, verb := range [][]string{{"stop"}, {"kill"}, {"kill", "-s", "TERM"}} {
		h.resting("c1")
		h.ok(append(verb, "c1")...)
		time.Sleep(200 * time.Millisecond)
		if state := h.inspect("c1", "{{.State.Status}} {{.State.ExitCode}} {{.State.Restarting}}"); state != "exited 3 false" && state != "exited 137 false" {
			t.Errorf("after %v: %s", verb, state)
		}
		h.ok("start", "c1")
	}
	h.resting("c1")
	h.ok("start", "c1") // at once: it is a start, or there is nothing to do
	h.ok("restart", "c1")
	h.resting("c1")
	equal(t, "rm -f", h.ok("rm", "-f", "c1"), "c1")
}

// Only what somebody asked the engine for ends a container for good.
func TestRestartAfterKill(t *testing.T) {
	h := newHost(t)
	h.up(patient, "--name", "c1", "--restart", "unless-stopped")
	pid := h.pid("c1")
	h.try("exec", "c1", "kill", "-TERM", "1") // by its end pid 1 may take the killer along
	h.hasLife("c1", "running 1 0")
	if h.pid("c1") == pid {
		t.Error("it is the same process")
	}
	killProcess(h, "c1")
	h.hasLife("c1", "running 2 0")
	h.eventually("three lives", func() bool { return h.ok("logs", "c1") == "up\nup\nup" })
	for _, verb := range [][]string{{"kill"}, {"kill", "-s", "TERM"}, {"stop"}} {
		h.eventually("up", func() bool { return strings.HasSuffix(h.ok("logs", "--tail", "1", "c1"), "up") })
		h.ok(append(verb, "c1")...)
		h.ok("wait", "c1")
		time.Sleep(300 * time.Millisecond)
		equal(t, strings.Join(verb, " "), h.inspect("c1", "{{.State.Status}}"), "exited")
		h.ok("start", "c1")
		equal(t, "start begins anew", h.inspect("c1", life), "running 0 0")
	}
	killProcess(h, "c1")
	h.hasLife("c1", "running 1 0")
	h.ok("restart", "-t", "0", "c1")
	equal(t, "restart too", h.inspect("c1", life), "running 0 0")
}

// wait returns at each exit, not at the last.
func TestRestartWait(t *testing.T) {
	h := newHost(t)
	h.up(patient, "--name", "c1", "--restart", "always")
	for _, code := range []string{"5", "6"} {
		p := h.begin("wait", "c1")
		count := h.inspect("c1", "{{.RestartCount}}")
		time.Sleep(100 * time.Millisecond) // until it waits; late, it waits for the next
		h.ok("exec", "c1", "kill", map[string]string{"5": "-TERM", "6": "-USR1"}[code], "1")
		equal(t, "wait", p.wait().out, code+"\n")
		h.eventually("the next life", func() bool {
			return h.inspect("c1", "{{.State.Status}}") == "running" && h.inspect("c1", "{{.RestartCount}}") != count && strings.HasSuffix(h.ok("logs", "c1"), "up")
		})
		time.Sleep(100 * time.Millisecond) // its trap
	}
}

// A policy taken away holds from the next end on, one given, too.
func TestRestartUpdate(t *testing.T) {
	h := newHost(t)
	h.up(patient, "--name", "c1", "--restart", "always")
	equal(t, "update", h.ok("update", "--restart", "no", "c1"), "c1")
	killProcess(h, "c1")
	h.hasLife("c1", "exited 0 137")
	h.ok("start", "c1")
	h.ok("update", "--restart", "on-failure:5", "c1")
	equal(t, "policy", h.inspect("c1", "{{json .HostConfig.RestartPolicy}}"), `{"Name":"on-failure","MaximumRetryCount":5}`)
	killProcess(h, "c1")
	h.hasLife("c1", "running 1 0")

	h.ok("run", "-d", "--name", "c2", "--restart", "always", "busybox", "false")
	h.resting("c2")
	h.ok("update", "--restart", "no", "c2")
	h.becomes("c2", "exited")
	time.Sleep(200 * time.Millisecond)
	equal(t, "it stays", h.inspect("c2", "{{.State.Status}}"), "exited")
}

// killProcess kills a container's first process, past the engine.
func killProcess(h *host, ref string) {
	h.t.Helper()
	pid, _ := strconv.Atoi(h.pid(ref))
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
}

// A monitor's loss is an end with 137, and the next command revives by policy.
func TestRestartMonitorKilled(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		policy, want string
		next         []string
	}{
		{"no", "exited 0 137", []string{"ps", "-a"}},
		{"always", "running 1 0", []string{"ps"}},
		{"unless-stopped", "running 1 0", []string{"inspect", "c1"}},
		{"on-failure", "running 1 0", []string{"ps", "-q"}},
		{"on-failure:1", "running 1 0", []string{"system", "check"}},
	} {
		word := nonce()
		id := h.up("echo up; exec sleep "+word, "--name", "c1", "--restart", c.policy)
		pid := h.findProcess(word)
		killMonitor(h, id)
		h.try(c.next...)
		h.hasLife("c1", c.want)
		h.eventually("the old process is dead", func() bool { return h.inspect("c1", "{{.State.Pid}}") != pid })
		if strings.HasPrefix(c.want, "running") {
			equal(t, c.policy+": exec", h.ok("exec", "c1", "echo", "fine"), "fine")
			killMonitor(h, id)
			h.ok("stop", "-t", "0", "c1") // is a next command, too
			equal(t, c.policy+": stopped", h.inspect("c1", "{{.State.Status}}"), "exited")
		}
		h.ok("rm", "-f", "c1")
	}
	// It had been asked to stop: the loss does not bring it back.
	id := h.up(deaf, "--name", "c1", "--restart", "always")
	p := h.begin("stop", "-t", "-1", "c1")
	h.eventually("it was asked", func() bool { return strings.Contains(h.actions("c1"), "kill") })
	killMonitor(h, id)
	p.wait()
	time.Sleep(200 * time.Millisecond)
	equal(t, "asked to stop", h.inspect("c1", "{{.State.Status}}"), "exited")
	h.ok("rm", "c1")
	// Lost while it waited for the next life.
	h.ok("run", "-d", "--name", "c1", "--restart", "always", "busybox", "false")
	h.resting("c1")
	killAll(h)
	h.ok("ps")
	h.eventually("it goes on", func() bool {
		state := h.inspect("c1", "{{.State.Status}}")
		return state == "restarting" || state == "running"
	})
	h.ok("stop", "-t", "0", "c1")
	equal(t, "stopped", h.inspect("c1", "{{.State.Status}}"), "exited")
}

// A reboot ends all with 255, and only `system start` brings back what the
// policies want, as Docker's daemon does when it starts.
func TestRestartReboot(t *testing.T) {
	h := newHost(t)
	names := map[string]bool{}
	for _, c := range []struct {
		name, policy string
		end          []string // before the reboot; nil: it runs
		back         bool
	}{
		{"no", "no", nil, false},
		{"always", "always", nil, true},
		{"always-stopped", "always", []string{"stop", "-t", "0"}, true},
		{"unless", "unless-stopped", nil, true},
		{"unless-stopped", "unless-stopped", []string{"stop", "-t", "0"}, false},
		{"unless-killed", "unless-stopped", []string{"kill"}, false},
		{"failure", "on-failure", nil, true},
		{"failure-few", "on-failure:3", nil, true},
	} {
		h.up(deaf, "--name", c.name, "--restart", c.policy)
		if c.end != nil {
			h.ok(append(c.end, c.name)...)
		}
		names[c.name] = c.back
	}
	h.ok("run", "-d", "--name", "failure-fine", "--restart", "on-failure", "busybox", "true")
	h.becomes("failure-fine", "exited")
	h.ok("run", "-d", "--name", "waiting", "--restart", "always", "busybox", "sh", "-c", "exit 4")
	h.resting("waiting")
	h.ok("create", "--name", "created", "--restart", "always", "busybox", "sleep", "1000")
	powerOff(h)

	equal(t, "nobody comes back by ps", h.ok("ps", "-q"), "")
	for name, back := range names {
		state := h.inspect(name, "{{.State.Status}} {{.State.ExitCode}}")
		if want := "exited 255"; state != want && back && !strings.Contains(name, "-") {
			t.Errorf("%s: %s, want %s", name, state, want)
		}
	}
	started := strings.Fields(h.ok("system", "start"))
	running := map[string]bool{}
	for _, name := range strings.Fields(h.ok("ps", "-a", "--filter", "status=running", "--filter", "status=restarting", "--format", "{{.Names}}")) {
		running[name] = true
	}
	names["failure-fine"], names["waiting"], names["created"] = false, true, false
	for name, back := range names {
		if running[name] != back {
			t.Errorf("%s runs: %t, want %t", name, running[name], back)
		}
	}
	if len(started) != len(running) {
		t.Errorf("system start says %q, what runs is %v", started, running)
	}
	equal(t, "once more", h.ok("system", "start"), "")
	equal(t, "exec", h.ok("exec", "always", "echo", "fine"), "fine")
	equal(t, "count", h.inspect("always", "{{.RestartCount}}"), "0")
}
