package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"minidocker/mydocker/disk"

	"github.com/google/go-cmp/cmp"
	api "github.com/moby/moby/api/types/volume"
	"golang.org/x/sys/unix"
)

func nobody() (map[string][]string, error) { return nil, nil }

func use(t *testing.T, s *Store, name string) *Held {
	t.Helper()
	h, err := s.Use(api.CreateRequest{Name: name, Labels: map[string]string{"a": "b"}}, disk.Durable)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func names(t *testing.T, s *Store) (all []string) {
	t.Helper()
	entries, err := disk.List(s.root)
	if err != nil {
		t.Error(err)
	}
	return entries
}

// check looks through the store, and repairs it if asked. The errors are those of repair.
func check(t *testing.T, s *Store, repair bool, users Users) (found []error) {
	t.Helper()
	err := s.Check(users, func(_, _ string, mend func() error) {
		if !repair {
			mend = func() error { return nil }
		}
		found = append(found, mend())
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

func TestValidate(t *testing.T) {
	for name, valid := range map[string]bool{
		"ab": true, "a.b-c_d": true, "0x": true, strings.Repeat("a", 255): true,
		"": true, "a": false, "a/b": false, ".a": false, "-a": false, "..": false, "a b": false, "ä1": false, strings.Repeat("a", 256): false,
	} {
		if err := validate(api.CreateRequest{Name: name}); (err == nil) != valid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestUseFindRemove(t *testing.T) {
	s := Open(t.TempDir())
	if all, err := s.List(); err != nil || all != nil {
		t.Errorf("without a directory: %v %v", all, err)
	}
	h := use(t, s, "data")
	if !h.Made {
		t.Error("it was there")
	}
	var used *InUseError
	if err := s.Remove("data", nobody); !errors.As(err, &used) {
		t.Errorf("removal of what is held: %v", err)
	}
	h.Release(false)
	if again := use(t, s, "data"); again.Made {
		t.Error("made twice")
	} else {
		again.Release(false)
	}
	v, err := s.Find("data")
	if err != nil || v.Labels["a"] != "b" || v.Mountpoint != s.path("data", "_data") {
		t.Errorf("%+v %v", v, err)
	}
	err = s.Remove("data", func() (map[string][]string, error) { return map[string][]string{"data": {"id"}}, nil })
	if err == nil || err.Error() != "remove data: volume is in use - [id]" {
		t.Error(err)
	}
	if err := s.Remove("data", func() (map[string][]string, error) { return nil, errors.New("damaged") }); err == nil {
		t.Error("removed though nobody knows who has it")
	}
	if err := s.Remove("data", nobody); err != nil {
		t.Error(err)
	}
	var missing *NotFoundError
	if _, err := s.Find("data"); !errors.As(err, &missing) {
		t.Error(err)
	}
	if err := s.Remove("data", nobody); !errors.As(err, &missing) {
		t.Error(err)
	}
	if left := names(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestAnonymous(t *testing.T) {
	s := Open(t.TempDir())
	dropped := use(t, s, "")
	if err := s.Sweep(nobody); err != nil { // its maker lives
		t.Error(err)
	}
	dropped.Release(false)
	kept := use(t, s, "")
	if err := kept.Release(true); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{kept.Name}, names(t, s)); diff != "" {
		t.Error(diff)
	}
	// The maker of two died, of one after the container's record was written.
	recorded, unknown := use(t, s, ""), use(t, s, "")
	recorded.lock.Release()
	unknown.lock.Release()
	users := func() (map[string][]string, error) { return map[string][]string{recorded.Name: {"id"}}, nil }
	if found := check(t, s, false, users); len(found) != 2 {
		t.Error(found)
	}
	if err := s.Sweep(func() (map[string][]string, error) { return nil, errors.New("damaged") }); err != nil || len(names(t, s)) != 3 {
		t.Errorf("%v %v", err, names(t, s))
	}
	if err := s.Sweep(users); err != nil {
		t.Error(err)
	}
	if _, err := s.Find(recorded.Name); err != nil || len(names(t, s)) != 2 {
		t.Errorf("%v %v", err, names(t, s))
	}
}

// TestRemoveNeverThroughMount: not if it is there before, nor if a removal was killed.
func TestRemoveNeverThroughMount(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "a root"))
	precious := t.TempDir()
	os.WriteFile(filepath.Join(precious, "f"), nil, 0o600)
	use(t, s, "data").Release(false)
	mount := func(point string) {
		os.MkdirAll(point, 0o700)
		if err := unix.Mount(precious, point, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	point := s.path("data", dataDir, "y")
	mount(point)
	if err := s.Remove("data", nobody); !errors.Is(err, disk.ErrMounted) {
		t.Error(err)
	}
	if _, err := s.Find("data"); err != nil {
		t.Errorf("a refused removal harmed it: %v", err)
	}
	unix.Unmount(point, 0)
	os.Rename(s.path("data"), s.path(removing+"x"))
	point = s.path(removing+"x", dataDir, "y")
	mount(point)
	if found := check(t, s, true, nobody); len(found) != 1 || !errors.Is(found[0], disk.ErrMounted) {
		t.Error(found)
	}
	unix.Unmount(point, 0)
	if found := check(t, s, true, nobody); len(found) != 1 || found[0] != nil || len(names(t, s)) > 0 {
		t.Errorf("%v %v", found, names(t, s))
	}
	if _, err := os.Stat(filepath.Join(precious, "f")); err != nil {
		t.Error(err)
	}
}

func TestDamaged(t *testing.T) {
	s := Open(t.TempDir())
	use(t, s, "data").Release(false)
	for _, damage := range []string{"", "{", "{}", `{"Name":"other"}`} {
		os.WriteFile(s.path("data", recordFile), []byte(damage), 0o600)
		var missing *NotFoundError
		if _, err := s.Find("data"); err == nil || errors.As(err, &missing) {
			t.Errorf("%q: %v", damage, err)
		}
		if found := check(t, s, true, nobody); len(found) != 1 || found[0] == nil {
			t.Errorf("%q: %v", damage, found)
		}
	}
}
