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
		{0, "", []string{"--pids-limit", "12", "busybox", "true"}},
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
		return strings.Contains(out, "sleep 1000") && !strings.Contains(out, "sleep 0.1\n") && !strings.Contains(out, "[sleep]")
	})
	h.ok("kill", "-s", "TERM", "sleeper")
	if got := h.ok("wait", "sleeper"); got != "143" {
		t.Errorf("exit code %s", got)
	}
}
