package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// needs skips a test by the name of the tool that is not installed.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("no ", tool)
		}
	}
}

// sh runs a script that must succeed, and returns its output.
func (h *host) sh(script string, args ...string) string {
	h.t.Helper()
	out, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s %v: %v: %s", script, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestSave(t *testing.T) {
	h := newHost(t)
	dir := h.dir("save")
	h.tryWith(string(dockerArchive(t, []string{"save/layers:1", "save/layers:2"}, layered(t)...)), "load")
	id := h.ok("images", "-q", "--no-trunc", "busybox")
	h.ok("tag", "busybox", "save/layers:1")
	equal(t, "a name that another image has", h.tryWith(string(dockerArchive(t, []string{"save/layers:1", "save/layers:2"}, layered(t)...)), "load").out,
		"The image save/layers:1 already exists, renaming the old one with ID "+id+" to empty string\nLoaded image: save/layers:1\nLoaded image: save/layers:2\n")
	h.ok("save", "-o", dir+"/a.tar", "busybox", "save/layers")
	h.sh(`"$@" > `+dir+`/b.tar; cmp `+dir+`/a.tar `+dir+`/b.tar`, append(h.command("save", "busybox", "save/layers").Args[:1],
		"--root", h.root, "--run-root", h.runRoot, "--instance", h.instance, "save", "busybox", "save/layers")...)
	h.ok("rmi", "busybox", "save/layers:1", "save/layers:2")
	equal(t, "load", h.ok("load", "-i", dir+"/a.tar"), "Loaded image: busybox:latest\nLoaded image: save/layers:1\nLoaded image: save/layers:2")
	equal(t, "ID", h.ok("images", "-q", "--no-trunc", "busybox"), id)
	equal(t, "content", h.ok("run", "--rm", "--network", "none", "save/layers:2", "sh", "-c", layeredScript), layeredLooks)
	h.ok("save", "-o", dir+"/id.tar", id)
	h.ok("rmi", "busybox")
	equal(t, "load by ID", h.ok("load", "-q", "-i", dir+"/id.tar"), "Loaded image ID: "+id)

	h.fails(1, []string{"No such image: nosuch:latest"}, "save", "nosuch")
	h.fails(1, []string{"failed to save image: invalid output path"}, "save", "-o", "/nodir/x", "save/layers")
	h.fails(1, []string{"failed to save image: cannot write to a directory"}, "save", "-o", dir, "save/layers")
	h.fails(1, []string{"wanted linux/s390x"}, "save", "--platform", "linux/s390x", "-o", dir+"/no.tar", "save/layers")
	h.fails(1, []string{"No such image"}, "save", "-o", dir+"/no.tar", "save/layers", "nosuch")
	h.fails(1, []string{"s390x"}, "load", "--platform", "linux/s390x", "-i", dir+"/a.tar")
	if left, _ := filepath.Glob(dir + "/*no.tar*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if left, _ := filepath.Glob(dir + "/.tmp*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := h.command("save", "save/layers:1")
	cmd.Stdout = full
	if err := cmd.Run(); err == nil {
		t.Error("saved to a full disk")
	}
}

// TestSaveForOthers: docker, podman and skopeo take what is saved, and theirs is loaded.
func TestSaveForOthers(t *testing.T) {
	for tool, script := range map[string]string{
		"docker": `docker load -q -i a.tar; docker save NAME:1 NAME:2 > back.tar; docker rmi -f NAME:1 NAME:2 >/dev/null`,
		"podman": `podman --root p --runroot pr --storage-driver vfs load -q -i a.tar
			podman --root p --runroot pr --storage-driver vfs save -q -m localhost/NAME:1 localhost/NAME:2 -o back.tar
			podman --root p --runroot pr --storage-driver vfs rmi -fa >/dev/null; podman unshare true 2>/dev/null || true`,
		"skopeo":             `skopeo copy -q docker-archive:a.tar:NAME:1 docker-archive:back.tar:NAME:1`,
		"skopeo oci-archive": `skopeo copy -q oci-archive:a.tar:docker.io/library/NAME:2 oci-archive:back.tar:NAME:2`,
	} {
		t.Run(tool, func(t *testing.T) {
			needs(t, strings.Fields(tool)[0])
			if tool == "docker" && exec.Command("docker", "info").Run() != nil {
				t.Skip("no dockerd")
			}
			h := newHost(t)
			dir := h.dir("others")
			name := fmt.Sprintf("save-for-%d", os.Getpid())
			if r := h.tryWith(string(dockerArchive(t, []string{name + ":1", name + ":2"}, layered(t)...)), "load"); r.code != 0 {
				t.Fatal(r)
			}
			id := h.ok("images", "-q", "--no-trunc", name+":1")
			h.ok("save", "-o", dir+"/a.tar", name)
			h.ok("rmi", "-f", id)
			h.sh("cd " + dir + "; " + strings.ReplaceAll(script, "NAME", name))
			loaded := h.ok("load", "-i", dir+"/back.tar")
			ref := loaded[strings.LastIndex(loaded, " ")+1:]
			if !strings.Contains(ref, name) {
				t.Errorf("loaded %q", loaded)
			}
			equal(t, "ID", h.ok("images", "-q", "--no-trunc", ref), id)
			equal(t, "content", h.ok("run", "--rm", "--network", "none", ref, "sh", "-c", layeredScript), layeredLooks)
		})
	}
}

// TestLayoutShared has other tools read and write ROOT/image while the engine uses it.
func TestLayoutShared(t *testing.T) {
	needs(t, "skopeo", "umoci")
	h := newHost(t)
	dir := h.dir("shared")
	layout := h.root + "/image"
	if r := h.tryWith(string(dockerArchive(t, []string{"shared:1"}, layered(t)...)), "load"); r.code != 0 {
		t.Fatal(r)
	}
	h.sh(`skopeo copy -q oci:$1:shared:1 docker-archive:$2/a.tar:shared:1; umoci unpack --image $1:busybox:latest $2/bundle >/dev/null 2>&1; test -x $2/bundle/rootfs/bin/busybox`, layout, dir)
	h.ok("rmi", "shared:1")
	id := h.ok("images", "-q", "busybox")
	for _, name := range []string{"foreign:1", "bare", ""} {
		h.sh(`skopeo copy -q docker-archive:$2/a.tar oci:$1:$3`, layout, dir, name)
	}
	equal(t, "names", h.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=*:*"), "busybox:latest\nbare:latest\nforeign:1")
	h.ok("tag", "busybox", "other") // a change ends with a sweep
	h.ok("rmi", "other")
	equal(t, "content", h.ok("run", "--rm", "--network", "none", "foreign:1", "sh", "-c", layeredScript), layeredLooks)
	h.ok("tag", "bare", "kept:1")
	h.ok("rmi", "foreign:1", "bare")
	equal(t, "content", h.ok("run", "--rm", "--network", "none", "kept:1", "sh", "-c", layeredScript), layeredLooks)
	h.sh(`skopeo copy -q oci:$1:kept:1 oci-archive:$2/b.tar:x`, layout, dir)
	if out := h.ok("rmi", "kept:1"); strings.Count(out, "Deleted: ") != 3 {
		t.Errorf("rmi: %s", out)
	}
	equal(t, "busybox", h.ok("images", "-aq"), id)
}

// TestManyProcesses changes one index from many processes at once.
func TestManyProcesses(t *testing.T) {
	h := newHost(t)
	archive := string(dockerArchive(t, []string{"many:1"}, layered(t)...))
	var group sync.WaitGroup
	for n := range 6 {
		group.Go(func() {
			name := fmt.Sprintf("mine:%d", n)
			for range 3 {
				for _, args := range [][]string{{"load"}, {"tag", "busybox", name}, {"image", "prune", "-f"}, {"save", name}, {"rmi", name}, {"images"}} {
					if r := h.tryWith(archive, args...); r.code != 0 {
						t.Error(r)
					}
				}
			}
		})
	}
	group.Wait()
	equal(t, "images", h.ok("images", "--format", "{{.Repository}}", "--filter", "dangling=false"), "busybox\nmany")
	equal(t, "content", h.ok("run", "--rm", "--network", "none", "many:1", "sh", "-c", layeredScript), layeredLooks)
}
