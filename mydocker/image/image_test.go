package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ulikunitz/xz"
)

var ctx = context.Background()

// store opens a new store, which must be sound when the test ends.
func store(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "root"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if problems, err := s.Check(false, true); err != nil || len(problems) > 0 {
			t.Errorf("check: %+v, %v", problems, err)
		}
	})
	return s
}

// tarOf makes an archive of files; a name that ends in a slash is a directory.
func tarOf(pairs ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for n := 0; n < len(pairs); n += 2 {
		h := tar.Header{Typeflag: tar.TypeReg, Name: pairs[n], Mode: 0o644, Size: int64(len(pairs[n+1])), ModTime: time.Unix(1e9, 0)}
		if strings.HasSuffix(pairs[n], "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if target, ok := strings.CutPrefix(pairs[n+1], "-> "); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if h.Size > 0 {
			io.WriteString(w, pairs[n+1])
		}
	}
	w.Close()
	return b.Bytes()
}

func compress(how string, data []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zstd":
		w, _ = zstd.NewWriter(&b)
	case "xz":
		w, _ = xz.NewWriter(&b)
	default:
		return data
	}
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// dockerImage is an image for dockerArchive: its tags, and its layers.
type dockerImage struct {
	tags   []string
	layers [][]byte
	env    string // to make configs differ
}

func (i dockerImage) config() string {
	var ids []digest.Digest
	for _, l := range i.layers {
		ids = append(ids, digest.FromBytes(l))
	}
	return encode(map[string]any{"os": "linux", "architecture": "amd64", "config": map[string]any{"Env": []string{"E=" + i.env}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids}, "x-unknown": "kept"})
}

func (i dockerImage) id() digest.Digest { return digest.FromString(i.config()) }

// dockerFiles are the files of an archive as docker save writes it.
func dockerFiles(how string, images ...dockerImage) map[string]string {
	files := map[string]string{}
	var manifest []map[string]any
	for _, i := range images {
		var names []string
		for _, l := range i.layers {
			name := digest.FromBytes(l).Encoded()[:12] + "/layer.tar"
			files[name] = string(compress(how, l))
			names = append(names, name)
		}
		config := i.id().Encoded() + ".json"
		files[config] = i.config()
		manifest = append(manifest, map[string]any{"Config": config, "RepoTags": i.tags, "Layers": names})
	}
	files["manifest.json"] = encode(manifest)
	return files
}

func archiveOf(files map[string]string) []byte {
	var pairs []string
	for name, data := range files {
		pairs = append(pairs, name, data)
	}
	return tarOf(pairs...)
}

func dockerArchive(images ...dockerImage) []byte { return archiveOf(dockerFiles("", images...)) }

var (
	base = tarOf("etc/", "", "etc/passwd", "root:x:0:0::/:/bin/sh\n")
	top  = tarOf("new", "new file")
	one  = dockerImage{tags: []string{"one:latest"}, layers: [][]byte{base}, env: "1"}
	two  = dockerImage{tags: []string{"two:a", "two:b"}, layers: [][]byte{base, top}, env: "2"}
)

func load(t *testing.T, s *Store, archive []byte) []Loaded {
	t.Helper()
	loaded, err := s.Load(ctx, bytes.NewReader(archive), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestLoadDocker(t *testing.T) {
	for _, how := range []string{"", "gzip", "zstd", "xz"} {
		t.Run("layers "+how, func(t *testing.T) {
			s := store(t)
			var seen []string
			archive := compress("gzip", archiveOf(dockerFiles(how, one, two)))
			loaded, err := s.Load(ctx, bytes.NewReader(archive), "", func(layer string, done, total int64) {
				if done == total {
					seen = append(seen, layer)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			want := []Loaded{{"one:latest", one.id(), ""}, {"two:a", two.id(), ""}, {"two:b", two.id(), ""}}
			if diff := cmp.Diff(want, loaded); diff != "" {
				t.Error(diff)
			}
			slices.Sort(seen)
			if len(slices.Compact(seen)) != 2 {
				t.Errorf("progress of layers %v, want both", seen)
			}
			i, err := s.Resolve("two:b")
			if err != nil {
				t.Fatal(err)
			}
			if config, _ := os.ReadFile(s.blob(i.ID)); i.ID != two.id() || string(config) != two.config() || !slices.Equal(i.Names, []string{"two:a", "two:b"}) {
				t.Errorf("image %s %v", i.ID, i.Names)
			}
			dirs, err := s.LayerDirs(i)
			if err != nil {
				t.Fatal(err)
			}
			for n, file := range []string{"new", "etc/passwd"} {
				if _, err := os.Stat(filepath.Join(dirs[n], file)); err != nil {
					t.Error(err)
				}
			}
			if size := s.Size(i); size != int64(len("new file")+len("root:x:0:0::/:/bin/sh\n")) {
				t.Errorf("size %d", size)
			}
		})
	}
}

// TestLoadLinks has a layer twice, the second time as docker save links it.
func TestLoadLinks(t *testing.T) {
	s := store(t)
	files := dockerFiles("", one)
	files["other/layer.tar"] = "-> ../" + digest.FromBytes(base).Encoded()[:12] + "/layer.tar"
	files["manifest.json"] = strings.Replace(files["manifest.json"], digest.FromBytes(base).Encoded()[:12], "./x/../other", 1)
	load(t, s, archiveOf(files))
}

// layoutFiles are the files of an OCI layout with one image in a nested index,
// beside one for another platform that is not there.
func layoutFiles(i dockerImage, name string) map[string]string {
	files := map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}
	add := func(mediaType, content string) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
		files["blobs/sha256/"+d.Digest.Encoded()] = content
		return d
	}
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: add(ocispec.MediaTypeImageConfig, i.config())}
	for _, l := range i.layers {
		manifest.Layers = append(manifest.Layers, add(ocispec.MediaTypeImageLayerGzip, string(compress("gzip", l))))
	}
	d := add(ocispec.MediaTypeImageManifest, encode(manifest))
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	foreign := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("?"), Size: 1,
		Platform: &ocispec.Platform{OS: "linux", Architecture: "s390x"}}
	nested := add(ocispec.MediaTypeImageIndex, encode(ocispec.Index{Manifests: []ocispec.Descriptor{foreign, d}}))
	nested.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	files["index.json"] = encode(ocispec.Index{Manifests: []ocispec.Descriptor{nested}})
	return files
}

func TestLoadLayout(t *testing.T) {
	for name, want := range map[string]string{
		"docker.io/library/x:1": "x:1", "localhost/x:1": "localhost/x:1", "x": "x:latest", "latest": "",
	} {
		s := store(t)
		loaded := load(t, s, archiveOf(layoutFiles(two, name)))
		if diff := cmp.Diff([]Loaded{{want, two.id(), ""}}, loaded); diff != "" {
			t.Error(diff)
		}
		// The same image again, its layers not compressed: one image, one manifest.
		load(t, s, dockerArchive(two))
		images, err := s.List()
		if err != nil || len(images) != 1 {
			t.Errorf("%d images, %v", len(images), err)
		}
	}
}

// TestLoadDamaged changes archives so that something in them does not fit.
// Nothing of them may stay; the store's own check sees to the rest.
func TestLoadDamaged(t *testing.T) {
	docker, layout := dockerFiles("", two), layoutFiles(two, "two:a")
	topName := digest.FromBytes(top).Encoded()[:12] + "/layer.tar"
	configBlob := "blobs/sha256/" + two.id().Encoded()
	for _, c := range []struct {
		name   string
		files  map[string]string
		change func(files map[string]string)
		err    string
	}{
		{"layer", docker, func(f map[string]string) { f[topName] = string(tarOf("new", "evil")) }, "layer verification failed"},
		{"layer cut", docker, func(f map[string]string) { f[topName] = f[topName][:515] }, "unexpected EOF"},
		{"layer lost", docker, func(f map[string]string) { delete(f, topName) }, "no file"},
		{"config", docker, func(f map[string]string) { f[two.id().Encoded()+".json"] += " " }, "damaged"},
		{"config lost", docker, func(f map[string]string) { delete(f, two.id().Encoded()+".json") }, "no file"},
		{"manifest", docker, func(f map[string]string) { f["manifest.json"] = "[{" }, "manifest.json"},
		{"no manifest", docker, func(f map[string]string) { delete(f, "manifest.json") }, "no file index.json"},
		{"layer twice", docker, func(f map[string]string) {
			f["manifest.json"] = strings.Replace(f["manifest.json"], `"Layers":[`, `"Layers":["`+topName+`",`, 1)
		}, "layers length mismatch"},
		{"link loop", docker, func(f map[string]string) { f[topName] = "-> layer.tar" }, "no file"},
		{"link outside", docker, func(f map[string]string) { f[topName] = "-> ../../../../../../etc/passwd" }, "no file"},
		{"hostile layer", docker, func(f map[string]string) { f[topName] = string(tarOf("../../../escaped", "x")) }, "outside of the layer"},
		{"bad name", docker, func(f map[string]string) {
			f["manifest.json"] = strings.Replace(f["manifest.json"], "two:a", "../x", 1)
		}, "invalid reference"},
		{"blob", layout, func(f map[string]string) { f[configBlob] = strings.Replace(f[configBlob], "E=2", "E=3", 1) }, "damaged"},
		{"blob lost", layout, func(f map[string]string) { delete(f, configBlob) }, "no file"},
		{"digest of another kind", layout, func(f map[string]string) {
			f["index.json"] = strings.Replace(f["index.json"], "sha256:", "sha256:../../../../etc/", 1)
		}, "no file"},
		{"other platform", layout, func(f map[string]string) {
			f["index.json"] = encode(ocispec.Index{Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest,
				Platform: &ocispec.Platform{OS: "windows", Architecture: "amd64"}}}})
		}, "no image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store(t)
			files := map[string]string{}
			for name, data := range c.files {
				files[name] = data
			}
			c.change(files)
			_, err := s.Load(ctx, bytes.NewReader(archiveOf(files)), "", nil)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
			if images, _ := s.List(); len(images) > 0 {
				t.Errorf("images: %v", images)
			}
		})
	}
}

func TestLoadTruncated(t *testing.T) {
	s := store(t)
	for _, archive := range [][]byte{dockerArchive(two), compress("gzip", dockerArchive(two)), compress("zstd", archiveOf(layoutFiles(two, "x")))} {
		end := len(archive) - 2048
		for cut := 0; cut < end; cut += max(end/17, 1) {
			if _, err := s.Load(ctx, bytes.NewReader(archive[:cut]), "", nil); err == nil {
				// docker save puts its manifest in any place: the archive may be
				// complete before its end.
				if i, err := s.Resolve(two.id().String()); err != nil || i.ID != two.id() {
					t.Errorf("cut at %d of %d: no error", cut, len(archive))
				}
				if _, err := s.Remove(two.id().String(), RemoveOptions{Force: true}); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestLoadCanceled(t *testing.T) {
	s := store(t)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Load(canceled, bytes.NewReader(dockerArchive(two)), "", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestImport(t *testing.T) {
	s := store(t)
	for _, how := range []string{"", "gzip", "zstd", "xz"} {
		name := "imported:v1" + how
		i, err := s.Import(ctx, bytes.NewReader(compress(how, base)), ImportOptions{Ref: name, Changes: []string{"CMD sh"}})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(i.Names, []string{name}) || i.Layers()[0] != digest.FromBytes(base) {
			t.Errorf("%s: %v %v", how, i.Names, i.Layers())
		}
		want := dockerspec.DockerOCIImage{}
		want.Created, want.Architecture, want.OS = i.Config.Created, i.Config.Architecture, "linux"
		want.Config.Cmd = []string{"/bin/sh", "-c", "sh"}
		want.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(base)}}
		want.History = []ocispec.History{{Created: i.Config.Created, Comment: "Imported from -"}}
		if diff := cmp.Diff(want, i.Config); diff != "" {
			t.Error(diff)
		}
		// Lose the layer: it comes back from the blob.
		os.RemoveAll(s.layer(i.Layers()[0]))
		dirs, err := s.LayerDirs(i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dirs[0] + "/etc/passwd"); err != nil {
			t.Error(err)
		}
	}
}

func TestImportDamaged(t *testing.T) {
	s := store(t)
	big := tarOf("a", strings.Repeat("random enough", 1000), "b", "x")
	archives := map[string][]byte{
		"empty": nil, "text": []byte(strings.Repeat("this is no archive\n", 100)), "outside": tarOf("../x", "y"),
		"no end": big[:len(big)-1024], "cut": big[:3000], "gzip, no end": compress("gzip", big[:len(big)-1024]),
	}
	for _, how := range []string{"gzip", "zstd", "xz"} {
		data := compress(how, big)
		archives[how+" cut"] = data[:len(data)-5]
		data = slices.Clone(data)
		data[len(data)/2] ^= 0x55
		archives[how+" flipped"] = data
	}
	for name, archive := range archives {
		if i, err := s.Import(ctx, bytes.NewReader(archive), ImportOptions{Ref: "x"}); err == nil {
			t.Errorf("%s: image %s", name, i.ID)
		}
		if leftovers, _ := filepath.Glob(s.layers() + "/*"); len(leftovers) > 0 {
			t.Fatalf("%s: left %v", name, leftovers)
		}
	}
	for _, o := range []ImportOptions{{Ref: "Upper"}, {Ref: "x@sha256:" + strings.Repeat("0", 64)}, {Changes: []string{"RUN x"}}} {
		if _, err := s.Import(ctx, bytes.NewReader(base), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestResolve(t *testing.T) {
	s := store(t)
	load(t, s, dockerArchive(one, two))
	i, _ := s.Resolve("two:a")
	manifest := i.Descriptor.Digest.String()
	for ref, want := range map[string]digest.Digest{
		"one": one.id(), "one:latest": one.id(), "docker.io/library/one": one.id(), "library/one:latest": one.id(),
		one.id().String(): one.id(), one.id().Encoded(): one.id(), one.id().Encoded()[:12]: one.id(),
		"sha256:" + two.id().Encoded()[:7]: two.id(),
	} {
		if i, err := s.Resolve(ref); err != nil || i.ID != want {
			t.Errorf("%s: %v, want %s", ref, err, want)
		}
	}
	zeros := strings.Repeat("0", 64)
	for ref, want := range map[string]string{
		"none": "No such image: none:latest", "two": "No such image: two:latest", "docker.io/library/none:x": "No such image: none:x",
		zeros: "No such image: sha256:" + zeros, "sha256:" + zeros: "No such image: sha256:" + zeros,
		"000000000000": "No such image: 000000000000:latest", "one@" + manifest: "No such image: one@" + manifest,
	} {
		if _, err := s.Resolve(ref); !errors.Is(err, ErrNotFound) || err.Error() != want {
			t.Errorf("%s: %v, want %s", ref, err, want)
		}
	}
	for _, ref := range []string{"", "Upper", "a b", "../x"} {
		if _, err := s.Resolve(ref); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	// Names win over IDs, and a prefix that fits several is none.
	var images []dockerImage
	for n := range 17 {
		images = append(images, dockerImage{layers: [][]byte{base}, env: fmt.Sprint("many", n)})
	}
	load(t, s, dockerArchive(images...))
	first := map[byte]digest.Digest{}
	for _, i := range images {
		c := i.id().Encoded()[0]
		if _, ok := first[c]; ok {
			_, err := s.Resolve(string(c))
			if err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("%c: %v", c, err)
			}
			if _, _, err := s.Tag("one", string(c)); err != nil {
				t.Fatal(err)
			}
			if found, err := s.Resolve(string(c)); err != nil || found.ID != one.id() {
				t.Errorf("%c: %v", c, err)
			}
			return
		}
		first[c] = i.id()
	}
}

func TestNormalize(t *testing.T) {
	id := strings.Repeat("0", 64)
	for name, want := range map[string]string{
		"busybox": "busybox:latest", "docker.io/busybox:1": "busybox:1", "index.docker.io/library/a": "a:latest", "docker.io/me/a": "me/a:latest",
		"library/a/b": "library/a/b:latest", "localhost/a": "localhost/a:latest", "h:5000/a:v_1.x": "h:5000/a:v_1.x", "[::1]:80/a": "[::1]:80/a:latest",
		"Host/a": "Host/a:latest", "a__b/c--d.e": "a__b/c--d.e:latest", "a_b.c/d": "a_b.c/d:latest", "a:1@sha256:" + id: "a@sha256:" + id,
		"": "", "A": "", "h.io/A": "", "a:": "", "a:.x": "", "a..b": "", "a/": "", "/a": "", "a___b": "", "a b": "", "ä": "", id: "", "a@sha256:0": "",
		"a:" + strings.Repeat("t", 129): "",
	} {
		if got, err := normalize(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
	}
}
