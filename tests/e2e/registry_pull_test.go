package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small are layers that take no time: busybox and two over it.
func small(t *testing.T) [][]byte {
	t.Helper()
	return [][]byte{busyboxLayer(t), archive(t, file("one", "1")), archive(t, file("two", "2"))}
}

// pulling are the lines of a pull without a terminal, those of layers sorted,
// since layers come in any order.
func pulling(out string) []string {
	all := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	ofLayer := regexp.MustCompile(`^[0-9a-f]{12}: `)
	var first, layers, last []string
	for _, line := range all {
		switch {
		case ofLayer.MatchString(line):
			layers = append(layers, line)
		case layers == nil:
			first = append(first, line)
		default:
			last = append(last, line)
		}
	}
	slices.Sort(layers)
	return slices.Concat(first, layers, last)
}

// rmiAll removes every image, by force.
func (h *host) rmiAll() {
	h.t.Helper()
	if ids := strings.Fields(h.ok("images", "-q", "--no-trunc")); len(ids) > 0 {
		h.ok(append([]string{"rmi", "-f"}, slices.Compact(ids)...)...)
	}
	equal(h.t, "images after rmi", h.ok("images", "-aq"), "")
}

func TestPull(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := layered(t)
	d := r.seed("team/app", "latest", layers...)
	r.seed("team/app", "v2", layers[0])
	name, digest := r.address+"/team/app", d["digest"].(string)

	// What Docker says, line by line.
	manifest, _ := r.get("team/app", "latest", dockerManifest)
	var content struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	json.Unmarshal(manifest, &content)
	want := []string{"Using default tag: latest", "latest: Pulling from team/app"}
	for _, l := range content.Layers {
		for _, status := range []string{"Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"} {
			want = append(want, l.Digest[7:19]+": "+status)
		}
	}
	want = append(want, "Digest: "+digest, "Status: Downloaded newer image for "+name+":latest", name+":latest")
	if diff := cmp.Diff(pulling(strings.Join(want, "\n")), pulling(h.ok("pull", name))); diff != "" {
		t.Errorf("pull says, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(layeredLooks, h.ok("run", "--rm", name, "sh", "-c", layeredScript)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	checkSpecials(t, h, name)
	equal(t, "ID", h.ok("inspect", "-f", "{{.Id}}", name), content.Config.Digest)
	equal(t, "names", h.ok("inspect", "-f", "{{.RepoTags}} {{.RepoDigests}}", name), "["+name+":latest] ["+name+"@"+digest+"]")
	equal(t, "digests", h.ok("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"), name+" latest "+digest)

	// Nothing is fetched twice.
	r.forget()
	equal(t, "again", h.ok("pull", name+":latest"), "latest: Pulling from team/app\nDigest: "+digest+"\nStatus: Image is up to date for "+name+":latest\n"+name+":latest")
	if n := r.count("GET /v2/team/app/blobs/"); n != 0 {
		t.Errorf("%d blobs are fetched again", n)
	}
	r.forget()
	if out := h.ok("pull", name+":v2"); !strings.Contains(out, content.Layers[0].Digest[7:19]+": Already exists\n") || strings.Contains(out, "Pulling fs layer") {
		t.Errorf("an image of a layer that is there: %q", out)
	}
	if n := r.count("GET /v2/team/app/blobs/"); n != 1 {
		t.Errorf("%d blobs are fetched for a config", n)
	}
	equal(t, "-q", h.ok("pull", "-q", name+":v2"), name+":v2")

	// By digest, and by both.
	h.rmiAll()
	equal(t, "by digest", lastLines(h.ok("pull", name+"@"+digest), 3), "Digest: "+digest+"\nStatus: Downloaded newer image for "+name+"@"+digest+"\n"+name+"@"+digest)
	equal(t, "row", h.ok("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"), name+" <none> "+digest)
	equal(t, "runs", h.ok("run", "--rm", name+"@"+digest, "echo", "yes"), "yes")
	equal(t, "rmi", strings.Split(h.ok("rmi", name+"@"+digest), "\n")[0], "Untagged: "+name+"@"+digest)
	h.ok("pull", "-q", name+":ignored@"+digest)
	equal(t, "runs", h.ok("run", "--rm", name+"@"+digest, "echo", "yes"), "yes")

	// A tag that moves.
	h.rmiAll()
	h.ok("pull", "-q", name)
	old := h.ok("images", "-q", "--no-trunc", name)
	moved := r.seed("team/app", "latest", layers[0], archive(t, file("moved", "x")))
	if out := h.ok("pull", name); !strings.Contains(out, "Digest: "+moved["digest"].(string)+"\nStatus: Downloaded newer image for ") {
		t.Errorf("the tag has moved: %q", out)
	}
	if fresh := h.ok("images", "-q", "--no-trunc", name+":latest"); fresh == old {
		t.Error("the tag is still the old image's")
	}
	equal(t, "the old image", h.ok("images", "-q", "--no-trunc", "--filter", "dangling=true"), old)
}

func lastLines(text string, n int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// The same lines as docker's, whatever its version says.
func TestPullLikeDocker(t *testing.T) {
	need(t, "docker")
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	mark := archive(t, file("mark", r.address)) // layers that docker cannot have
	r.seed("like/docker", "v1", archive(t, file("a", r.address)), mark)
	r.seed("like/docker", "v2", archive(t, file("a", r.address)), archive(t, file("b", r.address)))
	name := r.address + "/like/docker"
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", name+":v1", name+":v2").Run() })
	for _, line := range [][]string{
		{"pull", name + ":v1"}, {"pull", name + ":v1"}, {"pull", name + ":v2"}, {"pull", "-q", name + ":v2"}, {"pull", "-a", name},
		{"pull", name}, {"pull", name + ":nope"}, {"pull", r.address + "/no/such"}, {"pull", "-a", r.address + "/no/such"}, {"pull", "-a", name + ":v1"}, {"pull", r.address + "/UPPER"}, {"pull", "127.0.0.1:1/x"},
		{"pull", name + "@sha256:" + strings.Repeat("0", 64)}, {"pull", name + "@sha256:0"}, {"pull", "--platform", "a/b/c/d", name + ":v1"}, {"push", name + ":nope"}, {"push", r.address + "/no/such"}, {"push", "-a", r.address + "/no/such"}, {"push", "-a", name + ":v1"},
		{"push", name + ":v1"}, {"push", "-a", name}, {"push", "-q", name + ":v2"}, {"push", name + "@sha256:" + strings.Repeat("0", 64)},
		{"tag", name + ":v1", r.address + "/like/other"}, {"rmi", r.address + "/like/other"},
	} {
		docker := exec.Command("docker", line...)
		var stderr strings.Builder
		docker.Stderr = &stderr
		out, _ := docker.Output()
		r := h.try(line...)
		if r.code != docker.ProcessState.ExitCode() {
			t.Errorf("docker ends with %d: %s", docker.ProcessState.ExitCode(), r)
		}
		// The digest that docker pushes is of a manifest that it has written itself.
		pushed := regexp.MustCompile(`digest: sha256:[0-9a-f]+ size: \d+`)
		verifying := regexp.MustCompile(`(?m)^[0-9a-f]{12}: Verifying Checksum\n`) // it says so of most layers
		plain := func(out string) []string {
			return pulling(verifying.ReplaceAllString(pushed.ReplaceAllString(out, "digest"), ""))
		}
		if diff := cmp.Diff(plain(string(out)), plain(r.out)); diff != "" {
			t.Errorf("%v: -docker +mydocker:\n%s", line, diff)
		}
		want := strings.TrimPrefix(stderr.String(), "Error response from daemon: ")
		want, _, _ = strings.Cut(want, "\n")
		if want != "" && !strings.Contains(r.err, want) || want == "" && r.err != "" {
			t.Errorf("%v: docker says %q, mydocker %q", line, stderr.String(), r.err)
		}
	}
}

func TestPullFormats(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := layered(t)
	for _, compression := range []string{"gzip", "zstd", "tar"} {
		d := r.seedOCI("formats", compression, compression, layers...)
		name := r.address + "/formats:" + compression
		if out := h.ok("pull", name); !strings.Contains(out, "Digest: "+d["digest"].(string)+"\n") {
			t.Errorf("%s: %q", compression, out)
		}
		if diff := cmp.Diff(layeredLooks, h.ok("run", "--rm", name, "sh", "-c", layeredScript)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", compression, diff)
		}
		checkSpecials(t, h, name)
	}
	if n := len(strings.Fields(h.ok("images", "-q"))); n != 3 {
		t.Errorf("%d rows", n)
	}
	equal(t, "unpacked layers", fmt.Sprint(len(storeLayers(h))), "3")

	// What a layer decompresses to must be what the config says.
	config := imageConfig(t, layers[0], layers[1])
	r.seedAs("formats", "lies", config, ociManifest, ociConfig, ociLayer+"+gzip", "gzip", layers[0], archive(t, file("other", "x")))
	h.fails(1, nil, "pull", r.address+"/formats:lies")
	r.seedAs("formats", "fewer", config, ociManifest, ociConfig, ociLayer+"+gzip", "gzip", layers[0])
	h.fails(1, nil, "pull", r.address+"/formats:fewer")
	r.seedAs("formats", "garbage", []byte("{"), ociManifest, ociConfig, ociLayer+"+gzip", "gzip", layers[0])
	h.fails(1, nil, "pull", r.address+"/formats:garbage")
	// An artifact is no image.
	r.manifest("formats", "artifact", ociManifest, map[string]any{"config": r.blob("formats", "application/vnd.cncf.helm.config.v1+json", []byte("{}")), "layers": []any{r.blob("formats", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte("x"))}})
	h.fails(1, nil, "pull", r.address+"/formats:artifact")
	if n := len(strings.Fields(h.ok("images", "-q"))); n != 3 {
		t.Errorf("%d rows after pulls that fail", n)
	}
}

func storeLayers(h *host) (layers []string) {
	for _, path := range storeOf(h) {
		if strings.HasPrefix(path, h.root+"/layers/") {
			layers = append(layers, path)
		}
	}
	return layers
}

func TestPullAll(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := small(t)
	r.seed("all", "a", layers[0])
	r.seed("all", "b", layers[:2]...)
	r.seed("all", "c", layers...)
	name := r.address + "/all"
	out := h.ok("pull", "-a", name)
	for _, want := range []string{"a: Pulling from all\n", "b: Pulling from all\n", "c: Pulling from all\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %q", want, out)
		}
	}
	equal(t, "the end", lastLines(out, 2), "Status: Downloaded newer image for "+name+"\n"+name)
	got := strings.Fields(h.ok("images", "--format", "{{.Tag}}", name))
	slices.Sort(got)
	equal(t, "tags", fmt.Sprint(got), "[a b c]")
	if n := r.count("GET /v2/all/blobs/"); n != 6 { // three layers and three configs
		t.Errorf("%d blobs are fetched", n)
	}
	equal(t, "again", lastLines(h.ok("pull", "-a", name), 2), "Status: Image is up to date for "+name+"\n"+name)
	h.fails(1, []string{"tag can't be used with --all-tags/-a"}, "pull", "-a", name+":a")
}

func TestPullPlatform(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layer := busyboxLayer(t)
	for _, kind := range []struct{ name, index, manifest, config, layer string }{
		{"docker", dockerList, dockerManifest, dockerConfig, dockerLayer},
		{"oci", ociIndex, ociManifest, ociConfig, ociLayer + "+gzip"},
	} {
		var manifests []any
		for _, p := range []map[string]string{{"os": "unknown", "architecture": "unknown"}, {"os": "linux", "architecture": "arm", "variant": "v7"}, {"os": "linux", "architecture": "arm64", "variant": "v8"}, {"os": "linux", "architecture": "amd64"}, {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}} {
			var config map[string]any
			json.Unmarshal(imageConfig(t, layer), &config)
			config["os"], config["architecture"] = p["os"], p["architecture"]
			if p["variant"] != "" {
				config["variant"] = p["variant"]
			}
			d := r.seedAs(kind.name, "", encode(t, config), kind.manifest, kind.config, kind.layer, "gzip", layer)
			d["platform"] = p
			manifests = append(manifests, d)
		}
		index := r.manifest(kind.name, "latest", kind.index, map[string]any{"manifests": manifests})
		name := r.address + "/" + kind.name
		platform := func() string {
			return h.ok("image", "inspect", "-f", "{{.Os}}/{{.Architecture}}/{{.Variant}} {{.RepoDigests}}", name)
		}
		digests := " [" + name + "@" + index["digest"].(string) + "]"
		h.ok("pull", "-q", name)
		equal(t, kind.name+" for this machine", platform(), "linux/amd64/"+digests)
		if out := h.ok("pull", "--platform", "linux/arm64", name); !strings.Contains(out, "Digest: "+index["digest"].(string)) {
			t.Errorf("the digest is the index's: %q", out)
		}
		equal(t, kind.name, platform(), "linux/arm64/v8"+digests)
		h.ok("pull", "-q", "--platform", "linux/arm/v7", name)
		equal(t, kind.name, platform(), "linux/arm/v7"+digests)
		h.fails(1, []string{"no matching manifest for linux/s390x in the manifest list entries"}, "pull", "--platform", "linux/s390x", name)
		h.ok("pull", "-q", "--platform", "amd64", name) // as Docker: the system is this one
		equal(t, kind.name, platform(), "linux/amd64/"+digests)
		equal(t, "up to date", lastLines(h.ok("pull", name), 2), "Status: Image is up to date for "+name+":latest\n"+name+":latest")
		h.ok("pull", "-q", name+"@"+index["digest"].(string))
		equal(t, "runs", h.ok("run", "--rm", name+"@"+index["digest"].(string), "echo", "yes"), "yes")
		h.rmiAll()
		equal(t, "run --platform", h.ok("run", "-q", "--platform", "linux/amd64", "--rm", name, "echo", "yes"), "yes")
		h.rmiAll()
	}
}

// An image that is missing is pulled by run and create.
func TestPullByRun(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	r.seed("app", "latest", busyboxLayer(t))
	name := r.address + "/app"
	h.fails(125, []string{"No such image: " + name + ":latest"}, "run", "--pull", "never", name, "true")
	got := h.try("run", "--rm", name, "echo", "yes")
	if got.code != 0 || got.out != "yes\n" || !strings.HasPrefix(got.err, "Unable to find image '"+name+":latest' locally\nlatest: Pulling from app\n") ||
		!strings.HasSuffix(got.err, "Status: Downloaded newer image for "+name+":latest\n") {
		t.Errorf("a missing image: %s", got)
	}
	r.forget()
	got = h.try("run", "--rm", name, "echo", "yes")
	equal(t, "the image is there", got.out+got.err, "yes\n")
	equal(t, "requests", fmt.Sprint(r.count("")), "0")
	got = h.try("run", "--pull", "always", "--rm", name, "echo", "yes")
	if got.out != "yes\n" || !strings.HasSuffix(got.err, "Status: Image is up to date for "+name+":latest\n") {
		t.Errorf("--pull always: %s", got)
	}
	for _, ref := range []string{h.ok("image", "inspect", "-f", "{{index .RepoDigests 0}}", name), name + ":latest"} { // the name it was made with, without its digest
		h.ok("create", "--name", "c1", ref)
		equal(t, "ps", h.ok("ps", "-a", "--format", "{{.Image}}"), strings.Split(ref, "@")[0])
		equal(t, "ps --no-trunc", h.ok("ps", "-a", "--no-trunc", "--format", "{{.Image}}"), ref)
		h.ok("rm", "c1")
	}
	h.rmiAll()
	got = h.try("create", "-q", "--name", "c1", name, "echo", "created")
	if got.code != 0 || got.err != "" {
		t.Errorf("create -q: %s", got)
	}
	equal(t, "start", h.ok("start", "-a", "c1"), "created")
	h.ok("rm", "c1")
	h.fails(125, []string{"Unable to find image '" + name + ":nope' locally", "manifest for " + name + ":nope not found: manifest unknown"}, "run", "--rm", name+":nope", "true")
	h.fails(1, []string{"manifest for " + name + ":nope not found: manifest unknown"}, "create", name+":nope", "true")
	h.fails(125, []string{`invalid pull option: 'foo': must be one of "always", "missing" or "never"`}, "run", "--pull", "foo", name, "true")
}

func TestPullErrors(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	d := r.seed("app", "latest", busyboxLayer(t))
	zeros := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		args  []string
		words string
	}{
		{[]string{r.address + "/app:nope"}, "manifest for " + r.address + "/app:nope not found: manifest unknown"},
		{[]string{r.address + "/nope"}, "manifest for " + r.address + "/nope:latest not found: manifest unknown"},
		{[]string{r.address + "/app@" + zeros}, "manifest for " + r.address + "/app@" + zeros + " not found: manifest unknown"},
		{[]string{"-a", r.address + "/nope"}, "not found"},
		{[]string{"127.0.0.1:1/x"}, "127.0.0.1:1: connect: connection refused"},
		{[]string{r.address + "/UPPER"}, "invalid reference format: repository name (UPPER) must be lowercase"},
		{[]string{r.address + "/app@" + d["digest"].(string)[:20]}, "invalid reference format"},
		{[]string{"a:b:c"}, "invalid reference format"},
		{[]string{""}, "invalid reference format"},
		{[]string{"--platform", "a/b/c/d", r.address + "/app"}, "platform"},
		{nil, "requires 1 argument"},
		{[]string{"a", "b"}, "requires 1 argument"},
	} {
		got := h.fails(1, []string{c.words}, append([]string{"pull"}, c.args...)...)
		if strings.Contains(got.out, "Status:") {
			t.Errorf("%s", got)
		}
	}
	equal(t, "images", h.ok("images", "-aq"), "")
	equal(t, "layers", fmt.Sprint(storeLayers(h)), "[]")
}

// Names of docker.io are asked at the mirrors, in order; others are not.
func TestPullMirror(t *testing.T) {
	first, second, other := newRegistry(t), newRegistry(t), newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := small(t)
	d := second.seed("library/busybox", "latest", layers[0])
	first.seed("team/app", "v1", layers[:2]...)
	second.seed("team/app", "v1", layers...)
	other.seed("app", "latest", layers...)
	h.configure(fmt.Sprintf(`{"registry-mirrors": ["http://127.0.0.1:1", "http://%s", "http://%s/"]}`, first.address, second.address))

	out := h.ok("pull", "busybox")
	equal(t, "the second one alive has it", lastLines(out, 3), "Digest: "+d["digest"].(string)+"\nStatus: Downloaded newer image for busybox:latest\ndocker.io/library/busybox:latest")
	if !strings.HasPrefix(out, "Using default tag: latest\nlatest: Pulling from library/busybox\n") {
		t.Errorf("%q", out)
	}
	equal(t, "names", h.ok("inspect", "-f", "{{.RepoTags}} {{.RepoDigests}}", "busybox"), "[busybox:latest] [busybox@"+d["digest"].(string)+"]")
	if first.count("") == 0 {
		t.Error("the first mirror was not asked")
	}
	equal(t, "-q", h.ok("pull", "-q", "docker.io/library/busybox"), "docker.io/library/busybox:latest")
	h.ok("pull", "-q", "docker.io/team/app:v1")
	equal(t, "the first that has it", h.ok("inspect", "-f", "{{len .RootFS.Layers}}", "team/app:v1"), "2")
	equal(t, "run", h.ok("run", "--rm", "team/app:v1", "cat", "/one"), "1")

	first.forget()
	second.forget()
	h.ok("pull", "-q", other.address+"/app")
	equal(t, "requests for another registry", fmt.Sprint(first.count("")+second.count("")), "0")
	// A mirror that fails in the middle is left for the next one.
	h.rmiAll()
	first.seed("library/busybox", "latest", layers[0])
	first.misbehaves(broken(500))
	h.ok("pull", "-q", "busybox")
	equal(t, "runs", h.ok("run", "--rm", "busybox", "echo", "yes"), "yes")

	h.configure(`{"registry-mirrors": ["ftp://nowhere"]}`)
	h.fails(1, []string{"ftp://nowhere"}, "pull", "busybox")
	h.configure(`{}`)
}

// A terminal has a line and a bar for each layer.
func TestPullTerminal(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	r.seed("app", "latest", archive(t, file("noise", noise(4<<20))), archive(t, file("b", "b")))
	quick := make(chan struct{})
	r.misbehaves(slowly(quick))
	cmd := h.command("pull", r.address+"/app")
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `stty cols 120; exec "$0" "$@"`}, cmd.Args...)
	p := h.onTerminalOf(cmd)
	p.shows("latest: Pulling from app")
	p.shows("Downloading")
	p.shows("[==")
	p.shows("MB")
	close(quick)
	p.shows("Pull complete")
	p.shows("Status: Downloaded newer image for " + r.address + "/app:latest")
	equal(t, "exit code", exitCode(p.wait()), "0")
	p = h.onTerminal("pull", "-q", r.address+"/app")
	p.wait()
	p.shows(r.address + "/app:latest\r\n")
	if strings.Contains(p.screen.String(), "Digest") {
		t.Errorf("-q: %q", p.screen)
	}
}
