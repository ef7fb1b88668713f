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
// The kernel makes the refusal free of races: openat2(2) with RESOLVE_NO_XDEV
// fails with EXDEV on a mount point, also on a bind mount of the same file
// system, which comparing device numbers would miss; and unlinkat(2) of one is EBUSY.
func RemoveAll(path string) error {
	path = filepath.Clean(path)
	dir, err := os.Open(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	defer dir.Close()
	if err := removeAt(int(dir.Fd()), filepath.Base(path)); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

func removeAt(parent int, name string) error {
	err := unlink(parent, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err == unix.EBUSY {
		return fmt.Errorf("%s: %w", name, ErrMounted)
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return fmt.Errorf("unlink %s: %w", name, err)
	}
	if err := removeDirAt(parent, name); err != nil {
		return err
	}
	switch err := unlink(parent, name, unix.AT_REMOVEDIR); err {
	case nil, unix.ENOENT:
		return nil
	case unix.EBUSY:
		return fmt.Errorf("%s: %w", name, ErrMounted)
	default:
		return fmt.Errorf("rmdir %s: %w", name, err)
	}
}

func removeDirAt(parent int, name string) error {
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
	}
	fd, err := unix.Openat2(parent, name, &how)
	switch {
	case err == unix.ENOENT:
		return nil
	case err == unix.EXDEV:
		return fmt.Errorf("%s: %w", name, ErrMounted)
	case err != nil:
		return fmt.Errorf("open %s: %w", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	for {
		// Removing entries while reading moves the directory's cursor on some
		// file systems: read a batch, remove it, begin again.
		names, err := dir.Readdirnames(1024)
		for _, entry := range names {
			if err := removeAt(fd, entry); err != nil {
				return fmt.Errorf("%s/%w", name, err)
			}
		}
		if len(names) == 0 {
			if err != nil && !errors.Is(err, os.ErrNotExist) && err != io.EOF {
				return fmt.Errorf("read %s: %w", name, err)
			}
			return nil
		}
		if _, err := dir.Seek(0, 0); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
}

func unlink(parent int, name string, flags int) error {
	for {
		if err := unix.Unlinkat(parent, name, flags); err != unix.EINTR {
			return err
		}
	}
}
