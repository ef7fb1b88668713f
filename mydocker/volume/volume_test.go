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
	entries, err := s.entries()
	if err != nil {
		t.Error(err)
	}
	return entries
}

func TestCheckName(t *testing.T) {
	for name, valid := range map[string]bool{
		"ab": true, "a.b-c_d": true, "0x": true, strings.Repeat("a", 255): true,
		"": false, "a": false, "a/b": false, ".a": false, "-a": false, "..": false, "a b": false, "ä1": false, strings.Repeat("a", 256): false,
	} {
		if err := checkName(name); (err == nil) != valid {
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
	h.Release()
	if again := use(t, s, "data"); again.Made {
		t.Error("made twice")
	} else {
		again.Release()
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
	dropped.Release()
	kept := use(t, s, "")
	if err := kept.Publish(); err != nil {
		t.Error(err)
	}
	kept.Release()
	if diff := cmp.Diff([]string{kept.Name}, names(t, s)); diff != "" {
		t.Error(diff)
	}
	// The maker of two died, of one after the container's record was written.
	recorded, unknown := use(t, s, ""), use(t, s, "")
	recorded.lock.Release()
	unknown.lock.Release()
	users := func() (map[string][]string, error) { return map[string][]string{recorded.Name: {"id"}}, nil }
	if found, err := s.Check(false, users); err != nil || len(found) != 2 {
		t.Errorf("%v %v", found, err)
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
	use(t, s, "data").Release()
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
	found, err := s.Check(true, nobody)
	if err != nil || len(found) != 1 || !errors.Is(found[0].Err, disk.ErrMounted) {
		t.Errorf("%v %v", found, err)
	}
	unix.Unmount(point, 0)
	if found, err := s.Check(true, nobody); err != nil || len(found) != 1 || found[0].Err != nil || len(names(t, s)) > 0 {
		t.Errorf("%v %v %v", found, err, names(t, s))
	}
	if _, err := os.Stat(filepath.Join(precious, "f")); err != nil {
		t.Error(err)
	}
}

func TestDamaged(t *testing.T) {
	s := Open(t.TempDir())
	use(t, s, "data").Release()
	for _, damage := range []string{"", "{", "{}", `{"Name":"other"}`} {
		os.WriteFile(s.path("data", recordFile), []byte(damage), 0o600)
		var missing *NotFoundError
		if _, err := s.Find("data"); err == nil || errors.As(err, &missing) {
			t.Errorf("%q: %v", damage, err)
		}
		if found, err := s.Check(true, nobody); err != nil || len(found) != 1 || found[0].Err == nil {
			t.Errorf("%q: %v %v", damage, found, err)
		}
	}
}

// TestCopyTree: owners, modes, extended attributes, hard links and links.
func TestCopyTree(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := filepath.Join(from, "f")
	err := errors.Join(os.WriteFile(file, []byte("x"), 0o640), os.Chown(file, 5, 6), unix.Chmod(file, 0o4711), os.Link(file, from+"/g"),
		os.Symlink("/nowhere", from+"/l"), os.Mkdir(from+"/d", 0o700), unix.Chmod(from, 0o1777), os.Chown(from, 7, 8),
		unix.Setxattr(file, "user.k", []byte("v"), 0), unix.Setxattr(from, "user.top", []byte("t"), 0), unix.Setxattr(from+"/d", "trusted.k", []byte("w"), 0))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.Open(from)
	target, err2 := os.Open(to)
	if err := errors.Join(err, err2, copyTree(source, target)); err != nil {
		t.Fatal(err)
	}
	var f, g, top unix.Stat_t
	if err := errors.Join(unix.Stat(to+"/f", &f), unix.Stat(to+"/g", &g), unix.Stat(to, &top)); err != nil {
		t.Fatal(err)
	}
	if f.Ino != g.Ino || f.Uid != 5 || f.Gid != 6 || f.Mode&0o7777 != 0o4711 || top.Uid != 7 || top.Mode&0o7777 != 0o1777 {
		t.Errorf("%+v %+v %+v", f, g, top)
	}
	for path, attribute := range map[string]string{"/f": "user.k=v", "": "user.top=t", "/d": "trusted.k=w"} {
		key, want, _ := strings.Cut(attribute, "=")
		value := make([]byte, 10)
		if n, err := unix.Getxattr(to+path, key, value); err != nil || string(value[:n]) != want {
			t.Errorf("%s of %s: %q %v", key, path, value, err)
		}
	}
	if link, err := os.Readlink(to + "/l"); link != "/nowhere" {
		t.Error(link, err)
	}
}
