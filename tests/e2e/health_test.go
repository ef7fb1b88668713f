package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/container"
)

// probed starts a container that is looked at.
func (h *host) probed(name string, flags ...string) {
	h.t.Helper()
	h.ok(slices.Concat([]string{"run", "-d", "--name", name, "--health-interval", "100ms"}, flags, []string{"busybox", "sleep", "1000"})...)
}

func (h *host) health(ref string) *api.Health {
	h.t.Helper()
	var health *api.Health
	if err := json.Unmarshal([]byte(h.inspect(ref, "{{json .State.Health}}")), &health); err != nil {
		h.t.Fatal(err)
	}
	return health
}

// getsHealth waits until a container has the health.
func (h *host) getsHealth(ref string, status api.HealthStatus) {
	h.t.Helper()
	h.eventuallyOr(func() string {
		return ref + " is never " + string(status) + ": " + h.inspect(ref, "{{json .State.Health}}")
	},
		func() bool { return h.health(ref).Status == status })
}

// statusColumn is what ps says of a running container, beside its age.
func (h *host) statusColumn(name string) string {
	h.t.Helper()
	out := h.ok("ps", "-a", "--filter", "name=^"+name+"$", "--format", "{{.Status}}")
	return out[max(0, strings.Index(out, "(")):]
}

func TestHealth(t *testing.T) {
	h := newHost(t)
	const command = "test -e /ok && echo fine || { echo bad; exit 3; }"
	h.probed("c1", "--health-interval", "1s", "--health-cmd", command, "--health-retries", "2")
	if got := h.health("c1"); got.Status != "starting" || got.Log == nil || len(got.Log) != 0 {
		t.Errorf("at first: %+v", got)
	}
	equal(t, "ps", h.statusColumn("c1"), "(health: starting)")
	equal(t, "filter", h.ok("ps", "--filter", "health=starting", "--format", "{{.Names}}"), "c1")
	equal(t, "configuration", h.inspect("c1", "{{json .Config.Healthcheck}}"), `{"Test":["CMD-SHELL","`+command+`"],"Interval":1000000000,"Retries":2}`)
	h.eventually("a first failure", func() bool { return h.health("c1").FailingStreak == 1 })
	equal(t, "one failure is none yet", string(h.health("c1").Status), "starting")
	h.getsHealth("c1", "unhealthy")
	got := h.health("c1")
	if got.FailingStreak < 2 || len(got.Log) < 2 || got.Log[0].ExitCode != 3 || got.Log[0].Output != "bad\n" || got.Log[0].End.Before(got.Log[0].Start) {
		t.Errorf("unhealthy: %+v %+v", got, got.Log[0])
	}
	equal(t, "ps", h.statusColumn("c1"), "(unhealthy)")
	equal(t, "filter", h.ok("ps", "--filter", "health=unhealthy", "--format", "{{.Names}}"), "c1")
	h.ok("exec", "c1", "touch", "/ok")
	h.getsHealth("c1", "healthy")
	if got := h.health("c1"); got.FailingStreak != 0 || got.Log[len(got.Log)-1].Output != "fine\n" || got.Log[len(got.Log)-1].ExitCode != 0 {
		t.Errorf("healthy: %+v", got)
	}
	equal(t, "ps", h.statusColumn("c1"), "(healthy)")
	equal(t, "filter", h.ok("ps", "--filter", "health=healthy", "--format", "{{.Names}}"), "c1")
	equal(t, "filter", h.ok("ps", "-q", "--filter", "health=none"), "")
	h.fails(1, []string{"value for health"}, "ps", "--filter", "health=foo")
	changes := func() []string {
		var found []string
		for line := range strings.Lines(h.ok("events", "--since", "1h", "--until", "0s", "--filter", "container=c1", "--format", "{{.Action}}")) {
			if strings.HasPrefix(line, "health_status") {
				found = append(found, strings.TrimSpace(line))
			}
		}
		return found
	}
	if diff := cmp.Diff([]string{"health_status: unhealthy", "health_status: healthy"}, changes()); diff != "" {
		t.Errorf("events: -want +got:\n%s", diff)
	}
	equal(t, "events by filter", h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status", "--format", "{{.Action}}"), "health_status: unhealthy\nhealth_status: healthy")

	// After its end nobody is healthy; the next life begins anew.
	h.ok("restart", "-t", "0", "c1")
	equal(t, "after restart", string(h.health("c1").Status), "starting")
	h.ok("rm", "-f", "c1")
}

func TestHealthKeepsFive(t *testing.T) {
	h := newHost(t)
	h.probed("c1", "--health-cmd", "exit 1")
	h.eventually("many failures", func() bool { return h.health("c1").FailingStreak > 7 })
	if got := h.health("c1"); len(got.Log) != 5 || got.Status != "unhealthy" {
		t.Errorf("%+v", got)
	}
	// Output is cut, with a mark.
	h.probed("c2", "--health-cmd", `head -c 10000 /dev/zero | tr '\0' x`)
	h.getsHealth("c2", "healthy")
	equal(t, "long output", h.health("c2").Log[0].Output, strings.Repeat("x", 4096)+"...")
	// A stop is the end of it.
	h.ok("stop", "-t", "0", "c2")
	equal(t, "stopped", string(h.health("c2").Status), "unhealthy")
	if out := h.ok("ps", "-a", "--filter", "name=c2", "--format", "{{.Status}}"); strings.Contains(out, "health") {
		t.Errorf("ps: %q", out)
	}
}

func TestHealthTimeout(t *testing.T) {
	h := newHost(t)
	word := nonce()
	h.probed("c1", "--health-cmd", "sleep "+word+"; echo late", "--health-timeout", "300ms", "--health-retries", "1")
	h.findProcess(word)
	h.getsHealth("c1", "unhealthy")
	if first := h.health("c1").Log[0]; first.ExitCode != -1 || first.Output != "Health check exceeded timeout (300ms)" {
		t.Errorf("%+v", first)
	}
	// What exceeds its time is killed: they do not become more and more.
	h.eventually("several timeouts", func() bool { return h.health("c1").FailingStreak > 3 })
	h.ok("pause", "c1")
	if n := len(h.groups()[h.inspect("c1", "{{.Id}}")]); n > 6 {
		t.Errorf("%d processes are in the container", n)
	}
}

// In the start period failures do not count, but a success does.
func TestHealthStartPeriod(t *testing.T) {
	h := newHost(t)
	period := []string{"--health-retries", "1", "--health-start-period", "3s", "--health-start-interval", "100ms"}
	h.probed("c1", append([]string{"--health-cmd", "test -e /ok"}, period...)...)
	h.eventually("failures", func() bool { return len(h.health("c1").Log) == 5 })
	if got := h.health("c1"); got.Status == "unhealthy" && time.Since(got.Log[0].Start) < 2*time.Second || got.Status == "healthy" {
		t.Errorf("in the start period: %+v", got)
	}
	h.getsHealth("c1", "unhealthy")
	began, err := time.Parse(time.RFC3339Nano, h.inspect("c1", "{{.State.StartedAt}}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := h.health("c1"); time.Since(began) < 3*time.Second || got.FailingStreak == 0 {
		t.Errorf("unhealthy after %v: %+v", time.Since(began), got)
	}
	h.probed("c2", append([]string{"--health-cmd", "true", "--health-start-period", "1000s"}, period[:2]...)...)
	h.probed("c3", "--health-cmd", "true", "--health-retries", "1", "--health-start-period", "1000s", "--health-start-interval", "100ms")
	h.getsHealth("c3", "healthy")
}

// What is paused is not looked at.
func TestHealthPause(t *testing.T) {
	h := newHost(t)
	h.probed("c1", "--health-cmd", "echo x")
	h.getsHealth("c1", "healthy")
	h.ok("pause", "c1")
	got := h.health("c1")
	equal(t, "paused", string(got.Status), "unhealthy")
	equal(t, "ps", h.statusColumn("c1"), "(Paused)")
	time.Sleep(time.Second)
	if diff := cmp.Diff(got, h.health("c1")); diff != "" {
		t.Errorf("while paused: %s", diff)
	}
	h.ok("unpause", "c1")
	h.getsHealth("c1", "healthy")
}

func TestHealthNone(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "--no-healthcheck", "busybox", "sleep", "1000")
	equal(t, "health", h.inspect("c1", "{{json .State.Health}} {{json .Config.Healthcheck}}"), `null {"Test":["NONE"]}`)
	h.ok("run", "-d", "--name", "c2", "--health-interval", "1s", "busybox", "sleep", "1000")
	equal(t, "without a command", h.inspect("c2", "{{json .State.Health}} {{json .Config.Healthcheck}}"), `null {"Interval":1000000000}`)
	equal(t, "filter", h.ok("ps", "--filter", "health=none", "--format", "{{.Names}}"), "c2\nc1")
	for _, c := range []struct {
		word  string
		flags []string
	}{
		{"--no-healthcheck conflicts with --health-* options", []string{"--no-healthcheck", "--health-cmd", "true"}},
		{"Interval in Healthcheck cannot be less than 1ms", []string{"--health-cmd", "true", "--health-interval", "1us"}},
		{"--health-retries cannot be negative", []string{"--health-cmd", "true", "--health-retries", "-1"}},
		{"--health-timeout cannot be negative", []string{"--health-cmd", "true", "--health-timeout", "-1s"}},
	} {
		h.fails(125, []string{c.word}, append(append([]string{"run", "--rm"}, c.flags...), "busybox", "true")...)
	}

	// A program that is not there is a failure, not the end of the looking.
	h.probed("c3", "--health-cmd", "/nope", "--health-retries", "1")
	h.getsHealth("c3", "unhealthy")
	h.eventually("it looks on", func() bool { return h.health("c3").FailingStreak > 2 })
	// The image's check counts, and can be left out.
	h.ok("import", "-c", `HEALTHCHECK --interval=100ms CMD echo image`, "-c", `CMD ["sleep", "1000"]`, busybox, "checked")
	h.ok("run", "-d", "--name", "c4", "checked")
	h.getsHealth("c4", "healthy")
	equal(t, "output", h.health("c4").Log[0].Output, "image\n")
	h.ok("run", "-d", "--name", "c5", "--no-healthcheck", "checked")
	equal(t, "left out", h.inspect("c5", "{{json .State.Health}}"), "null")
	// A monitor's loss is no health.
	killMonitor(h, h.inspect("c4", "{{.Id}}"))
	h.becomes("c4", "exited")
	equal(t, "lost", string(h.health("c4").Status), "unhealthy")
}
