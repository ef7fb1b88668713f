package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", path, err)
	}
}

func TestRemoveAll(t *testing.T) {
	dir := t.TempDir()
	for name, build := range map[string]func(path string) error{
		"absent":            func(path string) error { return nil },
		"absent, no parent": func(path string) error { return nil },
		"file":              func(path string) error { return os.WriteFile(path, nil, 0) },
		"empty directory":   func(path string) error { return os.Mkdir(path, 0) },
		"tree": func(path string) error {
			return errors.Join(os.MkdirAll(path+"/a/b/c", 0o700), os.WriteFile(path+"/a/b/x", nil, 0o600),
				os.Symlink("/", path+"/a/root"), os.Symlink("loop", path+"/loop"),
				unix.Mkfifo(path+"/fifo", 0o600), unix.Mknod(path+"/a/null", unix.S_IFCHR|0o600, 0x103))
		},
		"names": func(path string) error {
			return errors.Join(os.MkdirAll(path+"/ new\nline/\xff", 0o700), os.WriteFile(path+"/-rf", nil, 0o600))
		},
	} {
		path := filepath.Join(dir, name)
		if name == "absent, no parent" {
			path += "/below/it"
		}
		if err := build(path); err != nil {
			t.Fatal(err)
		}
		if err := RemoveAll(path + "/"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		gone(t, path)
	}
	only(t, dir)
}

// TestRemoveAllFollowsNoSymlink, neither at the path itself nor in the tree.
func TestRemoveAllFollowsNoSymlink(t *testing.T) {
	precious, dir := t.TempDir(), t.TempDir()
	os.WriteFile(filepath.Join(precious, "data"), nil, 0o600)
	tree := filepath.Join(dir, "tree")
	os.MkdirAll(filepath.Join(tree, "sub"), 0o700)
	for _, link := range []string{filepath.Join(dir, "link"), filepath.Join(tree, "link"), filepath.Join(tree, "sub", "link")} {
		if err := os.Symlink(precious, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "link"), tree} {
		if err := RemoveAll(path); err != nil {
			t.Error(err)
		}
	}
	only(t, dir)
	only(t, precious, "data")
}

// TestRemoveAllRefusesMounts, whatever is mounted, and wherever in the tree.
func TestRemoveAllRefusesMounts(t *testing.T) {
	for name, mount := range map[string]func(precious, point string) error{
		"tmpfs": func(precious, point string) error {
			return errors.Join(os.Mkdir(point, 0o700), unix.Mount("tmpfs", point, "tmpfs", 0, "size=64k"),
				os.WriteFile(point+"/data", nil, 0o600))
		},
		"bind of the same file system": func(precious, point string) error {
			return errors.Join(os.Mkdir(point, 0o700), unix.Mount(precious, point, "", unix.MS_BIND, ""))
		},
		"bind of a file": func(precious, point string) error {
			return errors.Join(os.WriteFile(point, nil, 0o600), unix.Mount(precious+"/data", point, "", unix.MS_BIND, ""))
		},
		"bind of itself": func(precious, point string) error {
			return errors.Join(os.Mkdir(point, 0o700), os.WriteFile(point+"/data", nil, 0o600), unix.Mount(point, point, "", unix.MS_BIND, ""))
		},
	} {
		for _, below := range []string{"", "a/b/c"} {
			precious, dir := t.TempDir(), t.TempDir()
			os.WriteFile(filepath.Join(precious, "data"), []byte("x"), 0o600)
			os.MkdirAll(filepath.Join(dir, "tree", below), 0o700)
			point := filepath.Join(dir, "tree", below, "point")
			if err := mount(precious, point); err != nil {
				t.Fatal(name, err)
			}
			for _, path := range []string{point, filepath.Join(dir, "tree")} {
				if err := RemoveAll(path); !errors.Is(err, ErrMounted) {
					t.Errorf("%s in %q: RemoveAll(%s): %v", name, below, path, err)
				}
			}
			only(t, precious, "data")
			if name == "tmpfs" || name == "bind of itself" {
				only(t, point, "data")
			}
			if err := unix.Unmount(point, 0); err != nil {
				t.Errorf("%s in %q: the mount has gone: %v", name, below, err)
			}
			if err := RemoveAll(filepath.Join(dir, "tree")); err != nil {
				t.Errorf("once it is unmounted: %v", err)
			}
		}
	}
}

// TestRemoveAllOfMuch: more entries than a read of the directory returns, and
// deeper than a path may be long and than descriptors may be open.
func TestRemoveAllOfMuch(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 100, Max: limit.Max})
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	dir := t.TempDir()
	wide := filepath.Join(dir, "wide")
	os.Mkdir(wide, 0o700)
	for i := range 5000 {
		if err := os.WriteFile(filepath.Join(wide, fmt.Sprint("file-", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deep := filepath.Join(dir, "deep")
	os.Mkdir(deep, 0o700)
	at, err := unix.Open(deep, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for i := 0; i < 3000 && err == nil; i++ {
		if i%50 == 0 { // what is in the way of what is moved up
			unix.Mkdirat(at, ".deep-0", 0o700)
		}
		if err = unix.Mkdirat(at, "directory", 0o700); err == nil {
			var next int
			next, err = unix.Openat(at, "directory", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			unix.Close(at)
			at = next
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(at)
	for _, path := range []string{wide, deep} {
		if err := RemoveAll(path); err != nil {
			t.Error(err)
		}
	}
	only(t, dir)
}

// TestRemoveAllImmutable: what a flag protects stays, and the error says so.
func TestRemoveAllImmutable(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"file", "directory"} {
		path := filepath.Join(dir, "tree", name)
		os.MkdirAll(filepath.Dir(path), 0o700)
		if name == "file" {
			os.WriteFile(path, nil, 0o600)
		} else {
			os.MkdirAll(path+"/below", 0o700)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		const immutable = 0x10 // FS_IMMUTABLE_FL
		if err := unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
			t.Fatal(err)
		}
		if err := RemoveAll(filepath.Join(dir, "tree")); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "tree/unlink "+name) {
			t.Errorf("%s: %v", name, err)
		}
		unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, 0)
		file.Close()
		if err := RemoveAll(filepath.Join(dir, "tree")); err != nil {
			t.Error(err)
		}
	}
}

// TestRemoveAllTwiceAtOnce: two who remove one tree do not disturb each other.
func TestRemoveAllTwiceAtOnce(t *testing.T) {
	for range 20 {
		tree := filepath.Join(t.TempDir(), "tree")
		for i := range 100 {
			os.MkdirAll(filepath.Join(tree, fmt.Sprint(i%10), fmt.Sprint(i)), 0o700)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := RemoveAll(tree); err != nil {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		gone(t, tree)
	}
}
