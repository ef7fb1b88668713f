package rootfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpenIn makes a directory in which an image has laid out all that a name may be.
func TestOpenIn(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(in("file"), []byte("inside"), 0o600), os.Symlink("/file", in("absolute")), os.Symlink("../../file", in("up")),
		os.Symlink("/etc/passwd", in("out")), os.Symlink("/proc/self/exe", in("magic")), os.Mkdir(in("directory"), 0o755),
		unix.Mkfifo(in("fifo"), 0o600), unix.Mknod(in("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, want := range map[string]string{"file": "inside", "absolute": "inside", "up": "inside", "out": "", "magic": "", "absent": "", "directory": "", "fifo": "", "device": ""} {
		text := ""
		file, err := OpenIn(root, name)
		if err == nil {
			data, _ := io.ReadAll(io.LimitReader(file, 100))
			text = string(data)
			file.Close()
		}
		if text != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", name, text, err, want)
		}
		if absent := name == "out" || name == "magic" || name == "absent"; errors.Is(err, os.ErrNotExist) != absent {
			t.Errorf("%s: %v: absent is to be %t", name, err, absent)
		}
	}
}
