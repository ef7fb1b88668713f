package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// tree is a file system tree, a line for each path: all that an image keeps of it.
type tree map[string]string

// walk reads a tree. Of names that are one file all but the first say so.
func walk(t *testing.T, root string) tree {
	t.Helper()
	all, first := tree{}, map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		if name == "" || name == "/.dockerenv" || name == "/etc" || strings.HasPrefix(name, "/parentless") || name == "/made/hard" || name == "/made/suid" {
			return nil // not said by the layers: their parents are not in them, the link's header is empty
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			if other := first[st.Ino]; other != "" {
				all[name] = "the same as " + other
				return nil
			}
			first[st.Ino] = name
		}
		text := fmt.Sprintf("%06o %d:%d %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			text += fmt.Sprintf(" %d bytes", st.Size)
			if text += " " + sum(path, st.Size); err != nil {
				return err
			}
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " -> " + target
		case unix.S_IFCHR, unix.S_IFBLK:
			text += fmt.Sprintf(" %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
		all[name] = text + attributes(path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var zeros [1 << 20]byte

// sum is a hash of what a file holds: its data, as the file system knows it, and
// where it is. Zeros count as a hole.
func sum(path string, size int64) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	hash, buffer := sha256.New(), make([]byte, min(size, int64(len(zeros))))
	for offset := int64(0); offset < size; {
		// Skip whole blocks only, so that holes and zeros look alike.
		if size <= int64(len(buffer)) {
			// one block
		} else if data, err := unix.Seek(int(file.Fd()), offset, unix.SEEK_DATA); err != nil {
			break
		} else if data >= offset+int64(len(buffer)) {
			offset = data / int64(len(buffer)) * int64(len(buffer))
		}
		n, err := file.ReadAt(buffer, offset)
		if n == 0 {
			return err.Error()
		}
		if !bytes.Equal(buffer[:n], zeros[:n]) {
			fmt.Fprint(hash, offset, " ", n, " ")
			hash.Write(buffer[:n])
		}
		offset += int64(n)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
}

// attributes are the extended ones but those of overlayfs and the host's policy.
func attributes(path string) (text string) {
	list := make([]byte, 4096)
	n, err := unix.Llistxattr(path, list)
	if err != nil {
		return ""
	}
	names := strings.Split(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00")
	slices.Sort(names)
	for _, name := range names {
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") || name == "security.selinux" {
			continue
		}
		value := make([]byte, 4096)
		n, _ := unix.Lgetxattr(path, name, value)
		text += fmt.Sprintf(" %s=%q", name, value[:max(n, 0)])
	}
	return text
}

// sameTree compares trees, and says of the first few paths how they differ.
func sameTree(t *testing.T, what string, want, got tree) {
	t.Helper()
	names := map[string]bool{}
	for name := range want {
		names[name] = true
	}
	for name := range got {
		names[name] = true
	}
	wrong := tree{}
	right := tree{}
	for name := range names {
		if want[name] != got[name] && len(wrong) < 10 {
			right[name], wrong[name] = want[name], got[name]
		}
	}
	if diff := cmp.Diff(right, wrong); diff != "" {
		t.Errorf("%s: the trees differ, -want +got:\n%s", what, diff)
	}
}

// overlaid reads the tree of layers, the uppermost first.
func overlaid(t *testing.T, lower string) tree {
	t.Helper()
	target := t.TempDir()
	if out, err := exec.Command("mount", "-t", "overlay", "overlay", "-o", "ro,lowerdir="+lower, target).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	defer func() { // a child of another test, forked and not yet executed, may have a file of it open
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
	}()
	return walk(t, target)
}

// tree reads the tree of an image: its layers as they are in the store.
func (h *host) tree(image string) tree {
	h.t.Helper()
	id := h.ok("create", image, "true")
	lower := h.inspect(id, "{{.GraphDriver.Data.LowerDir}}")
	h.ok("rm", id)
	return overlaid(h.t, lower)
}
