// Package disk writes state so that a crash cannot tear it, locks it, and
// deletes it without ever deleting through a mount.
//
// On the host it owns no place of its own. A crash leaves at most a .tmp-* file
// beside the file that was being written, or a directory half removed, which
// removing again finishes.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrMounted reports that something is mounted in a tree that was to be deleted.
var ErrMounted = errors.New("something is mounted there")

// RemoveAll deletes the tree at path, as os.RemoveAll does, but stops with
// ErrMounted rather than go through a mount: what is mounted belongs to
// somebody else. A path that does not exist is a success.
//
// The kernel makes the refusal free of races: unlinkat(2) of a mount point is
// EBUSY, and openat2(2) with RESOLVE_NO_XDEV is EXDEV, also on a bind mount of the
// same file system, which comparing device numbers would miss.
func RemoveAll(path string) error {
	path = filepath.Clean(path)
	parent, err := os.Open(filepath.Dir(path))
	if err == nil {
		defer parent.Close()
		err = new(remover).remove(int(parent.Fd()), filepath.Base(path), 0)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// maxDepth bounds the descriptors a removal needs, one per level: a container may
// have made a tree deeper than RLIMIT_NOFILE.
const maxDepth = 64

type remover struct {
	root  int // descriptor of the tree's uppermost directory
	moved int // how many directories were moved there
}

func (r *remover) remove(parent int, name string, depth int) error {
	// EPERM is final: on Linux unlinking a directory is EISDIR, unless a flag
	// forbids that, too (ioctl_iflags(2), immutable or append-only).
	err := unix.Unlinkat(parent, name, 0)
	if err != unix.EISDIR {
		return verdict("unlink", name, err)
	}
	for idle := 0; ; idle++ {
		err := unix.Unlinkat(parent, name, unix.AT_REMOVEDIR)
		if err != unix.ENOTEMPTY || idle == 10 { // 10: others fill it as fast as it is emptied
			return verdict("rmdir", name, err)
		}
		found, err := r.empty(parent, name, depth)
		if err != nil {
			return err
		}
		if found {
			idle = 0
		}
	}
}

// empty removes what it finds in a directory, and tells whether that was anything.
// Some may be left: reading a directory while it changes can miss entries.
func (r *remover) empty(parent int, name string, depth int) (found bool, err error) {
	if depth > maxDepth {
		return true, r.moveUp(parent, name)
	}
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	}
	fd, err := unix.Openat2(parent, name, &how)
	if err != nil {
		return false, verdict("open", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	if depth == 0 {
		r.root = fd
	}
	for {
		names, err := dir.Readdirnames(1024)
		if err == io.EOF || errors.Is(err, os.ErrNotExist) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		found = true
		for _, entry := range names {
			if err := r.remove(fd, entry, depth+1); err != nil {
				return true, fmt.Errorf("%s/%w", name, err)
			}
		}
	}
}

// moveUp moves a directory that lies too deep to the tree's root, where it is met again.
func (r *remover) moveUp(parent int, name string) error {
	for ; ; r.moved++ {
		err := unix.Renameat2(parent, name, r.root, fmt.Sprintf(".deep-%d", r.moved), unix.RENAME_NOREPLACE)
		if err != unix.EEXIST {
			return verdict("move", name, err)
		}
	}
}

func verdict(step, name string, err error) error {
	switch err {
	case nil, unix.ENOENT:
		return nil
	case unix.EBUSY, unix.EXDEV:
		return fmt.Errorf("%s: %w", name, ErrMounted)
	}
	return fmt.Errorf("%s %s: %w", step, name, err)
}
