package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// manifestOf is what the tests look at in one.
type manifestOf struct {
	MediaType string
	Config    struct{ Digest, MediaType string }
	Layers    []struct{ Digest, MediaType string }
}

func (r *registry) manifestOf(repository, tag, accept string) (m manifestOf, digest string) {
	r.t.Helper()
	body, digest := r.get(repository, tag, accept)
	if err := json.Unmarshal(body, &m); err != nil {
		r.t.Fatal(err)
	}
	return m, digest
}

const anyManifest = dockerManifest + ", " + ociManifest

func TestPush(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	dir := h.dir("archives")
	layers := layered(t)
	name := r.address + "/team/app"
	h.write(dir+"/in", string(dockerArchive(t, []string{name + ":latest", name + ":v1"}, layers...)))
	h.ok("load", "-q", "-i", dir+"/in")
	id := h.ok("images", "-q", "--no-trunc", name+":latest")

	// What Docker says: layers are named by their diff IDs.
	out := h.ok("push", name)
	m, digest := r.manifestOf("team/app", "latest", anyManifest)
	want := []string{"Using default tag: latest", "The push refers to repository [" + name + "]"}
	for _, l := range layers {
		want = append(want, digestOf(l)[7:19]+": Preparing", digestOf(l)[7:19]+": Pushed")
	}
	body, _ := r.get("team/app", "latest", anyManifest)
	want = append(want, fmt.Sprintf("latest: digest: %s size: %d", digest, len(body)))
	if diff := cmp.Diff(pulling(strings.Join(want, "\n")), pulling(out)); diff != "" {
		t.Errorf("push says, -want +got:\n%s", diff)
	}
	equal(t, "config", m.Config.Digest, id)
	equal(t, "layers", fmt.Sprint(len(m.Layers)), "3")
	for _, l := range m.Layers {
		if !strings.HasSuffix(l.MediaType, "gzip") {
			t.Errorf("a layer is pushed as %s", l.MediaType)
		}
	}
	equal(t, "the digest is known", h.ok("inspect", "-f", "{{.RepoDigests}}", name), "["+name+"@"+digest+"]")

	// Nothing is sent twice, and the same image has the same digest for ever.
	r.forget()
	out = h.ok("push", name+":v1")
	if strings.Count(out, ": Layer already exists\n") != 3 || !strings.HasSuffix(out, fmt.Sprintf("v1: digest: %s size: %d", digest, len(body))) {
		t.Errorf("%q", out)
	}
	if n := r.count("PATCH ") + r.count("POST "); n != 0 {
		t.Errorf("%d uploads of what is there", n)
	}
	equal(t, "-q", h.ok("push", "-q", name+":v1"), name+":v1")

	// To another repository the registry copies by itself.
	other := r.address + "/other/app"
	h.ok("tag", name, other)
	r.forget()
	out = h.ok("push", other)
	if strings.Count(out, ": Mounted from team/app\n") != 3 {
		t.Errorf("%q", out)
	}
	if n := r.count("PATCH "); n > 1 {
		t.Errorf("%d uploads where layers are mounted", n)
	}

	// All tags.
	h.ok("tag", name, name+":v2")
	out = h.ok("push", "-a", name)
	for _, tag := range []string{"latest", "v1", "v2"} {
		if !strings.Contains(out, tag+": digest: "+digest+" size: ") {
			t.Errorf("-a: no %s in %q", tag, out)
		}
	}
	if _, got := r.manifestOf("team/app", "v2", anyManifest); got != digest {
		t.Errorf("v2 is %s", got)
	}

	// Elsewhere it is the same.
	far := emptyHost(t)
	far.ok("pull", "-q", name+"@"+digest)
	equal(t, "ID", far.ok("images", "-q", "--no-trunc"), id)
	if diff := cmp.Diff(layeredLooks, far.ok("run", "--rm", name+"@"+digest, "sh", "-c", layeredScript)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	checkSpecials(t, far, name+"@"+digest)

	for _, c := range []struct {
		args  []string
		words string
	}{
		{[]string{name + ":nope"}, "tag does not exist: " + name + ":nope"},
		{[]string{r.address + "/nope"}, "An image does not exist locally with the tag: " + r.address + "/nope"},
		{[]string{"-a", r.address + "/nope"}, "An image does not exist locally with the tag: " + r.address + "/nope"},
		{[]string{"-a", name + ":v1"}, "tag can't be used with --all-tags/-a"},
		{[]string{"UPPER"}, "invalid reference format: repository name"},
		{nil, "requires 1 argument"},
	} {
		h.fails(1, []string{c.words}, append([]string{"push"}, c.args...)...)
	}
	h.ok("tag", name, "127.0.0.1:1/app")
	h.fails(1, []string{"127.0.0.1:1: connect: connection refused"}, "push", "127.0.0.1:1/app")
}

// An image that was pulled is pushed as it was: its digest stays.
func TestPushKeepsDigest(t *testing.T) {
	from, to := newRegistry(t), newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := small(t)
	from.seed("app", "docker", layers...)
	for _, compression := range []string{"gzip", "zstd", "tar"} {
		from.seedOCI("app", compression, compression, layers...)
	}
	for _, tag := range []string{"docker", "gzip", "zstd", "tar"} {
		h.ok("pull", "-q", from.address+"/app:"+tag)
		h.ok("tag", from.address+"/app:"+tag, to.address+"/copy:"+tag)
		h.ok("push", "-q", to.address+"/copy:"+tag)
		_, want := from.manifestOf("app", tag, anyManifest)
		_, got := to.manifestOf("copy", tag, anyManifest)
		equal(t, tag, got, want)
		h.rmiAll()
	}
}

// What goes wrong for a while the push outlasts; what stays wrong is an error.
func TestPushBroken(t *testing.T) {
	r := newRegistry(t)
	h := newHost(t)
	name := r.address + "/app"
	h.ok("tag", "busybox", name)
	upload := func(method string, fail handling) handling {
		return func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			if q.Method == method {
				fail(w, q, next)
				return
			}
			next.ServeHTTP(w, q)
		}
	}
	for _, method := range []string{"POST", "PATCH", "PUT"} {
		r.misbehaves(upload(method, first(1, broken(503))))
		h.ok("push", "-q", name)
		r.send("GET", "/v2/app/manifests/latest", anyManifest, nil)
		r.misbehaves(upload(method, broken(403)))
		h.ok("tag", "busybox", r.address+"/refused"+strings.ToLower(method))
		got := h.try("push", r.address+"/refused"+strings.ToLower(method))
		if method != "PATCH" && (got.code != 1 || got.err == "") { // what is mounted is not sent
			t.Errorf("%s is refused: %s", method, got)
		}
		h.ok("rmi", r.address+"/refused"+strings.ToLower(method))
	}
}

// A terminal has a line and a bar for each layer.
func TestPushTerminal(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	dir := h.dir("archives")
	h.write(dir+"/in", string(dockerArchive(t, []string{r.address + "/app:latest"}, heavy(t, 2, 4)...)))
	h.ok("load", "-q", "-i", dir+"/in")
	quick := make(chan struct{})
	r.misbehaves(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.Method == "PATCH" || q.Method == "PUT" {
			q.Body = &slowBody{q.Body, quick}
		}
		next.ServeHTTP(w, q)
	})
	cmd := h.command("push", r.address+"/app")
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `stty cols 120; exec "$0" "$@"`}, cmd.Args...)
	p := h.onTerminalOf(cmd)
	p.shows("The push refers to repository [" + r.address + "/app]")
	p.shows("Pushing")
	p.shows("[==")
	close(quick)
	p.shows("Pushed")
	p.shows("latest: digest: sha256:")
	equal(t, "exit code", exitCode(p.wait()), "0")
}

// Docker pulls what mydocker pushes, and the other way round.
func TestPushDocker(t *testing.T) {
	need(t, "docker")
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	dir := h.dir("archives")
	name := r.address + "/both"
	layers := append(layered(t), archive(t, file("mark", r.address)))
	h.write(dir+"/in", string(dockerArchive(t, []string{name + ":mydocker"}, layers...)))
	h.ok("load", "-q", "-i", dir+"/in")
	h.ok("push", "-q", name+":mydocker")
	docker := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %v: %v: %s", args, err, out)
		}
		return strings.TrimSuffix(string(out), "\n")
	}
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", name+":mydocker", name+":docker").Run() })
	docker("pull", "-q", name+":mydocker")
	equal(t, "ID", docker("inspect", "-f", "{{.Id}} {{.RepoDigests}}", name+":mydocker"), h.ok("inspect", "-f", "{{.Id}} {{.RepoDigests}}", name+":mydocker"))
	docker("tag", name+":mydocker", name+":docker")
	docker("push", "-q", name+":docker")
	h.ok("pull", "-q", name+":docker")
	equal(t, "ID", h.ok("images", "-q", name+":docker"), h.ok("images", "-q", name+":mydocker"))
}
