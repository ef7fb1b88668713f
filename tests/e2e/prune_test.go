package e2e

import (
	"strings"
	"testing"
)

// small imports an image of one file of n random bytes; equal n give the same layer.
func (h *host) small(name string, n int, changes ...string) string {
	h.t.Helper()
	path := h.dir("archives") + "/layer.tar"
	h.write(path, string(archive(h.t, file("f", noise(n)))))
	args := []string{"import"}
	for _, change := range changes {
		args = append(args, "-c", change)
	}
	return h.ok(append(args, path, name)...)
}

func TestContainerPrune(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "runs", "busybox", "sleep", "1000000")
	h.ok("run", "-d", "--name", "sleeps", "busybox", "sleep", "1000000")
	h.ok("pause", "sleeps")
	h.ok("run", "-d", "--name", "returns", "--restart", "always", "busybox", "sh", "-c", "exit 1")
	h.ok("run", "--name", "labelled", "-l", "keep=1", "busybox", "true")
	id := h.ok("create", "--name", "made", "busybox")
	h.ok("run", "--name", "big", "busybox", "sh", "-c", "head -c 100000 /dev/zero >/x")
	big := h.inspect("big", "{{.Id}}")

	ask := "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] "
	for _, answer := range []string{"", "n\n", "yes\n", "\n"} {
		if r := h.tryWith(answer, "container", "prune"); r.code != 0 || r.out != ask || r.err != "" {
			t.Errorf("answer %q: %s", answer, r)
		}
	}
	equal(t, "nothing is that old", h.ok("container", "prune", "-f", "--filter", "until=1h"), "Total reclaimed space: 0B")
	h.fails(1, []string{"invalid filter 'name'"}, "container", "prune", "-f", "--filter", "name=made")
	h.fails(1, []string{"more than one until"}, "container", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h")
	h.fails(1, []string{`failed to parse value as time or duration: "x"`}, "container", "prune", "-f", "--filter", "until=x")

	r := h.tryWith("Y\n", "container", "prune", "--filter", "label!=keep")
	equal(t, "prune", r.out, ask+"Deleted Containers:\n"+big+"\n"+id+"\n\nTotal reclaimed space: 100kB\n")
	equal(t, "with the label", h.ok("container", "prune", "-f", "--filter", "label=keep=2"), "Total reclaimed space: 0B")
	if out := h.ok("container", "prune", "-f"); strings.Count(out, "\n") != 3 {
		t.Errorf("labelled is not pruned alone:\n%s", out)
	}
	left := strings.Fields(h.ok("ps", "-a", "--format", "{{.Names}}"))
	equal(t, "left", strings.Join(left, " "), "returns sleeps runs")
	equal(t, "paused", h.inspect("sleeps", "{{.State.Status}}"), "paused")

	events := h.ok("events", "--since", "10m", "--until", "0s", "-f", "event=prune", "--format", `{{.Type}} {{.Actor.ID}} {{index .Actor.Attributes "reclaimed"}}`)
	equal(t, "events", strings.ReplaceAll(events, "\n", ","), "container  0,container  100000,container  0,container  0")
}

// A container that is in a client's hands, created and about to start, is not pruned.
func TestPruneBesideStart(t *testing.T) {
	h := newHost(t)
	done := make(chan bool)
	go func() {
		defer close(done)
		for range 15 {
			h.try("container", "prune", "-f", "--filter", "label=x")
		}
	}()
	for range 10 {
		r := h.try("run", "--rm", "-l", "x", "busybox", "echo", "yes")
		if r.out != "yes\n" && !strings.Contains(r.err, "No such container") { // pruned between create and start, as in Docker
			t.Errorf("%s", r)
		}
	}
	<-done
}

func TestSystemPrune(t *testing.T) {
	h := newHost(t)
	h.small("again", 50000)
	h.small("again", 50000, "ENV A=1") // the first has no name now
	dangling := h.ok("images", "-q", "--no-trunc", "-f", "dangling=true")
	h.small("other", 70000, "LABEL keep=1")
	h.ok("tag", "other", "second:v2")
	h.ok("run", "-d", "--name", "web", "busybox", "sleep", "1000000")
	h.ok("tag", "busybox", "shell")
	h.ok("create", "--name", "made", "other", "/f")
	made := h.inspect("made", "{{.Id}}")

	r := h.tryWith("n\n", "system", "prune", "-a", "--filter", "until=1h", "--filter", "label=b", "--filter", "label!=a")
	equal(t, "question", r.out, "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n"+
		"  - all images without at least one container associated to them\n\n"+
		"  Items to be pruned will be filtered with:\n  - label!=a\n  - label=b\n  - until=1h\n\nAre you sure you want to continue? [y/N] ")
	r = h.tryWith("", "system", "prune")
	equal(t, "question", r.out, "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all dangling images\n\nAre you sure you want to continue? [y/N] ")
	h.fails(1, []string{`The "until" filter is not supported with "--volumes"`}, "system", "prune", "--volumes", "-f", "--filter", "until=1h")

	// The layer of the dangling image is another's, too: nothing is freed.
	equal(t, "dangling", h.ok("system", "prune", "-f"),
		"Deleted Containers:\n"+made+"\n\nDeleted Images:\ndeleted: "+dangling+"\n\nTotal reclaimed space: 0B")
	equal(t, "filtered", h.ok("system", "prune", "-af", "--filter", "label=keep=2"), "Total reclaimed space: 0B")
	out := h.ok("system", "prune", "-af")
	for _, want := range []string{"untagged: again:latest\n", "untagged: other:latest\n", "untagged: second:v2\n", "Total reclaimed space: 120kB"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	equal(t, "images", h.ok("images", "--format", "{{.Repository}}"), "busybox\nshell") // in use, with all its names
	equal(t, "it runs", h.ok("exec", "web", "echo", "yes"), "yes")
	events := h.ok("events", "--since", "10m", "--until", "0s", "-f", "event=prune", "-f", "type=image", "--format", `{{index .Actor.Attributes "reclaimed"}}`)
	equal(t, "events", events, "0\n0\n120000")
}

func TestTag(t *testing.T) {
	h := newHost(t)
	id := h.ok("images", "-q", "--no-trunc", "busybox")
	equal(t, "says nothing", h.ok("tag", "busybox", "foo/bar:v2"), "")
	h.ok("image", "tag", id[7:19], "again")
	equal(t, "names", h.ok("inspect", "-f", "{{.RepoTags}}", id), "[again:latest busybox:latest foo/bar:v2]")
	h.fails(1, []string{"No such image: nosuch:latest"}, "tag", "nosuch", "x")
	h.fails(1, []string{"invalid reference format"}, "tag", "busybox", "UPPER")
	h.fails(1, []string{"invalid reference format"}, "tag", "UPPER", "x")
	h.fails(1, []string{"refusing to create a tag with a digest reference"}, "tag", "busybox", "x@"+id)
	h.fails(1, []string{"using digest algorithm as name"}, "tag", "busybox", id[:19])
	h.fails(1, []string{"requires 2 arguments"}, "tag", "busybox")
	equal(t, "events", h.ok("events", "--since", "10m", "--until", "0s", "-f", "event=tag", "--format", `{{.ID}} {{index .Actor.Attributes "name"}}`),
		id+" busybox:latest\n"+id+" foo/bar:v2\n"+id+" again:latest")
}
