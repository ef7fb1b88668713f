package e2e

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layered are three layers: the second makes things, the third hides some.
func layered(t *testing.T) [][]byte {
	t.Helper()
	return [][]byte{
		busyboxLayer(t),
		archive(t, append(specials(),
			directory("gone"), file("gone/a", "a"), directory("opaque"), file("opaque/old", "old"), directory("opaque/sub"), file("opaque/sub/old", "old"),
			file("file", "second"), directory("becomes-file"), file("becomes-file/x", "x"), file("becomes-dir", "x"), file("kept", "kept"), file("etc/removed", "x"))...),
		archive(t,
			file(".wh.gone", ""), directory("opaque"), file("opaque/new", "new"), file("opaque/.wh..wh..opq", ""), file("file", "third"),
			file("becomes-file", "now a file"), directory("becomes-dir"), file("becomes-dir/y", "y"), file("etc/.wh.removed", ""), file("etc/.wh.never-there", ""),
			member{Header: tar.Header{Name: "link-to-lower", Typeflag: tar.TypeSymlink, Linkname: "kept"}}),
	}
}

const layeredLooks = `ls: /gone: No such file or directory
new
third
now a file
y
kept
no`

const layeredScript = `ls /gone 2>&1; ls -A /opaque; cat /file; echo; cat /becomes-file; echo; ls /becomes-dir; cat /link-to-lower; echo; test -e /etc/removed && echo yes || echo no; find / -xdev -name '.wh*'`

func TestLoad(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	layers := layered(t)
	dir := h.dir("archives")
	gz := func(l []byte) ([]byte, string) {
		return compressed(t, l)["gzip"], "application/vnd.oci.image.layer.v1.tar+gzip"
	}
	zst := func(l []byte) ([]byte, string) {
		return compressed(t, l)["zstd"], "application/vnd.oci.image.layer.v1.tar+zstd"
	}
	plain := func(l []byte) ([]byte, string) { return l, "application/vnd.oci.image.layer.v1.tar" }
	for _, c := range []struct {
		name  string
		data  []byte
		says  string
		image string
	}{
		{"docker", dockerArchive(t, []string{"load/docker:v1", "load/docker:v2"}, layers...), "Loaded image: load/docker:v1\nLoaded image: load/docker:v2", "load/docker:v2"},
		{"oci", ociArchive(t, "load/oci:gz", gz, layers...), "Loaded image: load/oci:gz", "load/oci:gz"},
		{"oci.zst", ociArchive(t, "load/oci:zst", zst, layers...), "Loaded image: load/oci:zst", "load/oci:zst"},
		{"oci.plain", ociArchive(t, "load/oci:plain", plain, layers...), "Loaded image: load/oci:plain", "load/oci:plain"},
		{"untagged", dockerArchive(t, nil, layers[0], layers[1]), "Loaded image ID: sha256:", ""},
		{"docker.gz", compressed(t, dockerArchive(t, []string{"load/docker:packed"}, layers...))["gzip"], "Loaded image: load/docker:packed", "load/docker:packed"},
	} {
		path := dir + "/" + c.name
		h.write(path, string(c.data))
		out := h.ok("load", "-i", path)
		if c.image == "" {
			if !strings.HasPrefix(out, c.says) {
				t.Errorf("%s says %q", c.name, out)
			}
			continue
		}
		equal(t, c.name, out, c.says)
		if diff := cmp.Diff(layeredLooks, h.ok("run", "--rm", c.image, "sh", "-c", layeredScript)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
		checkSpecials(t, h, c.image)
		equal(t, "environment", h.ok("run", "--rm", c.image, "sh", "-c", "echo $A"), "archive")
		equal(t, "ID", h.ok("inspect", "-f", "{{.Id}}", c.image), digestOf(imageConfig(t, layers...)))
	}
	r := h.tryWith(string(dockerArchive(t, []string{"stdin:latest"}, layers[0])), "load")
	equal(t, "from stdin", r.out, "Loaded image: stdin:latest\n")
	if unpacked, _ := os.ReadDir(h.root + "/layers"); len(unpacked) != 3 {
		t.Errorf("%d layers for images that share them", len(unpacked))
	}
	equal(t, "layers of one image", h.ok("inspect", "-f", "{{len .RootFS.Layers}}", "load/docker:v1"), "3")
}

// A load that fails leaves nothing, and what was there is as before.
func TestLoadRefused(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	layers := layered(t)
	whole := dockerArchive(t, []string{"i:v1"}, layers...)
	oci := ociArchive(t, "o:v1", func(l []byte) ([]byte, string) {
		return compressed(t, l)["gzip"], "application/vnd.oci.image.layer.v1.tar+gzip"
	}, layers...)
	flipped := bytes.Clone(oci)
	flipped[len(flipped)/2] ^= 1
	dir := h.dir("archives")
	for name, data := range map[string][]byte{
		"truncated": whole[:len(whole)/2], "truncated oci": oci[:len(oci)/2], "flipped": flipped, "garbage": []byte("garbage"),
		"not an image": busyboxLayer(t), "wrong layer": bytes.Replace(whole, []byte("second"), []byte("SECOND"), 1), "bad manifest": archive(t, file("manifest.json", "{")),
		"missing layer": archive(t, file("manifest.json", `[{"Config":"c.json","Layers":["l.tar"]}]`), file("c.json", "{}")),
		"out of it":     archive(t, file("manifest.json", `[{"Config":"../../etc/passwd","Layers":[]}]`)),
	} {
		path := dir + "/" + strings.ReplaceAll(name, " ", "-")
		h.write(path, string(data))
		r := h.try("load", "-i", path)
		if r.code != 1 || r.out != "" || !strings.HasPrefix(r.err, "Error: load: ") {
			t.Errorf("%s: %s", name, r)
		}
	}
	h.fails(1, []string{"open /no/such/file: no such file or directory"}, "load", "-i", "/no/such/file")
	equal(t, "images", h.ok("images", "-aq"), "")
	if left, _ := os.ReadDir(h.root + "/layers"); len(left) > 0 {
		t.Errorf("layers are left: %v", left)
	}
}

// What others save is loaded: docker's file format by skopeo, both from and to.
func TestLoadSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	h := emptyHost(t)
	t.Parallel()
	if err != nil {
		t.Log("no skopeo here: the archives of TestLoad are like its")
		return
	}
	dir := h.dir("archives")
	h.write(dir+"/in", string(ociArchive(t, "v1", func(l []byte) ([]byte, string) { return l, "application/vnd.oci.image.layer.v1.tar" }, layered(t)...)))
	for kind, ref := range map[string]string{"docker-archive": "sk:docker", "oci-archive": "sk:oci"} {
		path := dir + "/" + kind
		copied := exec.Command(skopeo, "--insecure-policy", "copy", "-q", "oci-archive:"+dir+"/in", kind+":"+path+":"+ref)
		if out, err := copied.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		out := h.ok("load", "-i", path)
		equal(t, kind, strings.TrimPrefix(out, "Loaded image: "), ref)
		if diff := cmp.Diff(layeredLooks, h.ok("run", "--rm", ref, "sh", "-c", layeredScript)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", kind, diff)
		}
	}
}

// A terminal sees a bar for each layer.
func TestLoadProgress(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	path := h.dir("archives") + "/docker"
	h.write(path, string(dockerArchive(t, []string{"i:v1"}, layered(t)...)))
	cmd := h.command("load", "-i", path)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `stty cols 120; exec "$0" "$@"`}, cmd.Args...) // in 80 columns Docker has no bar
	p := h.onTerminalOf(cmd)
	equal(t, "exit code", exitCode(p.wait()), "0")
	p.shows("Loading layer")
	p.shows("[====")
	p.shows("Loaded image: i:v1")
	q := h.onTerminal("load", "-q", "-i", path)
	q.wait()
	q.shows("Loaded image: i:v1")
	if strings.Contains(q.screen.String(), "Loading") {
		t.Errorf("-q: %q", q.screen)
	}
}
