package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seen gives what events prints of the past, in short: no time, ID for IDs.
func seen(h *host, args ...string) []string {
	h.t.Helper()
	out := h.ok(append([]string{"events", "--since", "1h", "--until", "0s"}, args...)...)
	out = regexp.MustCompile(`(?m)^\S+ `).ReplaceAllString(out, "")
	out = regexp.MustCompile(`(sha256:)?[0-9a-f]{64}`).ReplaceAllString(out, "ID")
	out = regexp.MustCompile(`, execDuration=\d+|execDuration=\d+, `).ReplaceAllString(out, "")
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

func TestEvents(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "-l", "a=1", "busybox", "true")
	h.ok("run", "-d", "--rm", "--name", "c2", "busybox", "sleep", "1000")
	h.ok("exec", "c2", "echo", "x")
	h.fails(3, nil, "exec", "c2", "sh", "-c", "exit 3")
	h.ok("kill", "-s", "HUP", "c2")
	h.ok("stop", "-t", "0", "c2")
	h.ok("rm", "c1")
	h.eventually("c2 is gone", func() bool { return h.ok("ps", "-aq") == "" })
	h.ok("rmi", "busybox")
	if diff := cmp.Diff([]string{
		"container create ID (a=1, image=busybox, name=c1)",
		"container attach ID (a=1, image=busybox, name=c1)",
		"container start ID (a=1, image=busybox, name=c1)",
		"container die ID (a=1, exitCode=0, image=busybox, name=c1)",
		"container destroy ID (a=1, image=busybox, name=c1)",
	}, seen(h, "--filter", "container=c1")); diff != "" {
		t.Errorf("c1: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"container create ID (image=busybox, name=c2)",
		"container start ID (image=busybox, name=c2)",
		"container exec_create: echo x ID (execID=ID, image=busybox, name=c2)",
		"container exec_start: echo x ID (execID=ID, image=busybox, name=c2)",
		"container exec_die ID (execID=ID, exitCode=0, image=busybox, name=c2)",
		"container exec_create: sh -c exit 3 ID (execID=ID, image=busybox, name=c2)",
		"container exec_start: sh -c exit 3 ID (execID=ID, image=busybox, name=c2)",
		"container exec_die ID (execID=ID, exitCode=3, image=busybox, name=c2)",
		"container kill ID (image=busybox, name=c2, signal=1)",
		"container kill ID (image=busybox, name=c2, signal=15)",
		"container kill ID (image=busybox, name=c2, signal=9)",
		"container die ID (exitCode=137, image=busybox, name=c2)",
		"container stop ID (image=busybox, name=c2)",
		"container destroy ID (image=busybox, name=c2)",
	}, seen(h, "--filter", "container=c2")); diff != "" {
		t.Errorf("c2: -want +got:\n%s", diff)
	}
	all := strings.Join(seen(h, "--filter", "type=image"), "\n")
	for _, line := range []string{"image import ID", "image untag ID", "image delete ID"} {
		if !strings.Contains(all, line) {
			t.Errorf("no %q in %q", line, all)
		}
	}
	for _, c := range []struct {
		filters []string
		want    []string
	}{
		{[]string{"label=a"}, []string{"create", "attach", "start", "die", "destroy"}},
		{[]string{"label=a=1", "event=die", "event=start"}, []string{"start", "die"}},
		{[]string{"label=a=2"}, nil},
		{[]string{"container=c1", "container=c2", "event=create"}, []string{"create", "create"}},
		{[]string{"image=busybox", "type=container", "event=destroy"}, []string{"destroy", "destroy"}},
		{[]string{"event=exec_create"}, []string{"exec_create: echo x", "exec_create: sh -c exit 3"}},
		{[]string{"type=network"}, nil},
		{[]string{"container=nope"}, nil},
	} {
		args := []string{"--format", "T {{.Action}}"} // T is in the place of the time
		for _, f := range c.filters {
			args = append(args, "--filter", f)
		}
		if diff := cmp.Diff(c.want, seen(h, args...)); diff != "" {
			t.Errorf("%v: -want +got:\n%s", c.filters, diff)
		}
	}
	h.fails(1, []string{"nvalid filter 'foo'"}, "events", "--until", "0s", "--filter", "foo=bar")
	h.fails(1, []string{`failed to parse value as time or duration: "foo"`}, "events", "--since", "foo")
	h.fails(64, []string{"Error parsing format: template: :1:2:", "can't evaluate field Foo"}, "events", "--format", "{{.Foo}}")
}

func TestEventsFormat(t *testing.T) {
	h := newHost(t)
	id := h.ok("create", "--name", "c1", "-l", "k=v", "busybox", "true")
	line := h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=create")
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) container create ` + id + ` \(image=busybox, k=v, name=c1\)$`).MatchString(line) {
		t.Errorf("the line is %q", line)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=create", "--format", "json")), &m); err != nil {
		t.Fatal(err)
	}
	nano, _ := m["timeNano"].(float64)
	seconds, _ := m["time"].(float64)
	if seconds != float64(int64(nano/1e9)) {
		t.Errorf("time %v, timeNano %v", seconds, nano)
	}
	for path, want := range map[string]any{"Type": "container", "Action": "create", "scope": "local", "Actor.ID": id, "Actor.Attributes.image": "busybox", "Actor.Attributes.name": "c1", "Actor.Attributes.k": "v"} {
		if got := value(m, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	// The bounds, by the time of the event itself.
	at := func(nanos float64) string { return fmt.Sprintf("%d.%09d", int64(nanos)/1e9, int64(nanos)%1e9) }
	equal(t, "before", h.ok("events", "--since", "1h", "--until", at(nano-1e6)+"", "--filter", "event=create"), "")
	equal(t, "after", h.ok("events", "--since", at(nano+1e6), "--until", "0s", "--filter", "event=create"), "")
	equal(t, "around", h.ok("events", "--since", at(nano-1e6), "--until", at(nano+1e6), "--filter", "event=create"), line)
}

// Followed live by several readers, from whenever they come, across all verbs.
func TestEventsFollow(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "early", "busybox", "true")
	past := h.begin("events", "--since", "1h", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
	past.says("create early")
	live := h.begin("events", "--filter", "type=container", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
	// A reader of what is to come says nothing of when it has begun.
	h.eventually("the reader reads", func() bool {
		h.ok("run", "--rm", "--name", "probe", "busybox", "true")
		return strings.Contains(live.out.String(), "destroy probe")
	})
	h.ok("run", "--name", "late", "busybox", "true")
	h.ok("rm", "late")
	for _, p := range []*process{past, live} {
		p.says("create late\nattach late\nstart late\ndie late\ndestroy late\n")
		if !p.running() {
			t.Error("has ended")
		}
	}
	if strings.Contains(live.out.String(), "early") {
		t.Error("the past, without --since")
	}
	// --until in the future ends it.
	until := h.begin("events", "--since", "1h", "--until", time.Now().Add(500*time.Millisecond).Format(time.RFC3339Nano), "--format", "{{.Action}}")
	equal(t, "exit code", exitCode(until.wait()), "0")
	// A reader that does not read stops nobody.
	h.begin("events", "--since", "1h")
	h.ok("run", "--rm", "busybox", "true")
}
