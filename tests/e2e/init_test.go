package e2e

import (
	"strings"
	"testing"
)

func TestInit(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		code int
		out  string
		args []string
	}{
		{0, "/sbin/docker-init", []string{"busybox", "cat", "/proc/1/cmdline"}},
		{7, "", []string{"busybox", "sh", "-c", "exit 7"}},
		{137, "", []string{"busybox", "sh", "-c", "kill -9 $$"}},
		{127, "", []string{"busybox", "nosuchcmd"}},
		{126, "", []string{"busybox", "/etc"}},
		{0, "100", []string{"--ulimit", "nofile=100:200", "busybox", "sh", "-c", "ulimit -n"}},
		{0, "1000", []string{"--user", "1000", "--read-only", "--security-opt", "no-new-privileges", "busybox", "id", "-u"}},
		{0, "", []string{"--pids-limit", "2", "-m", "6m", "--cap-drop", "ALL", "busybox", "true"}},
		{1, "", []string{"--privileged", "busybox", "sh", "-c", "echo >>/sbin/docker-init"}},
	} {
		if r := h.try(append([]string{"run", "--rm", "--init"}, c.args...)...); r.code != c.code || !strings.HasPrefix(r.out, c.out) {
			t.Errorf("want exit %d, %q: %s", c.code, c.out, r)
		}
	}
}

// TestInitForwards asserts that a signal without a handler ends the command, and
// that orphans are reaped.
func TestInitForwards(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--init", "--name", "sleeper", "busybox", "sh", "-c", "(sleep 0.1 &); exec sleep 1000")
	if got := h.inspect("sleeper", "{{.HostConfig.Init}}"); got != "true" {
		t.Errorf("HostConfig.Init: %s", got)
	}
	h.eventually("the orphan is reaped", func() bool {
		out := h.ok("exec", "sleeper", "ps")
		return strings.Contains(out, "root     sleep 1000") && !strings.Contains(out, "sleep 0.1\n") && !strings.Contains(out, "[sleep]")
	})
	h.ok("kill", "-s", "TERM", "sleeper")
	if got := h.ok("wait", "sleeper"); got != "143" {
		t.Errorf("exit code %s", got)
	}
}

// Orphans are reaped, also by the thousand and at the limit of pids, where the init
// itself gets no more thread. A shell that cannot fork ends, so it is not the command.
func TestInitReaps(t *testing.T) {
	h := newHost(t)
	for _, limit := range []string{"-1", "12"} {
		h.ok("run", "-d", "--name", "c1", "--init", "--pids-limit", limit, "busybox", "sh", "-c",
			"(i=0; while [ $i -lt 2000 ]; do (sleep 0.05 &); i=$((i+1)); done) 2>/dev/null & wait; echo done; exec sleep 1000")
		h.eventually("the orphans are done", func() bool { return strings.HasSuffix(h.ok("logs", "c1"), "done") })
		h.eventually("no zombie is left", func() bool {
			return h.try("exec", "c1", "sh", "-c", "exec grep -c ') Z ' /proc/[0-9]*/stat").code == 1
		})
		equal(t, "stop", h.ok("stop", "c1"), "c1")
		equal(t, "exit code", h.inspect("c1", "{{.State.ExitCode}} {{.Path}} {{.HostConfig.Init}}"), "143 sh true")
		h.ok("start", "c1") // a second life has its init again
		h.ok("rm", "-f", "c1")
	}
}

// On a terminal the command has the foreground: Ctrl-C and job control are its own.
func TestInitTerminal(t *testing.T) {
	h := newHost(t)
	p := h.onTerminal("run", "-it", "--init", "--name", "c1", "busybox")
	p.shows(prompt)
	p.types("echo up; cat\r")
	p.shows("\r\nup\r\n")
	p.types("text\r")
	p.shows("text\r\ntext\r\n") // cat's answer: a Ctrl-C before it runs may be nobody's
	p.types("\x03")
	p.shows(prompt)
	p.types("echo status $?\r")
	p.shows("\r\nstatus 130\r\n" + prompt)
	p.resize(31, 101)
	p.types("stty size\r")
	p.shows("31 101\r\n" + prompt)
	p.types("exit 5\r")
	equal(t, "exit code", exitCode(p.wait()), "5")
	p = h.onTerminal("run", "-it", "--init", "--rm", "busybox", "sh", "-c", "echo up; exec cat")
	p.shows("up\r\n")
	p.types("text\r")
	p.shows("text\r\ntext\r\n")
	p.types("\x03")
	equal(t, "exit code", exitCode(p.wait()), "130")
}
