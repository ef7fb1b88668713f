package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

type handling = func(http.ResponseWriter, *http.Request, http.Handler)

func isBlob(q *http.Request) bool {
	return q.Method == http.MethodGet && strings.Contains(q.URL.Path, "/blobs/")
}

// broken answers everything but /v2/ with a status.
func broken(status int) handling {
	return func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if q.URL.Path == "/v2/" {
			next.ServeHTTP(w, q)
			return
		}
		http.Error(w, "the test says so", status)
	}
}

// slowly sends blobs slowly until quick is closed.
func slowly(quick chan struct{}) handling {
	return func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if isBlob(q) {
			w = &slow{w, quick}
		}
		next.ServeHTTP(w, q)
	}
}

// first lets each URL fail so many times before it is answered.
func first(times int, fail handling) handling {
	var mutex sync.Mutex
	seen := map[string]int{}
	return func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		mutex.Lock()
		seen[q.Method+q.URL.Path]++
		n := seen[q.Method+q.URL.Path]
		mutex.Unlock()
		if n <= times {
			fail(w, q, next)
			return
		}
		next.ServeHTTP(w, q)
	}
}

func cut(after int) handling {
	return func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if isBlob(q) {
			w = &cutter{w, after}
		}
		next.ServeHTTP(w, q)
	}
}

// heavy are layers of noise, which compression does not make small: what is
// cut, slow or killed has to last.
func heavy(t *testing.T, layers, megabytes int) (all [][]byte) {
	t.Helper()
	for i := range layers {
		all = append(all, archive(t, file(fmt.Sprint("noise", i), fmt.Sprint(i)+noise(megabytes<<20))))
	}
	return all
}

// What goes wrong for a while the pull outlasts.
func TestPullRecovers(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := append(small(t), heavy(t, 1, 1)...)
	r.seed("app", "latest", layers...)
	name := r.address + "/app"
	retryAfter := func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	}
	for _, c := range []struct {
		what  string
		wrong handling
	}{
		{"connections are cut", first(2, cut(300_000))},
		{"connections are cut at once", first(2, func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })},
		{"500 once", first(1, broken(500))},
		{"503 once", first(1, broken(503))},
		{"429 once", first(1, retryAfter)},
	} {
		r.misbehaves(c.wrong)
		if got := h.try("pull", "-q", name); got.code != 0 {
			t.Errorf("%s: %s", c.what, got)
			continue
		}
		equal(t, c.what, h.ok("run", "--rm", name, "cat", "/one", "/two"), "12")
		h.rmiAll()
	}
}

// A connection that breaks goes on where it broke.
func TestPullRange(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	r.seed("app", "latest", heavy(t, 1, 4)...)
	r.misbehaves(first(3, cut(1_000_000)))
	h.ok("pull", "-q", r.address+"/app")
	r.mutex.Lock()
	ranges := slices.DeleteFunc(slices.Clone(r.ranges), func(s string) bool { return s == "" })
	r.mutex.Unlock()
	if len(ranges) < 3 {
		t.Errorf("the Range headers are %q", ranges)
	}
}

// What stays wrong is an error that leaves nothing, and a pull afterwards works.
func TestPullRefuses(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := small(t)
	d := r.seed("app", "latest", layers...)
	manifest, digest := r.get("app", "latest", dockerManifest)
	name := r.address + "/app"
	other := strings.Replace(string(manifest), `"schemaVersion":2`, `"schemaVersion": 2`, 1)
	flip := func(where func(q *http.Request) bool) handling {
		return func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			if where(q) {
				w = &flipper{w}
			}
			next.ServeHTTP(w, q)
		}
	}
	replace := func(text string) handling {
		return func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			if !strings.Contains(q.URL.Path, "/manifests/") {
				next.ServeHTTP(w, q)
				return
			}
			w.Header().Set("Content-Type", dockerManifest)
			w.Write([]byte(text))
		}
	}
	for _, c := range []struct {
		what  string
		ref   string
		wrong handling
	}{
		{"blobs are other ones", name, flip(isBlob)},
		{"the manifest is another one", name + "@" + digest, replace(other)},
		{"the manifest is garbage", name, replace("{")},
		{"the manifest has no layers", name, replace("{}")},
		{"the manifest is a page", name, replace("<html>")},
		{"the manifest refers to a path", name, replace(strings.ReplaceAll(string(manifest), "sha256:", "sha256:../../"))},
		{"401 for ever", name, broken(401)},
		{"403 for ever", name, broken(403)},
		{"404 of blobs", name, func(w http.ResponseWriter, q *http.Request, next http.Handler) {
			if isBlob(q) {
				http.NotFound(w, q)
				return
			}
			next.ServeHTTP(w, q)
		}},
	} {
		r.misbehaves(c.wrong)
		if got := h.try("pull", c.ref); got.code != 1 || got.err == "" || strings.Contains(got.out, "Status:") {
			t.Errorf("%s: %s", c.what, got)
		}
		equal(t, "images when "+c.what, h.ok("images", "-aq"), "")
	}
	r.misbehaves(nil)
	if out := h.ok("pull", name); !strings.Contains(out, "Digest: "+d["digest"].(string)) {
		t.Errorf("afterwards: %q", out)
	}
	equal(t, "afterwards", h.ok("run", "--rm", name, "cat", "/one", "/two"), "12")
	if n := len(storeLayers(h)); n != 3 {
		t.Errorf("%d layers", n)
	}
}

// flipper changes a byte in the middle of a body.
type flipper struct{ http.ResponseWriter }

func (f *flipper) Write(p []byte) (int, error) {
	changed := slices.Clone(p)
	if len(changed) > 0 {
		changed[len(changed)/2] ^= 1
	}
	return f.ResponseWriter.Write(changed)
}

// A registry that always fails ends the pull: it tries five times, not for ever.
func TestPullGivesUp(t *testing.T) {
	if testing.Short() {
		t.Skip("backs off for seconds")
	}
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	r.seed("app", "latest", busyboxLayer(t))
	r.misbehaves(broken(500))
	h.fails(1, []string{"500"}, "pull", r.address+"/app")
	if n := r.count("GET /v2/app/manifests/") + r.count("HEAD /v2/app/manifests/"); n < 2 || n > 12 {
		t.Errorf("%d requests", n)
	}
	equal(t, "images", h.ok("images", "-aq"), "")
}

// A pull that is killed leaves what it has, and the next one goes on with it.
func TestPullKilled(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := heavy(t, 4, 2)
	r.seed("app", "latest", layers...)
	name := r.address + "/app"
	quick := make(chan struct{})
	var mutex sync.Mutex
	var started []string
	r.misbehaves(func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		if isBlob(q) {
			mutex.Lock()
			started = append(started, q.URL.Path)
			n := len(started)
			mutex.Unlock()
			if n > 2 { // the config and one layer, or two layers, come whole
				w = &slow{w, quick}
			}
		}
		next.ServeHTTP(w, q)
	})
	p := h.begin("pull", name)
	p.says("Download complete")
	h.eventually("a third blob comes", func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(started) > 2
	})
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.exited
	close(quick)
	equal(t, "images", h.ok("images", "-aq"), "")
	// What the user does meanwhile takes nothing away that the pull has.
	h.ok("import", busybox, "busybox")
	h.ok("rmi", "busybox")
	h.ok("ps")

	r.misbehaves(nil)
	first := r.count("GET /v2/app/blobs/")
	r.forget()
	h.ok("pull", name)
	if again := r.count("GET /v2/app/blobs/"); again >= 5 {
		t.Errorf("%d blobs were asked for at first, and then %d of 5", first, again)
	}
	equal(t, "layers", h.ok("inspect", "-f", "{{len .RootFS.Layers}}", name), "4")
	if got := h.try("system", "check"); got.code != 0 {
		t.Errorf("%s", got)
	}

	// Prune takes away what a killed pull has left.
	h.rmiAll()
	quick = make(chan struct{})
	defer close(quick)
	r.misbehaves(slowly(quick))
	p = h.begin("pull", name)
	p.says("Pulling fs layer")
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.exited
	h.ok("image", "prune", "-f")
	blobs, _ := filepath.Glob(h.root + "/image/blobs/sha256/*")
	equal(t, "blobs after prune", fmt.Sprint(blobs), "[]")
	if left, _ := os.ReadDir(h.root + "/image/pulls"); len(left) > 0 {
		t.Errorf("after prune: %v", left)
	}
}

// An interrupt ends a pull as it ends docker's.
func TestPullInterrupted(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	r.seed("app", "latest", heavy(t, 2, 2)...)
	quick := make(chan struct{})
	defer close(quick)
	r.misbehaves(slowly(quick))
	p := h.begin("pull", r.address+"/app")
	p.says("Pulling fs layer")
	p.cmd.Process.Signal(syscall.SIGINT)
	if got := p.wait(); got.code == 0 {
		t.Errorf("%s", got)
	}
	equal(t, "images", h.ok("images", "-aq"), "")
	h.ok("image", "prune", "-f")
}

// Pulls at the same time share what they have in common.
func TestPullShared(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := heavy(t, 3, 1)
	r.seed("app", "one", layers...)
	r.seed("app", "two", append(layers[:2:2], archive(t, file("x", "x")))...)
	quick := make(chan struct{})
	r.misbehaves(slowly(quick))
	var pulls []*process
	for _, tag := range []string{"one", "one", "two", "two"} {
		pulls = append(pulls, h.begin("pull", r.address+"/app:"+tag))
	}
	for _, p := range pulls {
		p.says("Pulling fs layer")
	}
	close(quick)
	for _, p := range pulls {
		if got := p.wait(); got.code != 0 {
			t.Errorf("%s", got)
		}
	}
	if n := r.count("GET /v2/app/blobs/"); n != 6 { // four layers and two configs
		t.Errorf("%d blobs are fetched:\n%s", n, strings.Join(r.requests, "\n"))
	}
	equal(t, "layers", fmt.Sprint(len(storeLayers(h))), "4")
}

// What others remove meanwhile a pull does not miss.
func TestPullBesidePrune(t *testing.T) {
	r := newRegistry(t)
	h := emptyHost(t)
	t.Parallel()
	layers := append(small(t), heavy(t, 2, 1)...)
	r.seed("app", "small", layers[:3]...)
	r.seed("app", "latest", layers...)
	name := r.address + "/app"
	h.ok("pull", "-q", name+":small")
	quick := make(chan struct{})
	r.misbehaves(slowly(quick))
	p := h.begin("pull", name)
	p.says("Pulling fs layer")
	h.ok("rmi", name+":small") // three layers of which the pull counts on
	h.ok("image", "prune", "-af")
	h.ok("system", "prune", "-af")
	if r := h.try("system", "check"); r.code != 0 {
		t.Errorf("in the middle: %s", r)
	}
	close(quick)
	if got := p.wait(); got.code != 0 {
		t.Errorf("%s", got)
	}
	equal(t, "runs", h.ok("run", "--rm", name, "cat", "/one", "/two"), "12")

	// Pulls and removals at random.
	r.misbehaves(nil)
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() {
			for range 5 {
				tag := []string{":small", ":latest"}[i%2]
				if got := h.try("pull", "-q", name+tag); got.code != 0 {
					t.Errorf("%s", got)
				}
				h.try("rmi", "-f", name+tag)
				h.try("image", "prune", "-f")
			}
		})
	}
	workers.Wait()
	h.ok("pull", "-q", name)
	equal(t, "runs", h.ok("run", "--rm", name, "cat", "/one", "/two"), "12")
}
