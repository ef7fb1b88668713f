package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// onContainer are the commands that take a container, here C, and what Docker says
// of one that has ended; "" is success.
var onContainer = []struct{ line, ended string }{
	{"attach C", "You cannot attach to a stopped container, start it first"},
	{"commit C", ""},
	{"cp C:/etc/passwd -", ""},
	{"cp - C:/tmp", ""},
	{"diff C", ""},
	{"exec C true", "is not running"},
	{"export C", ""},
	{"inspect C", ""},
	{"container inspect C", ""},
	{"kill C", "cannot kill container: C: container ID is not running"},
	{"logs C", ""},
	{"logs -f C", ""},
	{"pause C", "container ID is not running"},
	{"port C", ""},
	{"rename C new", ""},
	{"restart C", ""},
	{"rm C", ""},
	{"rm -f C", ""},
	{"start C", ""},
	{"start -a C", ""},
	{"stats --no-stream C", ""},
	{"stop C", ""},
	{"top C", "container ID is not running"},
	{"unpause C", "Container ID is not paused"},
	{"update --restart no C", ""},
	{"wait C", ""},
}

// arguments is a line of onContainer for the container called ref.
func arguments(line, ref string) []string {
	words := strings.Fields(line)
	for i, word := range words {
		if word == "C" || strings.HasPrefix(word, "C:") {
			words[i] = ref + word[1:]
		}
	}
	return words
}

// unknown checks that no command finds ref.
func (h *host) unknown(ref string) {
	h.t.Helper()
	for _, c := range onContainer {
		code, words := 1, "No such container: "+ref
		switch c.line {
		case "rm -f C":
			code = 0
		case "inspect C":
			words = "No such object: " + ref
		}
		h.fails(code, []string{words}, arguments(c.line, ref)...)
	}
}

func TestNamesListed(t *testing.T) {
	h := newHost(t)
	for _, line := range regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(h.ok("container", "--help"), -1) {
		usage, _, _ := strings.Cut(h.ok("container", line[1], "--help"), "\n")
		tested := func(c struct{ line, ended string }) bool { return strings.HasPrefix(c.line, line[1]+" ") }
		if strings.Contains(usage, "CONTAINER") && !slices.ContainsFunc(onContainer, tested) {
			t.Errorf("onContainer lacks %s: %s", line[1], usage)
		}
	}
}

func TestNamesUnknown(t *testing.T) {
	h := newHost(t)
	id := h.ok("create", "--name", "other", "busybox")
	h.unknown("nobody")
	h.unknown("othe")   // the beginning of a name
	h.unknown(id + "0") // longer than an ID
	h.unknown(strings.ToUpper("z" + id[1:]))
	equal(t, "the other one", h.inspect("other", "{{.Id}} {{.State.Status}}"), id+" created")
}

// A name goes before the beginning of an ID: the commands meet the container of
// that name, which has ended, and not the running one whose ID begins so.
func TestNamesEnded(t *testing.T) {
	h := newHost(t)
	owner := h.ok("run", "-d", "--name", "owner", "busybox", "sleep", "1000")
	for _, c := range onContainer {
		for _, by := range []string{"name", "ID"} {
			h.ok("run", "--name", owner[:6], "busybox", "true")
			id := h.inspect(owner[:6], "{{.Id}}")
			ref := map[string]string{"name": owner[:6], "ID": id}[by]
			if c.ended == "" {
				h.ok(arguments(c.line, ref)...)
			} else {
				words := strings.NewReplacer(": C:", ": "+ref+":", " ID ", " "+id+" ").Replace(c.ended)
				h.fails(1, []string{words}, arguments(c.line, ref)...)
			}
			h.try("rm", "-f", id)
			equal(t, c.line+": the other one", h.inspect(owner, "{{.Name}} {{.State.Status}} {{.RestartCount}}"), "/owner running 0")
		}
	}
}

// The beginning of two IDs is neither's.
func TestNamesAmbiguous(t *testing.T) {
	h := newHost(t)
	first := map[string]bool{}
	prefix := ""
	for prefix == "" { // seventeen at most
		id := h.ok("create", "busybox")
		if first[id[:1]] {
			prefix = id[:1]
		}
		first[id[:1]] = true
	}
	before := h.ok("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
	for _, c := range onContainer {
		h.fails(1, []string{"multiple IDs found with provided prefix: " + prefix}, arguments(c.line, prefix)...)
	}
	equal(t, "containers", h.ok("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"), before)
}

// A removal that was killed after its first step has removed the container: no
// command finds it, its name is free, and what is left of it goes.
func TestNamesHalfRemoved(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "half", "busybox", "true")
	id := h.inspect("half", "{{.Id}}")
	left := h.root + "/containers/removing-" + id
	if err := os.Rename(h.root+"/containers/"+id, left); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"half", id, id[:12], "removing-" + id} {
		h.unknown(ref)
	}
	equal(t, "ps", h.ok("ps", "-aq"), "")
	if again := h.ok("create", "--name", "half", "busybox"); h.inspect("half", "{{.Id}}") != again {
		t.Error("the name is not the new one's")
	}
	if onHost(left) {
		t.Error(left, "is still there")
	}
}
