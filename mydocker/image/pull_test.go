package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"minidocker/mydocker/image/registry"
)

// testRegistry is a registry whose answers may be spoilt; it counts what it is asked.
type testRegistry struct {
	host  string
	mu    sync.Mutex
	count map[string]int // by method and kind: GET blobs
	spoil func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newRegistry(t *testing.T) *testRegistry {
	t.Helper()
	r := &testRegistry{count: map[string]int{}}
	inner := memory.New(memory.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		if parts := strings.Split(q.URL.Path, "/"); len(parts) > 3 {
			r.count[q.Method+" "+parts[len(parts)-2]]++
		}
		spoil := r.spoil
		r.mu.Unlock()
		if spoil != nil {
			spoil(w, q, inner)
			return
		}
		inner.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.host = strings.TrimPrefix(server.URL, "http://")
	return r
}

func (r *testRegistry) asked(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[what]
}

// faulty makes the registry do something else from now on, and count anew.
func (r *testRegistry) faulty(spoil func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spoil, r.count = spoil, map[string]int{}
}

func isBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

// testLayer has a file of random bytes, so that it does not get smaller.
func testLayer(t *testing.T, file string, size int) v1.Layer {
	t.Helper()
	content := make([]byte, size)
	rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", file)))).Read(content)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	w.WriteHeader(&tar.Header{Name: file, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(size)})
	w.Write(content)
	w.Close()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func testImage(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	i, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64"})
	if err == nil {
		i, err = mutate.AppendLayers(i, layers...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func (r *testRegistry) put(t *testing.T, ref string, i v1.Image) {
	t.Helper()
	at, err := name.ParseReference(r.host + "/" + ref)
	if err == nil {
		err = remote.Write(at, i)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func client() *registry.Client { return registry.New(registry.Options{}) }

// clean asserts that the store is whole and holds nothing that no image needs.
func clean(t *testing.T, s *Store) {
	t.Helper()
	problems, err := s.Check(false, true)
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %v %v", problems, err)
	}
	if left, _ := os.ReadDir(s.pulls()); len(left) > 0 {
		t.Errorf("%d records of pulls are left", len(left))
	}
}

func TestPull(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	one, two := testLayer(t, "one", 3000), testLayer(t, "two", 2000)
	r.put(t, "x/img:1", testImage(t, one, two))
	var lines []string
	o := PullOptions{Progress: func(p Progress) {
		if p.Total == 0 {
			lines = append(lines, p.Layer+": "+p.Status)
		}
	}}
	pulled, err := s.Pull(t.Context(), client(), r.host+"/x/img:1", o)
	if err != nil || !pulled.New || pulled.Name != r.host+"/x/img:1" {
		t.Fatalf("%+v %v", pulled, err)
	}
	counts := map[string]int{}
	for _, line := range lines {
		_, status, _ := strings.Cut(line, ": ")
		counts[status]++
	}
	want := map[string]int{"Pulling from x/img": 1, "Pulling fs layer": 2, "Verifying Checksum": 2, "Download complete": 2, "Pull complete": 2,
		"Digest: " + string(pulled.Digest): 1, "Status: Downloaded newer image for " + pulled.Name: 1}
	if diff := cmp.Diff(want, counts); diff != "" || lines[0] != "1: Pulling from x/img" {
		t.Errorf("%s\n%s", lines[0], diff)
	}
	i, err := s.Resolve(r.host + "/x/img:1")
	if err != nil || i.ID != pulled.ID {
		t.Fatalf("%v %v", i, err)
	}
	if want := []string{r.host + "/x/img@" + string(pulled.Digest)}; !cmp.Equal(want, i.Digests) {
		t.Errorf("digests %v", i.Digests)
	}
	if dirs, _ := s.LayerDirs(i); len(dirs) != 2 {
		t.Errorf("layers %v", dirs)
	} else if _, err := os.Stat(filepath.Join(dirs[0], "two")); err != nil {
		t.Error(err)
	}
	clean(t, s)

	// Again, by its digest, and another tag of the same image: nothing is fetched.
	r.faulty(nil)
	r.put(t, "x/img:2", testImage(t, one, two))
	r.faulty(nil)
	again, err := s.Pull(t.Context(), client(), r.host+"/x/img:1", PullOptions{})
	if err != nil || again.New {
		t.Errorf("%+v %v", again, err)
	}
	byDigest, err := s.Pull(t.Context(), client(), r.host+"/x/img:1@"+string(pulled.Digest), PullOptions{})
	if err != nil || byDigest.New || byDigest.Name != r.host+"/x/img@"+string(pulled.Digest) {
		t.Errorf("%+v %v", byDigest, err)
	}
	lines, o.All = nil, true
	all, err := s.Pull(t.Context(), client(), r.host+"/x/img", o)
	said := []string{"1: Pulling from x/img", ": Digest: " + string(pulled.Digest), "2: Pulling from x/img", ": Digest: " + string(pulled.Digest),
		": Status: Downloaded newer image for " + r.host + "/x/img"}
	if !cmp.Equal(said, lines) || err != nil || !all.New || all.Name != r.host+"/x/img" {
		t.Errorf("%+v %v %q", all, err, lines)
	}
	if n := r.asked("GET blobs"); n != 0 {
		t.Errorf("%d blobs were fetched again", n)
	}

	// The tag moves: the old image has no name any more.
	r.put(t, "x/img:1", testImage(t, one))
	moved, err := s.Pull(t.Context(), client(), r.host+"/x/img:1", PullOptions{})
	if err != nil || !moved.New || moved.ID == pulled.ID {
		t.Errorf("%+v %v", moved, err)
	}
	if i, _ := s.Resolve(string(pulled.ID)); i == nil || !cmp.Equal(i.Names, []string{r.host + "/x/img:2"}) {
		t.Errorf("old image: %+v", i)
	}
	clean(t, s)
}

// TestPullManifestStays: an OCI manifest is kept as it is, of one of Docker's the
// layout has an OCI one, and both are pushed under the digest they had.
func TestPullManifestStays(t *testing.T) {
	for _, media := range []types.MediaType{types.DockerManifestSchema2, types.OCIManifestSchema1} {
		r, s := newRegistry(t), newStore(t)
		i := mutate.MediaType(testImage(t, testLayer(t, "file", 5000)), media)
		r.put(t, "x:1", i)
		want, _ := i.Digest()
		pulled, err := s.Pull(t.Context(), client(), r.host+"/x:1", PullOptions{})
		if err != nil || string(pulled.Digest) != want.String() {
			t.Fatalf("%s: %+v %v", media, pulled, err)
		}
		stored, _ := s.Resolve(r.host + "/x:1")
		if media == types.OCIManifestSchema1 && stored.Descriptor.Digest != pulled.Digest {
			t.Errorf("the manifest was changed: %s", stored.Descriptor.Digest)
		}
		if err := errors.Join(s.sweep(false)); err != nil || stored.Manifest.MediaType != string(types.OCIManifestSchema1) {
			t.Errorf("%v %s", err, stored.Manifest.MediaType)
		}
		s.Tag(r.host+"/x:1", r.host+"/y/z:2")
		pushed, err := s.Push(t.Context(), client(), r.host+"/y/z:2", PushOptions{})
		if err != nil || pushed.Digest != pulled.Digest {
			t.Errorf("%s: pushed %+v %v", media, pushed, err)
		}
		clean(t, s)
	}
}

func TestPullRefusals(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	r.put(t, "x:1", testImage(t, testLayer(t, "file", 100)))
	windows, _ := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "windows", Architecture: "amd64"})
	r.put(t, "win:1", windows)
	r.put(t, "helm:1", mutate.ConfigMediaType(testImage(t, testLayer(t, "file", 100)), "application/vnd.cncf.helm.config.v1+json"))
	index, _ := name.ParseReference(r.host + "/multi:1")
	err := remote.WriteIndex(index, mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: testImage(t, testLayer(t, "arm", 100)), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}}},
		mutate.IndexAddendum{Add: testImage(t, testLayer(t, "s390x", 100)), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ref, platform, want string }{
		{"x:nope", "", "manifest for HOST/x:nope not found: manifest unknown: Unknown manifest"},
		{"none:1", "", "repository HOST/none not found: name unknown: Unknown name"},
		{"x@sha256:" + strings.Repeat("1", 64), "", "manifest unknown"},
		{"win:1", "", `image operating system "windows" cannot be used on this platform`},
		{"helm:1", "", `Encountered remote "application/vnd.cncf.helm.config.v1+json"(unknown) when fetching`},
		{"multi:1", "linux/amd64", "no matching manifest for linux/amd64 in the manifest list entries"},
		{"multi:1", "linux/arm/v5", "no matching manifest for linux/arm/v5 in the manifest list entries"},
		{"BAD:1", "", "must be lowercase"},
	} {
		_, err := s.Pull(t.Context(), client(), r.host+"/"+c.ref, PullOptions{Platform: c.platform})
		if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(c.want, "HOST", r.host)) {
			t.Errorf("%s: %v", c.ref, err)
		}
	}
	if _, err := s.Pull(t.Context(), client(), "scratch", PullOptions{}); err == nil || err.Error() != "'scratch' is a reserved name" {
		t.Error(err)
	}
	for _, platform := range []string{"linux/arm/v7", "arm", "s390x"} {
		if _, err := s.Pull(t.Context(), client(), r.host+"/multi:1", PullOptions{Platform: platform}); err != nil {
			t.Errorf("%s: %v", platform, err)
		}
	}
	clean(t, s)
}

// TestPullFaults: what passes is repeated, what does not is an error that leaves nothing.
func TestPullFaults(t *testing.T) {
	hit := func(n int) func() bool { // says yes n times
		var mu sync.Mutex
		return func() bool { mu.Lock(); defer mu.Unlock(); n--; return n >= 0 }
	}
	status := func(code int, times int) func(http.ResponseWriter, *http.Request, http.Handler) {
		now := hit(times)
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !now() {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(code)
		}
	}
	for name, c := range map[string]struct {
		spoil func(http.ResponseWriter, *http.Request, http.Handler)
		want  string
	}{
		"429 twice":  {status(429, 2), ""},
		"503 thrice": {status(503, 3), ""},
		"500 always": {status(500, 1000), "received unexpected HTTP status: 500 Internal Server Error"},
		"403":        {status(403, 1000), "403"},
		"cut":        {cut(hit(2)), ""},
		"cut always": {cut(hit(1000)), "EOF"},
		"a far Retry-After": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
			io.WriteString(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`)
		}, "toomanyrequests: slow down"},
		"a manifest cut": {func() func(http.ResponseWriter, *http.Request, http.Handler) {
			now := hit(2)
			return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !strings.Contains(r.URL.Path, "/manifests/") || !now() {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Length", "1000")
				io.WriteString(w, "{")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
		}(), ""},
		"an endless manifest": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				next.ServeHTTP(w, r)
			}
			for n := 0; n < 100; n++ {
				w.Write(make([]byte, 1<<16))
			}
		}, "is larger than 4194304 bytes"},
		"an index of tags": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !strings.HasSuffix(r.URL.Path, "/manifests/1") {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", string(types.OCIImageIndex))
			io.WriteString(w, `{"schemaVersion":2,"manifests":[{"digest":"1","size":1}]}`)
		}, `invalid digest "1"`},
		"control of the terminal": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.WriteHeader(404)
			io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"\u001b[2Jgone"}]}`)
		}, "manifest unknown: [2Jgone"},
		"another blob": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !isBlob(r) {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			rec.Body.Bytes()[rec.Body.Len()/2] ^= 1
			w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
			w.Write(rec.Body.Bytes())
		}, "filesystem layer verification failed for digest sha256:"},
		"an endless blob": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			if isBlob(r) {
				w.Write(make([]byte, 1<<16))
			}
		}, ""},
		"a short blob": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isBlob(r) && r.Header.Get("Range") != "" {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			} else if isBlob(r) {
				w.Write([]byte("short"))
			} else {
				next.ServeHTTP(w, r)
			}
		}, "after 5 of "},
		"a blob gone": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isBlob(r) {
				w.WriteHeader(404)
				io.WriteString(w, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`)
				return
			}
			next.ServeHTTP(w, r)
		}, "blob unknown: blob unknown to registry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s := newRegistry(t), newStore(t)
			r.put(t, "x:1", testImage(t, testLayer(t, "one", 300_000), testLayer(t, "two", 1000)))
			r.faulty(c.spoil)
			_, err := s.Pull(t.Context(), client(), r.host+"/x:1", PullOptions{})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if images, _ := s.List(); err != nil && len(images) > 0 {
				t.Error("an image was stored")
			}
			if !registry.Temporary(err) {
				clean(t, s)
			}
			s.Prune(RemoveOptions{}, func(*Image) bool { return true })
			clean(t, s)
		})
	}
}

// cut breaks the connection in the middle of a blob, and obeys ranges.
func cut(now func() bool) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !isBlob(r) {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		whole := r.Clone(r.Context())
		whole.Header.Del("Range")
		next.ServeHTTP(rec, whole)
		body := rec.Body.Bytes()
		var first, last int
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n == 2 {
			body = body[first : last+1]
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		if now() {
			if len(body) > 10_000 {
				w.Write(body[:len(body)/3])
				w.(http.Flusher).Flush()
			}
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
	}
}

// TestPullGoesOn: an interrupted pull is continued by the next one, also after a sweep.
func TestPullGoesOn(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	r.put(t, "x:1", testImage(t, testLayer(t, "big", 3_000_000), testLayer(t, "small", 1000)))
	ctx, cancel := context.WithCancel(t.Context())
	sent := int64(0)
	r.faulty(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, q)
		if body := rec.Body.Bytes(); isBlob(q) && len(body) > 1_000_000 {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.Write(body[:2_000_000])
			w.(http.Flusher).Flush()
			time.Sleep(200 * time.Millisecond)
			cancel()
			<-q.Context().Done()
			return
		}
		next.ServeHTTP(w, q)
	})
	_, err := s.Pull(ctx, client(), r.host+"/x:1", PullOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := s.sweep(false); err != nil {
		t.Error(err)
	}
	r.faulty(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		cut(func() bool { return false })(&counting{w, &sent, &r.mu}, q, next)
	})
	if _, err := s.Pull(t.Context(), client(), r.host+"/x:1", PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if sent > 1_200_000 || sent < 500_000 {
		t.Errorf("%d bytes were fetched, about 1 MB was missing", sent)
	}
	clean(t, s)
}

type counting struct {
	http.ResponseWriter
	n  *int64
	mu *sync.Mutex
}

func (c *counting) Write(p []byte) (int, error) {
	c.mu.Lock()
	*c.n += int64(len(p))
	c.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// TestPullDamagedRest: what an earlier pull left is not trusted.
func TestPullDamagedRest(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	l := testLayer(t, "file", 100_000)
	r.put(t, "x:1", testImage(t, l))
	r.faulty(cut(func() bool { return false }))
	d, _ := l.Digest()
	os.WriteFile(filepath.Join(s.blobs(), "new-"+d.Hex), bytes.Repeat([]byte("x"), 5000), 0o600)
	if _, err := s.Pull(t.Context(), client(), r.host+"/x:1", PullOptions{}); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
}

// TestPullSizes: a layer that is there is not taken for one of another size, which
// other tools would miss in the layout.
func TestPullSizes(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	l := testLayer(t, "file", 100_000)
	r.put(t, "x:1", testImage(t, l))
	r.put(t, "x:2", testImage(t, l, testLayer(t, "other", 10)))
	if _, err := s.Pull(t.Context(), client(), r.host+"/x:1", PullOptions{}); err != nil {
		t.Fatal(err)
	}
	size, _ := l.Size()
	r.faulty(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.URL.Path != "/v2/x/manifests/2" {
			next.ServeHTTP(w, q)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, q)
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.Write(bytes.Replace(rec.Body.Bytes(), fmt.Append(nil, size), fmt.Append(nil, size+1), 1))
	})
	if _, err := s.Pull(t.Context(), client(), r.host+"/x:2", PullOptions{}); err == nil || !strings.Contains(err.Error(), "it has not the size of") {
		t.Error(err)
	}
	clean(t, s)
}

// TestPullTogether: two that pull one image fetch each blob once.
func TestPullTogether(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	r.put(t, "x:1", testImage(t, testLayer(t, "one", 500_000), testLayer(t, "two", 400_000)))
	r.faulty(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		time.Sleep(20 * time.Millisecond)
		next.ServeHTTP(w, q)
	})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			other, _ := Open(s.root)
			if _, err := other.Pull(t.Context(), client(), r.host+"/x:1", PullOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := r.asked("GET blobs"); n != 3 {
		t.Errorf("%d blobs were fetched, there are 3", n)
	}
	clean(t, s)
}

// TestPullBadLayers: what is not a layer, or not the one the config names.
func TestPullBadLayers(t *testing.T) {
	good := testLayer(t, "file", 50_000)
	compressed, _ := good.Compressed()
	data, _ := io.ReadAll(compressed)
	for name, c := range map[string]struct {
		blob []byte
		want string
	}{
		"truncated gzip": {data[:len(data)/2], "unexpected EOF"},
		"no tar":         {[]byte(strings.Repeat("no tar at all ", 200)), "failed to register layer"},
		"another layer":  {nil, "layer verification failed"},
	} {
		r, s := newRegistry(t), newStore(t)
		if c.blob == nil {
			rc, _ := testLayer(t, "other", 100).Compressed()
			c.blob, _ = io.ReadAll(rc)
		}
		r.put(t, "x:1", testImage(t, falseLayer{good, c.blob}))
		_, err := s.Pull(t.Context(), client(), r.host+"/x:1", PullOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, s)
	}
}

// falseLayer has another blob than its diff ID says.
type falseLayer struct {
	v1.Layer
	blob []byte
}

func (l falseLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.blob)), nil
}
func (l falseLayer) Size() (int64, error) { return int64(len(l.blob)), nil }
func (l falseLayer) Digest() (v1.Hash, error) {
	return v1.NewHash(string(digest.FromBytes(l.blob)))
}

// TestPush: blobs that are there are skipped, those that are elsewhere are mounted,
// and a plain layer is compressed once, for good.
func TestPush(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	plain, _ := testLayer(t, "plain", 20_000).Uncompressed()
	i, err := s.Import(t.Context(), plain, ImportOptions{Ref: r.host + "/x:1"})
	if err != nil {
		t.Fatal(err)
	}
	push := func(ref string) (lines []string, pushed Pushed) {
		t.Helper()
		pushed, err := s.Push(t.Context(), client(), r.host+"/"+ref, PushOptions{Progress: func(p Progress) {
			if p.Total == 0 && !strings.Contains(p.Status, "digest") {
				lines = append(lines, strings.ReplaceAll(p.Layer+": "+p.Status, i.Layers()[0].Encoded()[:12], "LAYER"))
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		return lines, pushed
	}
	lines, pushed := push("x:1")
	if want := []string{": The push refers to repository [" + r.host + "/x]", "LAYER: Preparing", "LAYER: Pushed"}; !cmp.Equal(want, lines) {
		t.Errorf("%q", lines)
	}
	if lines, again := push("x:1"); lines[2] != "LAYER: Layer already exists" || again != pushed {
		t.Errorf("%q %+v", lines, again)
	}
	s.Tag(r.host+"/x:1", r.host+"/a/b:2")
	mounts := 0
	r.faulty(func(w http.ResponseWriter, q *http.Request, next http.Handler) { // in memory it has all blobs everywhere
		switch {
		case q.Method == http.MethodHead && strings.HasPrefix(q.URL.Path, "/v2/a/b/blobs/"):
			w.WriteHeader(http.StatusNotFound)
		case q.URL.Query().Get("from") == "x":
			mounts++
			w.WriteHeader(http.StatusCreated)
		default:
			next.ServeHTTP(w, q)
		}
	})
	if lines, again := push("a/b:2"); lines[2] != "LAYER: Mounted from x" || again.Digest != pushed.Digest || mounts != 1 {
		t.Errorf("%q %+v", lines, again)
	}
	clean(t, s)
	other := newStore(t)
	pulled, err := other.Pull(t.Context(), client(), r.host+"/a/b:2", PullOptions{})
	if err != nil || pulled.ID != i.ID || pulled.Digest != pushed.Digest {
		t.Errorf("%+v %v", pulled, err)
	}
	for ref, want := range map[string]string{
		r.host + "/x:none": "tag does not exist: " + r.host + "/x:none", r.host + "/none": "An image does not exist locally with the tag: " + r.host + "/none",
		r.host + "/x@" + string(pushed.Digest): "cannot push a digest reference",
	} {
		if _, err := s.Push(t.Context(), client(), ref, PushOptions{}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestPushFaults(t *testing.T) {
	r, s := newRegistry(t), newStore(t)
	plain, _ := testLayer(t, "plain", 200_000).Uncompressed()
	s.Import(t.Context(), plain, ImportOptions{Ref: r.host + "/x:1"})
	failures := 0
	r.faulty(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		r.mu.Lock()
		failures++
		n := failures
		r.mu.Unlock()
		switch {
		case q.Method == http.MethodPatch && n < 8:
			io.CopyN(io.Discard, q.Body, 1000)
			panic(http.ErrAbortHandler)
		case n == 3 || n == 5 || n == 11:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			next.ServeHTTP(w, q)
		}
	})
	if _, err := s.Push(t.Context(), client(), r.host+"/x:1", PushOptions{}); err != nil {
		t.Error(err)
	}
	clean(t, s)
}
