package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"minidocker/mydocker/disk"
)

// TestSave saves images whose layers are compressed in all ways and loads the archive
// into another store: twice the same bytes, and the same images come out.
func TestSave(t *testing.T) {
	for _, how := range []string{"", "gzip", "zstd", "xz"} {
		from, to := store(t), store(t)
		load(t, from, archiveOf(dockerFiles(how, one, two)))
		var first, second bytes.Buffer
		for _, b := range []*bytes.Buffer{&first, &second} {
			if err := from.Save(ctx, b, "", "two", one.id().String(), "two:a"); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: two archives differ", how)
		}
		want := []Loaded{{"two:a", two.id(), ""}, {"two:b", two.id(), ""}, {"", one.id(), ""}}
		if diff := cmp.Diff(want, load(t, to, first.Bytes())); diff != "" {
			t.Errorf("%s: %s", how, diff)
		}
		// As an OCI layout, too, and no layer is there twice.
		layout := bytes.ReplaceAll(first.Bytes(), []byte("manifest.json"), []byte("manifest.jso_"))
		files := 0
		for r := tar.NewReader(bytes.NewReader(first.Bytes())); ; files++ {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if files != 9 { // 2 layers, 2 configs, 2 manifests, 3 that describe them
			t.Errorf("%s: %d files", how, files)
		}
		if _, err := to.Remove("two:b", RemoveOptions{}); err != nil {
			t.Error(err)
		}
		if loaded, err := to.Load(ctx, bytes.NewReader(fixChecksums(layout)), "", nil); err != nil || len(loaded) != 3 {
			t.Errorf("%s: as a layout: %v, %v", how, loaded, err)
		}
	}
}

// fixChecksums makes a header that lost a letter valid: only "n" became "_".
func fixChecksums(archive []byte) []byte {
	at := bytes.Index(archive, []byte("manifest.jso_"))
	header := archive[at : at+512]
	sum := 8 * int(' ')
	for n, b := range header {
		if n < 148 || n >= 156 {
			sum += int(b)
		}
	}
	copy(header[148:156], []byte(strings.Repeat("0", 6-len(octal(sum)))+octal(sum)+"\x00 "))
	return archive
}

func octal(n int) string {
	if n < 8 {
		return string(rune('0' + n))
	}
	return octal(n/8) + octal(n%8)
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func TestSaveErrors(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	load(t, s, dockerArchive(one, two))
	for after := 0; after < 8000; after += 700 {
		if err := s.Save(ctx, &failing{after}, "", "two:a"); !errors.Is(err, os.ErrClosed) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
	if err := s.Save(ctx, new(bytes.Buffer), "linux/s390x", "two:a"); err == nil || !strings.Contains(err.Error(), "wanted linux/s390x") {
		t.Error(err)
	}
	if err := s.Save(ctx, new(bytes.Buffer), "", "one", "none"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	os.WriteFile(s.blob(digest.FromBytes(top)), []byte("x"), 0o600)
	if err := s.Save(ctx, new(bytes.Buffer), "", "two:a"); err == nil {
		t.Error("a damaged blob was saved")
	}
}

// TestSaveRemoved: an image that is removed while it is saved is saved.
func TestSaveRemoved(t *testing.T) {
	s := store(t)
	load(t, s, dockerArchive(two))
	var archive bytes.Buffer
	removed := false
	err := s.Save(ctx, writer(func(p []byte) (int, error) {
		if !removed {
			removed = true
			if _, err := s.Remove(two.id().String(), RemoveOptions{Force: true}); err != nil {
				t.Error(err)
			}
		}
		return archive.Write(p)
	}), "", "two:a")
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.blobs()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	load(t, store(t), archive.Bytes())
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// committed makes an image as commit does, from parent.
func committed(t *testing.T, s *Store, parent digest.Digest, env string, names, digests []string) *Image {
	t.Helper()
	config := dockerImage{layers: [][]byte{base}, env: env}.config()
	blob, err := s.writeBlob(strings.NewReader(config), nil)
	layer, err2 := s.writeBlob(bytes.NewReader(base), nil)
	_, err3 := s.unpack(bytes.NewReader(base), digest.FromBytes(base))
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	i, err := s.newImage(blob, []ocispec.Descriptor{layer}, names)
	if err != nil {
		t.Fatal(err)
	}
	i.Parent, i.Digests = parent, digests
	if err := s.commit(i); err != nil {
		t.Fatal(err)
	}
	return i
}

func removed(t *testing.T, s *Store, ref string, o RemoveOptions) string {
	t.Helper()
	done, err := s.Remove(ref, o)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, d := range done {
		lines = append(lines, d.Untagged+d.Deleted)
	}
	return strings.Join(lines, " ")
}

// TestParents: Docker's rules, docker/moby image_delete.go, each answer as dockerd's.
func TestParents(t *testing.T) {
	s := store(t)
	a := committed(t, s, "", "a", []string{"a"}, nil)
	b := committed(t, s, a.ID, "b", nil, nil)
	c := committed(t, s, b.ID, "c", []string{"c"}, nil)
	if i, err := s.Resolve("c"); err != nil || i.Parent != b.ID {
		t.Fatalf("%+v, %v", i, err)
	}
	cannot := "conflict: unable to delete " + b.ID.Encoded()[:12] + " (cannot be forced) - image has dependent child images"
	for _, one := range []struct {
		ref  string
		o    RemoveOptions
		want string
	}{
		{b.ID.String(), RemoveOptions{Force: true}, cannot},
		{"a", RemoveOptions{}, "a:latest"}, // its child stays, so it does, without a name
		{"c", RemoveOptions{}, "c:latest " + c.ID.String() + " " + b.ID.String() + " " + a.ID.String() + " " + digest.FromBytes(base).String()},
	} {
		if got := removed(t, s, one.ref, one.o); got != one.want {
			t.Errorf("%s: %s, want %s", one.ref, got, one.want)
		}
	}
	a = committed(t, s, "", "a", nil, nil)
	b = committed(t, s, a.ID, "b", []string{"b"}, nil)
	if got := removed(t, s, "b", RemoveOptions{NoPrune: true}); got != "b:latest "+b.ID.String() {
		t.Error(got)
	}
	b = committed(t, s, a.ID, "b", nil, nil)
	if done, _, err := s.Prune(RemoveOptions{}, func(*Image) bool { return false }); err != nil || len(done) != 3 {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestDigests(t *testing.T) {
	s := store(t)
	original := "@" + digest.FromString("{}").String()
	if _, err := s.writeBlob(strings.NewReader("{}"), nil); err != nil {
		t.Fatal(err)
	}
	i := committed(t, s, "", "a", []string{"a:1", "b"}, []string{"a" + original, "c" + original})
	for _, ref := range []string{"a" + original, "a:7" + original, "docker.io/library/c" + original} {
		if found, err := s.Resolve(ref); err != nil || found.ID != i.ID || len(found.Digests) != 2 || len(found.Names) != 2 {
			t.Errorf("%s: %+v, %v", ref, found, err)
		}
	}
	// A load of the same image keeps the manifest that was pulled.
	load(t, s, archiveOf(dockerFiles("gzip", dockerImage{tags: []string{"a:2"}, layers: [][]byte{base}, env: "a"})))
	if found, err := s.Resolve("a:2"); err != nil || found.Descriptor.Digest != i.Descriptor.Digest || len(found.Names) != 3 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := os.Stat(s.blob(digest.FromString("{}"))); err != nil {
		t.Errorf("the original: %v", err)
	}
	for _, one := range [][2]string{
		{"a:2", "a:2"}, {"a:1", "a:1 a" + original}, {"c" + original, "c" + original},
		{"b", "b:latest " + i.ID.String() + " " + digest.FromBytes(base).String()},
	} {
		if got := removed(t, s, one[0], RemoveOptions{}); got != one[1] {
			t.Errorf("%s: %s, want %s", one[0], got, one[1])
		}
	}
}

// TestPulls: what an interrupted pull has stays until somebody prunes.
func TestPulls(t *testing.T) {
	s := store(t)
	load(t, s, dockerArchive(one)) // the first after a boot sweeps pulls, too
	blob, err := s.writeBlob(bytes.NewReader(top), nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest := ocispec.Manifest{Config: ocispec.Descriptor{Digest: digest.FromString("config")}, Layers: []ocispec.Descriptor{blob}}
	path, part := filepath.Join(s.pulls(), "x"), filepath.Join(s.blobs(), "new-"+digest.FromString("config").Encoded())
	os.MkdirAll(s.pulls(), 0o700)
	if err := errors.Join(disk.WriteJSON(path, manifest, disk.Durable), os.WriteFile(part, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	load(t, s, dockerArchive(one)) // ends with a sweep
	for _, path := range []string{path, part, s.blob(blob.Digest)} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	held, err := disk.Acquire(path, disk.Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := s.Check(true, true); len(problems) > 0 || err != nil {
		t.Errorf("while it is under way: %+v, %v", problems, err)
	}
	held.Release()
	if problems, err := s.Check(false, true); len(problems) != 3 || err != nil {
		t.Errorf("%+v, %v", problems, err)
	}
	boot := filepath.Join(s.layout(), "boot")
	if err := os.WriteFile(boot, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	load(t, s, dockerArchive(one))
	for _, path := range []string{path, part, s.blob(blob.Digest)} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("after a reboot there is %s: %v", path, err)
		}
	}
}

// TestForeign has descriptors as skopeo writes them: one with a name only, one of several
// platforms, one without anything, another manifest of an image that is there.
func TestForeign(t *testing.T) {
	s := store(t)
	load(t, s, dockerArchive(one))
	for name, data := range layoutFiles(two, "two") {
		if blob, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			os.WriteFile(filepath.Join(s.blobs(), blob), []byte(data), 0o600)
		}
	}
	gz, err := s.writeBlob(bytes.NewReader(compress("gzip", base)), nil)
	config, err2 := s.writeBlob(strings.NewReader(one.config()), nil)
	again, err3 := s.newImage(config, []ocispec.Descriptor{gz}, nil)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	err = s.update(func(index *ocispec.Index) error {
		data := layoutFiles(two, "two")["index.json"]
		at := strings.Index(data, "sha256:")
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.Digest(data[at : at+71]), Annotations: map[string]string{ocispec.AnnotationRefName: "many"}}
		index.Manifests = append(index.Manifests, d)
		again.Descriptor.Annotations = map[string]string{ocispec.AnnotationRefName: "docker.io/library/again:1"}
		index.Manifests = append(index.Manifests, again.Descriptor)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(false); err != nil {
		t.Fatal(err)
	}
	images, err := s.List()
	if err != nil || len(images) != 2 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	for _, ref := range []string{"many", "again:1", "one"} {
		i, err := s.Resolve(ref)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		if _, err := s.LayerDirs(i); err != nil {
			t.Error(err)
		}
	}
	if got := removed(t, s, "one", RemoveOptions{}); got != "one:latest" {
		t.Error(got)
	}
	for _, ref := range []string{"again:1", "many"} {
		if got := removed(t, s, ref, RemoveOptions{}); !strings.Contains(got, " sha256:") {
			t.Error(got)
		}
	}
	if left, _ := os.ReadDir(s.blobs()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, name := range []string{"busybox", "a.b:5/c/d:e@sha256:" + strings.Repeat("0", 64), "[::1]:80/a", "library/x", "docker.io/a", "localhost/x:y", "A/b", "a__b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		short, err := normalize(name)
		if err != nil {
			return
		}
		for _, again := range []string{short, fullName(short)} {
			if got, err := normalize(again); err != nil || got != short {
				t.Errorf("%q is %q; %q is %q, %v", name, short, again, got, err)
			}
		}
		repositoryOf(short)
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(dockerArchive(one, two))
	f.Add(archiveOf(layoutFiles(two, "x")))
	f.Add(compress("gzip", dockerArchive(one)))
	f.Fuzz(func(t *testing.T, archive []byte) {
		s := store(t)
		s.Load(ctx, bytes.NewReader(archive), "", nil)
	})
}

func FuzzMetadata(f *testing.F) {
	f.Add(`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"MANIFEST","annotations":{"org.opencontainers.image.ref.name":"two:a"}},`+
		`{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"MANIFEST","annotations":{"mydocker.parent":"CONFIG","org.opencontainers.image.ref.name":"a@CONFIG"}}]}`,
		`{"config":{"digest":"CONFIG"},"layers":[],"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"CONFIG"}]}`, dockerImage{}.config())
	f.Fuzz(func(t *testing.T, index, manifest, config string) {
		s, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.writeBlob(strings.NewReader(config), nil)
		manifest = strings.ReplaceAll(manifest, "CONFIG", c.Digest.String())
		d, err2 := s.writeBlob(strings.NewReader(manifest), nil)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		index = strings.ReplaceAll(strings.ReplaceAll(index, "MANIFEST", d.Digest.String()), "CONFIG", c.Digest.String())
		os.WriteFile(s.indexFile(), []byte(index), 0o600)
		s.List()
		s.Resolve("two:a")
		s.Check(true, true)
		s.Load(ctx, bytes.NewReader(archiveOf(map[string]string{"index.json": index, "blobs/sha256/" + d.Digest.Encoded(): manifest})), "", nil)
		s.Prune(RemoveOptions{}, func(*Image) bool { return false })
		outside, _ := os.ReadDir(s.root)
		if len(outside) != 2 {
			t.Errorf("in the root: %v", outside)
		}
	})
}
