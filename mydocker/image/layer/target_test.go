package layer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCopy: owners, modes, extended attributes, hard links and links.
func TestCopy(t *testing.T) {
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
	if err := errors.Join(err, err2, Copy(source, target)); err != nil {
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
