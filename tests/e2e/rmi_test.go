package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRmi(t *testing.T) {
	h := newHost(t)
	load := func(tags ...string) string {
		if r := h.tryWith(string(dockerArchive(t, tags, layered(t)...)), "load"); r.code != 0 {
			t.Fatal(r)
		}
		return h.ok("images", "-q", "--no-trunc", tags[0])
	}
	id := load("r:1", "r:2")
	short := id[7:19]
	zeros := strings.Repeat("0", 64)
	container := h.ok("create", "--network", "none", "r:1", "true")
	equal(t, "one of two names", h.ok("rmi", "r:2"), "Untagged: r:2")
	h.fails(1, []string{`conflict: unable to remove repository reference "r:1" (must force) - container ` + container[:12] + " is using its referenced image " + short}, "rmi", "r:1")
	h.fails(1, []string{"conflict: unable to delete " + short + " (must be forced) - image is being used by stopped container " + container[:12]}, "rmi", short)
	h.ok("rm", container)
	h.ok("tag", "r:1", "r:2")
	h.fails(1, []string{"conflict: unable to delete " + short + " (must be forced) - image is referenced in multiple repositories"}, "rmi", short)
	r := h.fails(1, []string{"No such image: nosuch:latest", "No such image: r@sha256:" + zeros}, "rmi", "nosuch", "r:2", "r@sha256:"+zeros)
	equal(t, "several", r.out, "Untagged: r:2\n")
	h.ok("rmi", "-f", "nosuch")
	out := strings.Split(h.ok("rmi", "r:1"), "\n")
	if len(out) != 4 || out[0] != "Untagged: r:1" || out[1] != "Deleted: "+id { // the lowest layer is busybox's
		t.Errorf("last name: %q", out)
	}
	id = load("r:1", "r:2")
	out = strings.Split(h.ok("rmi", "-f", id), "\n")
	if len(out) != 5 || strings.Join(out[:3], " ") != "Untagged: r:1 Untagged: r:2 Deleted: "+id {
		t.Errorf("by ID, forced: %q", out)
	}
	running := h.ok("run", "-d", "--network", "none", "busybox", "sleep", "1000")
	h.fails(1, []string{"(cannot be forced) - image is being used by running container " + running[:12]}, "rmi", "-f", h.ok("images", "-q", "busybox"))
}

func TestImagePrune(t *testing.T) {
	h := newHost(t)
	load := func(tag string) string {
		if r := h.tryWith(string(dockerArchive(t, []string{tag}, layered(t)...)), "load"); r.code != 0 {
			t.Fatal(r)
		}
		return h.ok("images", "-q", "--no-trunc", tag)
	}
	equal(t, "question", h.try("image", "prune").out, "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] ")
	equal(t, "question", h.try("image", "prune", "-a").out,
		"WARNING! This will remove all images without at least one container associated to them.\nAre you sure you want to continue? [y/N] ")
	equal(t, "nothing", h.ok("image", "prune", "-f"), "Total reclaimed space: 0B")
	id := load("p:1")
	h.ok("tag", "busybox", "p:1")
	equal(t, "filter", h.ok("image", "prune", "-f", "--filter", "label=nosuch"), "Total reclaimed space: 0B")
	if out := h.ok("image", "prune", "-f"); !strings.HasPrefix(out, "Deleted Images:\ndeleted: "+id+"\ndeleted: sha256:") || strings.Contains(out, "space: 0B") {
		t.Errorf("prune: %s", out)
	}
	load("p:2")
	h.ok("create", "--network", "none", "busybox", "true")
	if out := h.ok("image", "prune", "-af"); !strings.HasPrefix(out, "Deleted Images:\nuntagged: p:2\ndeleted: ") {
		t.Errorf("prune -a: %s", out)
	}
	equal(t, "in use", h.ok("images", "--format", "{{.Repository}}"), "busybox\np")
	h.fails(1, []string{"invalid filter 'foo'"}, "image", "prune", "-f", "--filter", "foo=bar")
	equal(t, "dangling", h.ok("image", "prune", "-f", "--filter", "dangling=true"), "Total reclaimed space: 0B")
	h.fails(1, []string{"invalid filter 'dangling=[false]'"}, "image", "prune", "-f", "--filter", "dangling=false")
}

// TestCheckBlobs: a corrupt blob is found, repaired by loading again, and hurts no container.
func TestCheckBlobs(t *testing.T) {
	h := newHost(t)
	archive := string(dockerArchive(t, []string{"c:1"}, layered(t)...))
	if r := h.tryWith(archive, "load"); r.code != 0 {
		t.Fatal(r)
	}
	layers := strings.Fields(h.ok("inspect", "-f", `{{range .RootFS.Layers}}{{.}} {{end}}`, "c:1"))
	blob := h.root + "/image/blobs/sha256/" + strings.TrimPrefix(layers[2], "sha256:")
	if err := os.WriteFile(blob, []byte("damage"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.fails(1, []string{"damaged"}, "save", "-o", h.dir("x")+"/x.tar", "c:1")
	if r := h.try("system", "check"); r.code == 0 || !strings.Contains(r.out+r.err, blob) {
		t.Errorf("not found: %s", r)
	}
	h.try("system", "check", "--repair")
	if _, err := os.Stat(blob); err == nil {
		t.Error("the damaged blob stays")
	}
	equal(t, "content", h.ok("run", "--rm", "--network", "none", "c:1", "sh", "-c", layeredScript), layeredLooks)
	if r := h.tryWith(archive, "load"); r.code != 0 {
		t.Fatal(r)
	}
	// An interrupted pull that nobody holds.
	pulls := h.root + "/image/pulls"
	h.write(filepath.Join(h.dir("x"), "y"), "")
	os.MkdirAll(pulls, 0o700)
	os.WriteFile(pulls+"/sha256:x", []byte("{}"), 0o600)
	if r := h.try("system", "check"); !strings.Contains(r.out+r.err, "interrupted") {
		t.Errorf("not found: %s", r)
	}
	h.ok("image", "prune", "-f")
	if left, _ := os.ReadDir(pulls); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
