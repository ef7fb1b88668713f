package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"
)

var when = time.Unix(1_000_000_000, 123_456_789)

// entry is a tar header with content.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: when}, content}
}
func dir(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: when}, ""}
}
func symlink(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, ModTime: when}, ""}
}
func hardlink(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}, ""}
}

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		e.Format = tar.FormatPAX
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.content)
	}
	w.Close()
	return b.Bytes()
}

// tree describes every file below root: type and mode, owner, device, links,
// content, times and extended attributes.
func listing(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	inodes := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		line := fmt.Sprintf("%o %d:%d %d.%d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFCHR, unix.S_IFBLK:
			line += fmt.Sprintf(" dev %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		case unix.S_IFLNK:
			target, _ := os.Readlink(path)
			line += " -> " + target
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %d %x", len(data), sha256.Sum256(data))
			if first, ok := inodes[st.Ino]; ok {
				line += " = " + first
			} else {
				inodes[st.Ino] = name
			}
		}
		found[name] = line + xattrsOf(path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func xattrsOf(path string) string {
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return ""
	}
	var pairs []string
	for _, name := range strings.Split(strings.Trim(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 4096)
		if n, err := unix.Lgetxattr(path, name, value); err == nil && name != "" {
			pairs = append(pairs, fmt.Sprintf(" %s=%x", name, value[:n]))
		}
	}
	sort.Strings(pairs)
	return strings.Join(pairs, "")
}

// TestApplyHostile unpacks archives that reach for a victim beside the layer.
func TestApplyHostile(t *testing.T) {
	const escape = "outside of the layer"
	for _, c := range []struct {
		name    string
		entries []entry
		err     string // part of the error; empty: none
		inside  string // a file of the layer that must hold "hit"
	}{
		{"dotdot", []entry{file("../victim/f", "hit")}, escape, ""},
		{"dotdot deep", []entry{dir("a"), file("a/../../victim/f", "hit")}, escape, ""},
		{"dotdot directory", []entry{dir("../victim")}, escape, ""},
		{"dotdot itself", []entry{dir("..")}, escape, ""},
		{"dotdot itself, hidden", []entry{dir("a/../..")}, escape, ""},
		{"absolute", []entry{file("VICTIM/f", "hit")}, "", "VICTIM/f"},
		{"absolute through dotdot", []entry{file("/../victim/f", "hit")}, escape, ""},
		{"write through absolute symlink", []entry{symlink("l", "VICTIM"), dir("VICTIM"), file("l/f", "hit")}, "", "VICTIM/f"},
		{"write through relative symlink", []entry{symlink("l", "../victim"), dir("victim"), file("l/f", "hit")}, "", "victim/f"},
		{"write through dangling symlink", []entry{symlink("l", "../victim"), file("l/f", "hit")}, "exists", ""},
		{"write through symlink to symlink", []entry{symlink("a", "b/.."), symlink("b", "../../.."), file("a/f", "hit")}, "", "f"},
		{"write over symlink", []entry{symlink("l", "../victim/f"), file("l", "hit")}, "", "l"},
		{"mkdir over symlink", []entry{symlink("l", "../victim"), dir("l"), file("l/f", "hit")}, "", "l/f"},
		{"symlink over directory in use", []entry{dir("d"), file("d/x", ""), symlink("d", "../victim"), dir("victim"), file("d/f", "hit")}, "", "victim/f"},
		{"chmod through symlink", []entry{symlink("l", "../victim/f"), {tar.Header{Typeflag: tar.TypeDir, Name: "l", Mode: 0o777}, ""}}, "", ""},
		{"symlink loop", []entry{symlink("a", "b"), symlink("b", "a"), file("a/f", "")}, "a", ""},
		{"link to proc", []entry{symlink("p", "/proc/self/root"), file("p/f", "hit")}, "exists", ""},
		{"hard link to dotdot", []entry{hardlink("h", "../victim/f"), file("h", "hit")}, escape, ""},
		{"hard link to absolute", []entry{hardlink("h", "VICTIM/f")}, "hard link", ""},
		{"hard link through symlink", []entry{symlink("l", "../victim"), hardlink("h", "l/f")}, "exists", ""},
		{"hard link to symlink, then write", []entry{symlink("l", "../victim/f"), hardlink("h", "l"), file("h", "hit")}, "", "h"},
		{"hard link to root", []entry{hardlink("h", "/")}, "hard link", ""},
		{"whiteout of root", []entry{file("/.wh.", "")}, "whiteout of no file", ""},
		{"whiteout of dot", []entry{file(".wh..", "")}, "whiteout of no file", ""},
		{"whiteout of dotdot", []entry{file(".wh...", "")}, "whiteout of no file", ""},
		{"whiteout outside", []entry{file("../victim/.wh.f", "")}, escape, ""},
		{"whiteout through symlink", []entry{symlink("l", "../victim"), dir("victim"), file("l/.wh.f", "")}, "", ""},
		{"opaque outside", []entry{file("../victim/.wh..wh..opq", "")}, escape, ""},
		{"opaque through symlink", []entry{symlink("l", "../victim"), dir("victim"), file("l/.wh..wh..opq", "")}, "", ""},
		{"root as file", []entry{file("x/..", "hit")}, "root directory", ""},
		{"root as symlink", []entry{symlink(".", "../victim")}, "root directory", ""},
		{"root as device", []entry{{tar.Header{Typeflag: tar.TypeChar, Name: ".", Devmajor: 1, Devminor: 3}, ""}}, "root directory", ""},
		{"device outside", []entry{{tar.Header{Typeflag: tar.TypeBlock, Name: "../victim/f", Devmajor: 254}, ""}}, escape, ""},
		{"write into device", []entry{{tar.Header{Typeflag: tar.TypeChar, Name: "d", Devmajor: 1, Devminor: 3}, ""}, file("d", "hit")}, "", "d"},
		{"below a file", []entry{file("a", ""), file("a/b", "hit")}, "exists", ""},
		{"file over directory", []entry{dir("a"), file("a/b", ""), file("a", "hit")}, "", "a"},
		{"directory over file", []entry{file("a", ""), dir("a"), file("a/b", "hit")}, "", "a/b"},
		{"very long name", []entry{file(strings.Repeat("a/", 4000)+"f", "hit")}, "too long", ""},
		{"many levels", []entry{file(strings.Repeat("a/", 1000)+"f", "hit")}, "", strings.Repeat("a/", 1000) + "f"},
		{"overlay redirect", []entry{{tar.Header{Typeflag: tar.TypeDir, Name: "d", Mode: 0o755,
			PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc"}}, ""}}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			victim, layer := filepath.Join(top, "victim"), filepath.Join(top, "fs")
			os.Mkdir(victim, 0o700)
			os.Mkdir(layer, 0o755)
			os.WriteFile(filepath.Join(victim, "f"), []byte("precious"), 0o600)
			before := listing(t, victim)
			for n := range c.entries {
				h := &c.entries[n].Header
				h.Name = strings.ReplaceAll(h.Name, "VICTIM", victim)
				h.Linkname = strings.ReplaceAll(h.Linkname, "VICTIM", victim)
			}
			_, err := Apply(layer, bytes.NewReader(archive(t, c.entries...)))
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
			if diff := cmp.Diff(before, listing(t, victim)); diff != "" {
				t.Errorf("outside was touched:\n%s", diff)
			}
			if entries, _ := os.ReadDir(top); len(entries) != 2 {
				t.Errorf("something was made outside: %v", entries)
			}
			if c.inside != "" {
				path := filepath.Join(layer, strings.ReplaceAll(c.inside, "VICTIM", victim))
				if data, err := os.ReadFile(path); string(data) != "hit" {
					t.Errorf("%s holds %q, %v", c.inside, data, err)
				}
			}
			for name, line := range listing(t, layer) {
				if strings.Contains(line, "redirect") {
					t.Errorf("%s: %s", name, line)
				}
			}
		})
	}
}

// TestApplyFidelity unpacks what GNU tar made of a tree with one of everything.
func TestApplyFidelity(t *testing.T) {
	source := t.TempDir()
	script := `set -e
umask 022; mkdir -p d/e plain; echo hello > d/f; chown 12345:54321 d/f; chmod 6751 d/f
ln d/f hard; ln -s /no/where dangling; chown -h 7:8 dangling; touch -h -d '2002-02-02 02:02:02.5' dangling
mknod c c 1 3; mknod b b 7 9; chmod 640 b; chown 3:4 c; mkfifo p; echo cap > cap; chmod 0 plain
truncate -s 5M sparse; printf x | dd of=sparse bs=1 seek=3000000 conv=notrunc status=none; printf end >> sparse
dd if=/dev/urandom of=big bs=1000003 count=3 status=none; : > empty; truncate -s 64K zeros
n=$(printf '%0200d' 7); mkdir "$n"; echo ü > "$n/$n"; ln -s "$n" "long-$n"
touch -d '1965-05-05 05:05:05' old; touch -d '2033-03-03 03:03:03.123456789' d/e; chmod 1777 d/e; chmod 2755 d; touch -d '2011-11-11 11:11:11' d .`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	netRaw := "\x01\x00\x00\x02\x00\x20\x00\x00" + strings.Repeat("\x00", 12) // capabilities(7), version 2
	for _, x := range [][3]string{{"d/f", "user.note", "hi"}, {"d", "user.dir", "there"}, {"dangling", "trusted.link", "t"}, {"cap", "security.capability", netRaw}} {
		if err := unix.Lsetxattr(filepath.Join(source, x[0]), x[1], []byte(x[2]), 0); err != nil {
			t.Fatal(err)
		}
	}
	want := listing(t, source)
	for name, flags := range map[string][]string{
		"pax":        {"--format=pax", "--xattrs", "--xattrs-include=*"},
		"pax sparse": {"--format=pax", "--xattrs", "--xattrs-include=*", "--sparse"},
		"gnu sparse": {"--format=gnu", "--sparse"},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := exec.Command("tar", append(flags, "-C", source, "-c", ".")...).Output()
			if err != nil {
				t.Fatal(err)
			}
			target := t.TempDir()
			stats, err := Apply(target, bytes.NewReader(stream))
			if err != nil {
				t.Fatal(err)
			}
			got, want := listing(t, target), want
			if strings.HasPrefix(name, "gnu") { // has neither attributes nor fractions of a second
				got, want = coarse(got), coarse(want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if sum := fmt.Sprintf("sha256:%x", sha256.Sum256(stream)); stats.DiffID.String() != sum || !stats.Complete {
				t.Errorf("stats %+v, want diff ID %s", stats, sum)
			}
			var st unix.Stat_t
			unix.Stat(filepath.Join(target, "sparse"), &st)
			if st.Blocks*512 > 1<<20 {
				t.Errorf("sparse file of %d bytes takes %d", st.Size, st.Blocks*512)
			}
		})
	}
}

// coarse is a listing without attributes and fractions of a second.
func coarse(listing map[string]string) map[string]string {
	listing = maps.Clone(listing)
	for name, line := range listing {
		fields := strings.Fields(line)
		fields[2], _, _ = strings.Cut(fields[2], ".")
		for len(fields) > 0 && strings.Contains(fields[len(fields)-1], "=") && len(fields[len(fields)-1]) > 1 {
			fields = fields[:len(fields)-1]
		}
		listing[name] = strings.Join(fields, " ")
	}
	return listing
}

// TestWhiteouts mounts what it unpacked: the kernel is the judge.
func TestWhiteouts(t *testing.T) {
	lower := archive(t, dir("d"), file("d/a", "lower"), file("d/b", "lower"), dir("e"), file("e/a", "lower"),
		dir("g"), file("g/a", "lower"), dir("h"), file("h/a", "lower"), dir("i"), file("i/a", "lower"), file("f", "lower"))
	upper := archive(t,
		file("d/.wh.a", ""),                                          // a file
		file(".wh.f", ""),                                            // at the top
		dir("e"), file("e/.wh..wh..opq", ""), file("e/new", "upper"), // opaque
		file(".wh.g", ""), dir("g"), file("g/new", "upper"), // whiteout, then a directory in its place
		dir("h"), file("h/new", "upper"), file(".wh.h", ""), // the other way round
		file(".wh.i", ""), file("i/new", "upper"), // in its place by implication
		file(".wh..wh.plnk/1.2", "aufs"), file("d/.wh..wh.aufs", "aufs"), dir(".wh..wh.orph"))
	merged := mounted(t, upper, lower)
	var got []string
	for name := range listing(t, merged) {
		got = append(got, name)
	}
	sort.Strings(got)
	want := []string{".", "d", "d/b", "e", "e/new", "g", "g/new", "h", "h/new", "i", "i/new"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// mounted mounts layers, the top one first.
func mounted(t *testing.T, layers ...[]byte) string {
	t.Helper()
	var dirs []string
	for _, stream := range layers {
		dir := t.TempDir()
		if _, err := Apply(dir, bytes.NewReader(stream)); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	merged := t.TempDir()
	if err := unix.Mount("overlay", merged, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(dirs, ":")); err != nil {
		t.Fatalf("mount overlay: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(merged, 0); err != nil {
			t.Error(err)
		}
	})
	return merged
}

func TestApplyTruncated(t *testing.T) {
	whole := archive(t, dir("d"), file("d/a", strings.Repeat("a", 2000)), file("d/b", "b"))
	for cut := 0; cut < len(whole); cut += 256 {
		stats, err := Apply(t.TempDir(), bytes.NewReader(whole[:cut]))
		if err == nil && stats.Complete {
			t.Errorf("cut at %d of %d: nothing was noticed", cut, len(whole))
		}
	}
	if stats, err := Apply(t.TempDir(), bytes.NewReader(append(whole, make([]byte, 3<<20)...))); err != nil || !stats.Complete {
		t.Errorf("padding: %+v, %v", stats, err)
	}
}

// TestApplyDescriptors makes many directories, then leaves
// by success and by error: no descriptor may stay.
func TestApplyDescriptors(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	var entries []entry
	for n := range 400 {
		entries = append(entries, file(fmt.Sprintf("%d/f", n), "x"))
	}
	before := count()
	if _, err := Apply(t.TempDir(), bytes.NewReader(archive(t, entries...))); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(t.TempDir(), bytes.NewReader(archive(t, append(entries, file("../x", ""))...))); err == nil {
		t.Fatal("no error")
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestDecompress(t *testing.T) {
	const text = "what was compressed"
	samples := map[string][]byte{"": []byte(text)}
	samples["bzip2"], _ = hex.DecodeString("425a683931415926535938c1a9f3000009118040002e42dc8020002204c4f49e50806803c50a16ace947a2757c5dc914e14240e306a7cc")
	for how, open := range map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
		"xz":   func(w io.Writer) io.WriteCloser { x, _ := xz.NewWriter(w); return x },
	} {
		var b bytes.Buffer
		w := open(&b)
		io.WriteString(w, text)
		w.Close()
		samples[how] = b.Bytes()
	}
	for how, data := range samples {
		if found := Sniff(bufio.NewReader(bytes.NewReader(data))); found != how {
			t.Errorf("%s: found %q", how, found)
		}
		r, err := Decompress(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", how, err)
			continue
		}
		if plain, err := io.ReadAll(r); string(plain) != text || err != nil {
			t.Errorf("%s: %q, %v", how, plain, err)
		}
		if how == "" {
			continue
		}
		r, err = Decompress(bytes.NewReader(data[:len(data)-3]))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("%s: a truncated stream is no error", how)
		}
	}
}
