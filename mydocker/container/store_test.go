package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/network"
)

func open(root, runRoot string) *Store {
	return Open(root, runRoot, network.Open(root, runRoot, "test"))
}

func newStore(t *testing.T) *Store {
	t.Helper()
	s := open(filepath.Join(t.TempDir(), "a root"), t.TempDir())
	t.Cleanup(func() {
		found, err := s.Check(false)
		if err != nil || len(found) > 0 {
			t.Errorf("check after the test: %v %v", found, err)
		}
	})
	return s
}

func record(name string) *Record {
	return &Record{
		ID: NewID(), Name: name, Created: time.Date(2024, 1, 2, 3, 4, 5, 6, time.UTC),
		Image: "sha256:abc", Layers: []string{"layers/b/fs", "layers/a/fs"}, Path: "sh", Args: []string{"-c", "true"},
		Config: &api.Config{Image: "busybox", Env: []string{"A=1"}}, HostConfig: &api.HostConfig{},
	}
}

func create(t *testing.T, s *Store, name string) *Record {
	t.Helper()
	r := record(name)
	if err := s.Create(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func remove(t *testing.T, s *Store, id string) {
	t.Helper()
	lock, err := s.TryLock(id)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if err := s.Remove(id, false); err != nil {
		t.Fatal(err)
	}
}

// tree lists every file below the store's two roots.
func tree(t *testing.T, s *Store) []string {
	t.Helper()
	paths := []string{}
	for _, root := range []string{s.root, s.runRoot} {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if path != s.containers() && path != s.names() && path != root && path != filepath.Dir(s.RunDir("x")) {
				paths = append(paths, path)
			}
			return err
		})
	}
	return paths
}

func TestCreateReadRemove(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	got, err := s.Record(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got, cmp.Comparer(func(a, b api.HostConfig) bool { return true })); diff != "" {
		t.Error(diff)
	}
	state, err := s.State(r.ID)
	if err != nil || state.Status != api.StateCreated {
		t.Errorf("state %+v, %v", state, err)
	}
	state.Status, state.ExitCode = api.StateExited, 3
	if err := s.SaveState(r.ID, state); err != nil {
		t.Fatal(err)
	}
	if state, err = s.State(r.ID); err != nil || state.ExitCode != 3 {
		t.Errorf("state %+v, %v", state, err)
	}
	os.MkdirAll(filepath.Join(s.RunDir(r.ID), "bundle"), 0o700)
	os.MkdirAll(filepath.Join(s.Dir(r.ID), "rw/upper/x"), 0o700)
	remove(t, s, r.ID)
	if left := tree(t, s); len(left) > 0 {
		t.Errorf("removal left %v", left)
	}
	var missing *NotFoundError
	for what, err := range map[string]error{
		"Record": second(s.Record(r.ID)), "State": second(s.State(r.ID)),
		"TryLock": second(s.TryLock(r.ID)), "SaveState": s.SaveState(r.ID, state), "Remove": s.Remove(r.ID, false),
	} {
		if !errors.As(err, &missing) {
			t.Errorf("%s after removal: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestResolve(t *testing.T) {
	s := newStore(t)
	ids := map[string]string{"a": strings.Repeat("a", 64), "b": "aab" + strings.Repeat("b", 61), "c": strings.Repeat("c", 64)}
	names := map[string]string{"a": "web", "b": "cc", "c": "db.1"}
	for key, id := range ids {
		r := record(names[key])
		r.ID = id
		if err := s.Create(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ ref, want, err string }{
		{ids["a"], "a", ""},
		{"web", "a", ""},
		{"/web", "a", ""},
		{"aaa", "a", ""},
		{"aab", "b", ""},
		{"cc", "b", ""}, // a name wins over the beginning of an ID
		{"ccc", "c", ""},
		{"db.1", "c", ""},
		{"aa", "", "multiple IDs found with provided prefix: aa: "},
		{"we", "", "No such container: we"},
		{"", "", "No such container: "},
		{"../names/web", "", "No such container: ../names/web"},
		{"..", "", "No such container: .."},
		{strings.Repeat("a", 63) + "b", "", "No such container: a"},
		{strings.Repeat("x", 300), "", "No such container: x"},
	} {
		got, err := s.Resolve(test.ref)
		if got != ids[test.want] || (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
			t.Errorf("Resolve(%q) = %q, %v", test.ref, got, err)
		}
	}
	_, err := s.Resolve("aa")
	for _, want := range []string{"aaaaaaaaaaaa (web)", "aabbbbbbbbbb (cc)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not list %s", err, want)
		}
	}
}

func TestDamagedIsNotAbsent(t *testing.T) {
	s := open(t.TempDir(), t.TempDir())
	r := create(t, s, "web")
	other := record("web") // whole, but of another container
	for name, damage := range map[string]func() error{
		"bare": func() error {
			return os.WriteFile(s.file(r.ID, configFile), fmt.Appendf(nil, `{"ID":%q}`, r.ID), 0o600)
		},
		"other's": func() error { return disk.WriteJSON(s.file(r.ID, configFile), other, disk.Volatile) },
		"cut":     func() error { return os.WriteFile(s.file(r.ID, configFile), []byte(`{"ID":`), 0o600) },
		"empty":   func() error { return os.WriteFile(s.file(r.ID, configFile), nil, 0o600) },
		"foreign": func() error { return os.WriteFile(s.file(r.ID, configFile), []byte(`{}`), 0o600) },
		"absent":  func() error { return os.RemoveAll(s.file(r.ID, configFile)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Record(r.ID)
		if missing := (*NotFoundError)(nil); err == nil || errors.As(err, &missing) {
			t.Errorf("%s: %v", name, err)
		}
		if id, err := s.Resolve("web"); id != r.ID {
			t.Errorf("%s: Resolve: %v", name, err)
		}
	}
	os.WriteFile(s.file(r.ID, configFile), []byte("{"), 0o600)
	if found, err := s.Check(true); err != nil || len(found) != 1 || found[0].Err == nil {
		t.Errorf("check: %v %v", found, err)
	}
	for content, want := range map[string]bool{"": true, "\x00\x00": true, "{": false} {
		os.WriteFile(s.file(r.ID, stateFile), []byte(content), 0o600)
		if state, err := s.State(r.ID); (err == nil) != want || want && state.ExitCode != 255 {
			t.Errorf("state %q: %+v %v", content, state, err)
		}
	}
	remove(t, s, r.ID) // a damaged container can be removed, and its name is free again
	if left := tree(t, s); len(left) > 0 {
		t.Errorf("removal left %v", left)
	}
}

func TestNameInUse(t *testing.T) {
	s := newStore(t)
	first := create(t, s, "web")
	before := tree(t, s)
	err := s.Create(record("web"))
	want := `Conflict. The container name "/web" is already in use by container "` + first.ID +
		`". You have to remove (or rename) that container to be able to reuse that name.`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %v", err, want)
	}
	if diff := cmp.Diff(before, tree(t, s)); diff != "" {
		t.Errorf("a refused creation left\n%s", diff)
	}
	remove(t, s, first.ID)
	create(t, s, "web")
}

func TestRename(t *testing.T) {
	s := newStore(t)
	web, db := create(t, s, "web"), create(t, s, "db")
	for name, want := range map[string]string{
		"web":  "Renaming a container with the same name as its current name",
		"/web": "Renaming a container with the same name as its current name",
		"a b":  "Error when allocating new name: Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
		"db":   "Error when allocating new name: " + (&NameInUseError{"db", db.ID}).Error(),
	} {
		if _, err := s.Rename(web, name); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	site, err := s.Rename(web, "/site")
	if err != nil || site.Name != "site" || web.Name != "web" {
		t.Errorf("%v %v %v", site, web, err)
	}
	if id, _ := s.Resolve("site"); id != web.ID {
		t.Errorf("site is %s", id)
	}
	if r, err := s.Record(web.ID); err != nil || r.Name != "site" {
		t.Errorf("%+v %v", r, err)
	}
	create(t, s, "web") // free again
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	s := newStore(t)
	r := record("web")
	if err := os.MkdirAll(filepath.Join(s.Dir(r.ID), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(r); !errors.Is(err, unix.EEXIST) {
		t.Fatalf("create over an existing directory: %v", err)
	}
	os.RemoveAll(s.Dir(r.ID))
	if left := tree(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestManyCreateOneName(t *testing.T) {
	s := newStore(t)
	var wg sync.WaitGroup
	errs := make([]error, 30)
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := record(fmt.Sprint("name", i%3))
			errs[i] = s.Create(r)
		}()
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
		} else if used := (*NameInUseError)(nil); !errors.As(err, &used) {
			t.Error(err)
		}
	}
	if ids, _ := s.IDs(); made != 3 || len(ids) != 3 {
		t.Errorf("%d creations succeeded, %d containers", made, len(ids))
	}
}

// TestSweptTooEarly: a sweeper takes a directory just made for a dead creator's,
// before its creator has locked it.
func TestSweptTooEarly(t *testing.T) {
	s := newStore(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				entries, _ := disk.List(s.containers())
				for _, entry := range entries {
					if !isID(entry) {
						(&checker{Store: s, repair: true}).halfDone(entry)
					}
				}
			}
		}
	}()
	for range 500 {
		r := record("web")
		r.HostConfig.AutoRemove = true
		if err := s.Create(r); err != nil {
			t.Fatal(err)
		}
		remove(t, s, r.ID)
	}
	close(stop)
	<-stopped
}

// TestStateOnFullDisk: the end of a container is recorded though no block is left.
func TestStateOnFullDisk(t *testing.T) {
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=128k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(root, unix.MNT_DETACH)
	s := open(root, t.TempDir())
	r := create(t, s, "web")
	os.WriteFile(filepath.Join(root, "ballast"), make([]byte, 128<<10), 0o600)
	for _, text := range []string{"a long reason", ""} {
		if err := s.SaveState(r.ID, &State{Status: api.StateExited, ExitCode: 7, Error: text}); err != nil {
			t.Fatal(err)
		}
		if state, err := s.State(r.ID); err != nil || state.ExitCode != 7 || state.Error != text {
			t.Errorf("state %+v, %v", state, err)
		}
	}
	if err := s.Create(record("more")); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a creation on a full disk: %v", err)
	}
	if found, err := s.Check(false); err != nil || len(found) > 0 {
		t.Errorf("left %v %v", found, err)
	}
}

// TestCreateRemoveRace: a name is never lost and never in two hands while
// creators, removers and sweepers of one name collide.
func TestCreateRemoveRace(t *testing.T) {
	s := newStore(t)
	stop := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	var owned sync.Mutex // held while "web" exists, by its creator
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for time.Now().Before(stop) {
				r := record("web")
				r.HostConfig.AutoRemove = true
				if err := s.Create(r); err != nil {
					if used := (*NameInUseError)(nil); !errors.As(err, &used) {
						t.Error(err)
					}
					continue
				}
				if !owned.TryLock() {
					t.Error("two containers have the name")
					return
				}
				if id, err := s.Resolve("web"); id != r.ID {
					t.Errorf("web is %q, %v", id, err)
				}
				owned.Unlock()
				remove(t, s, r.ID)
			}
		}()
	}
	for time.Now().Before(stop) {
		if err := s.Sweep(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	if left := tree(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestSecondRemoverFindsNothing(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	lock, err := s.TryLock(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := s.Alive(r.ID); !alive || err != nil {
		t.Errorf("Alive: %v %v", alive, err)
	}
	if _, err := s.TryLock(r.ID); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("TryLock: %v", err)
	}
	waiter := make(chan error)
	go func() {
		err := disk.ErrLocked
		for errors.Is(err, disk.ErrLocked) {
			_, err = s.TryLock(r.ID)
		}
		waiter <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := s.Remove(r.ID, false); err != nil {
		t.Fatal(err)
	}
	lock.Release()
	var missing *NotFoundError
	if err := <-waiter; !errors.As(err, &missing) {
		t.Errorf("the second remover got %v", err)
	}
}

func TestRemoveRefusesMounts(t *testing.T) {
	s := newStore(t)
	r := create(t, s, "web")
	precious := t.TempDir()
	os.WriteFile(filepath.Join(precious, "data"), nil, 0o600)
	for _, dir := range []string{s.Dir(r.ID), s.RunDir(r.ID)} {
		point := filepath.Join(dir, "a b")
		os.MkdirAll(point, 0o700)
		if err := unix.Mount(precious, point, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		err := s.Remove(r.ID, false)
		unix.Unmount(point, unix.MNT_DETACH)
		if !errors.Is(err, disk.ErrMounted) {
			t.Errorf("remove with a mount in %s: %v", dir, err)
		}
		if _, err := s.Record(r.ID); err != nil {
			t.Errorf("the refused removal harmed it: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(precious, "data")); err != nil {
		t.Error(err)
	}
	remove(t, s, r.ID)
}

func BenchmarkCreateRemove(b *testing.B) {
	for _, auto := range []bool{true, false} {
		b.Run(fmt.Sprintf("autoremove=%v", auto), func(b *testing.B) {
			s := open(b.TempDir(), b.TempDir())
			for b.Loop() {
				r := record("web")
				r.HostConfig.AutoRemove = auto
				if err := s.Create(r); err != nil {
					b.Fatal(err)
				}
				lock, _ := s.TryLock(r.ID)
				if err := s.Remove(r.ID, false); err != nil {
					b.Fatal(err)
				}
				lock.Release()
			}
		})
	}
}

func BenchmarkSweep200(b *testing.B) {
	s := open(b.TempDir(), b.TempDir())
	for i := range 200 {
		r := record(fmt.Sprint("web", i))
		r.HostConfig.AutoRemove = true
		s.Create(r)
	}
	for b.Loop() {
		s.Sweep()
	}
}
