package layer

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func diff(t *testing.T, upper string, leave ...string) []byte {
	t.Helper()
	dir, err := os.Open(upper)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var b bytes.Buffer
	if err := Diff(&b, dir, func(name string) bool { return slices.Contains(leave, name) }); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// names are those of an archive's entries, in its order.
func names(t *testing.T, stream []byte) (list []string) {
	t.Helper()
	for archive := tar.NewReader(bytes.NewReader(stream)); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		name := header.Name
		if header.Typeflag == tar.TypeLink {
			name += " = " + header.Linkname
		}
		list = append(list, name)
	}
}

// makeUpper fills a directory with everything that a layer can hold.
func makeUpper(t *testing.T, upper string) {
	t.Helper()
	long := strings.Repeat("long/", 30) + strings.Repeat("n", 200)
	write := func(name, content string, mode os.FileMode) {
		path := filepath.Join(upper, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chmod(path, uint32(mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("d/b", "b", 0o4755)
	write("d/empty", "", 0)
	write(long, "long", 0o640)
	write("not utf-8 \xff\xfe\nline", "x", 0o644)
	write("BZh91AY&SY", "the name of what bzip2 begins with", 0o644) // and no fraction of a second, below
	write("sparse", "", 0o644)
	write("cap", "", 0o755)
	path := func(name string) string { return filepath.Join(upper, name) }
	netRaw := "\x01\x00\x00\x02\x00\x20" + strings.Repeat("\x00", 14)
	for _, err := range []error{
		os.Truncate(path("sparse"), 3<<20),
		os.Link(path("d/b"), path("a")), // the first name is the file
		os.Link(path("d/b"), path("d/c")),
		unix.Lchown(path("d/b"), 70000, 3_000_000),
		unix.Chmod(path("d/b"), 0o6755),
		os.Symlink("/etc/passwd", path("link")), os.Link(path("link"), path("link2")),
		unix.Mknod(path("char"), unix.S_IFCHR|0o620, int(unix.Mkdev(240, 300000))),
		unix.Mknod(path("block"), unix.S_IFBLK|0o600, int(unix.Mkdev(8, 1))),
		unix.Mkfifo(path("fifo"), 0o600),
		unix.Mknod(path("socket"), unix.S_IFSOCK|0o600, 0), os.Link(path("socket"), path("socket2")),
		unix.Mknod(path("d/gone"), unix.S_IFCHR, 0), os.Link(path("d/gone"), path("gone")), // as overlayfs does
		os.Mkdir(path("opaque"), 0o700),
		unix.Lsetxattr(path("opaque"), opaque, []byte("y"), 0),
		unix.Lsetxattr(path("d"), "user.dir", []byte("there\x00\n"), 0),
		unix.Lsetxattr(path("d"), "trusted.overlay.origin", []byte("x"), 0),
		unix.Lsetxattr(path("d"), "trusted.overlay.impure", []byte("y"), 0),
		unix.Lsetxattr(path("cap"), "security.capability", []byte(netRaw), 0),
		unix.Lsetxattr(path("cap"), "user.overlay.opaque", []byte("y"), 0),
		unix.Lsetxattr(path("cap"), "user.note", bytes.Repeat([]byte("n"), 3000), 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	old := []unix.Timespec{{Sec: -1, Nsec: 999_999_999}, {Sec: -1, Nsec: 999_999_999}}
	whole := []unix.Timespec{{Sec: 1_000_000_000}, {Sec: 1_000_000_000}}
	for name, times := range map[string][]unix.Timespec{"d/b": old, "link": old, "d": old, "BZh91AY&SY": whole} {
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path(name), times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiffRoundTrip: upper directory, layer, directory again.
func TestDiffRoundTrip(t *testing.T) {
	upper, target := t.TempDir(), t.TempDir()
	makeUpper(t, upper)
	stream := diff(t, upper)
	if stats, err := Apply(target, bytes.NewReader(stream)); err != nil || !stats.Complete {
		t.Fatal(stats, err)
	}
	want, got := listing(t, upper), listing(t, target)
	for _, name := range []string{"socket", "socket2"} {
		delete(want, name)
	}
	for _, strip := range []string{" trusted.overlay.origin=78", " trusted.overlay.impure=79", " user.overlay.opaque=79"} {
		for name, line := range want {
			want[name] = strings.ReplaceAll(line, strip, "")
		}
	}
	// Neither is of the layer: the root, and when, and how, it was that a file was deleted.
	for _, name := range []string{".", "gone", "d/gone"} {
		want[name], got[name] = "", ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	list := names(t, stream)
	for _, name := range []string{"a", "d/b = a", "d/c = a", "link2 = link", ".wh.gone", "d/.wh.gone", "opaque/.wh..wh..opq"} {
		if !slices.Contains(list, name) {
			t.Errorf("no %s in %q", name, list)
		}
	}
}

// TestDiffSame: the bytes do not depend on who has read the files, nor on the order
// in which they were made; a golden digest keeps it so from version to version.
func TestDiffSame(t *testing.T) {
	upper := t.TempDir()
	makeUpper(t, upper)
	first := diff(t, upper)
	later := []unix.Timespec{{Sec: 2_000_000_000}, {Nsec: unix.UTIME_OMIT}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, upper+"/a", later, 0); err != nil { // access time
		t.Fatal(err)
	}
	if !bytes.Equal(first, diff(t, upper)) {
		t.Error("the same directory gives other bytes")
	}

	golden := t.TempDir()
	for _, name := range []string{"z", "b", "a/x", "a"} {
		os.Mkdir(golden+"/a", 0o755)
		if name != "a" {
			os.WriteFile(golden+"/"+name, []byte(name), 0o644)
		}
	}
	os.Link(golden+"/z", golden+"/a/z")
	unix.Mknod(golden+"/w", unix.S_IFCHR, 0)
	unix.Setxattr(golden+"/b", "user.z", []byte("1"), 0)
	unix.Setxattr(golden+"/b", "user.a", []byte("2"), 0)
	for _, name := range []string{"z", "b", "a/x", "w", "a"} {
		if err := os.Chtimes(golden+"/"+name, time.Time{}, when); err != nil {
			t.Fatal(err)
		}
	}
	const want = "34d4737896e3064f926bd280942c70d7b5c8d7b5bd69ea6e0e67a8a7687d69f3"
	if got := fmt.Sprintf("%x", sha256.Sum256(diff(t, golden))); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestDiffLeaves(t *testing.T) {
	upper := t.TempDir()
	for _, name := range []string{"etc", "dev", "dev/pts"} {
		if err := os.Mkdir(filepath.Join(upper, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(upper+"/etc/hosts", nil, 0o644)
	os.WriteFile(upper+"/etc/new", nil, 0o644)
	want := []string{"etc/", "etc/new"}
	if diff := cmp.Diff(want, names(t, diff(t, upper, "dev", "etc/hosts"))); diff != "" {
		t.Error(diff)
	}
	if empty := diff(t, upper, "dev", "etc"); !bytes.Equal(empty, make([]byte, 1024)) {
		t.Errorf("nothing is an archive of %d bytes", len(empty))
	}
	os.WriteFile(upper+"/etc/.wh.x", nil, 0o644)
	dir, _ := os.Open(upper)
	defer dir.Close()
	if err := Diff(io.Discard, dir, func(string) bool { return false }); err == nil || !strings.Contains(err.Error(), "/etc/.wh.x") {
		t.Errorf("a name that would delete: %v", err)
	}
}

// TestDiffRace: what changes while it is read makes no corrupt archive, and nothing is
// read through a link that leads out.
func TestDiffRace(t *testing.T) {
	upper, secret := t.TempDir(), t.TempDir()
	os.WriteFile(secret+"/f", []byte("secret"), 0o600)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			d, f := upper+"/d", upper+"/d/f"
			os.RemoveAll(d)
			switch i % 5 {
			case 0:
				os.Symlink(secret, d)
			case 1:
				os.Mkdir(d, 0o755)
				os.Symlink(secret+"/f", f)
			case 2:
				os.Mkdir(d, 0o755)
				unix.Mkfifo(f, 0o600)
			case 3:
				os.Mkdir(d, 0o755)
				os.WriteFile(f, bytes.Repeat([]byte("x"), 1<<20), 0o600)
				os.Truncate(f, 10)
			case 4:
				os.WriteFile(d, []byte("x"), 0o600)
				os.Link(d, upper+"/e")
				os.Remove(upper + "/e")
			}
		}
	}()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		stream := diff(t, upper)
		if bytes.Contains(stream, []byte("secret\x00")) {
			t.Fatal("it was read through a link")
		}
		if stats, err := Apply(t.TempDir(), bytes.NewReader(stream)); err != nil || !stats.Complete {
			t.Fatal(stats, err)
		}
	}
	close(stop)
	<-done
}
