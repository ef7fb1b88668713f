package volume

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/overlay"
	"minidocker/mydocker/rootfs"

	"golang.org/x/sys/unix"
)

// Fill copies what an image, given by its layers, has at path into the volume, if that
// is empty. Its own directory stands aside until all is copied, so nobody ever takes
// half of it for the whole. A file system of driver options is filled in place, and one
// in memory, which nobody would see, not at all.
func (h *Held) Fill(layers overlay.Mount, path string) (err error) {
	s := h.store
	if IsTmpfs(h.Volume) || len(layers.Lower) == 0 {
		return nil
	}
	lock, err := disk.Acquire(s.path(h.entry, recordFile), disk.Exclusive|disk.Existing)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := s.finish(h.entry); err != nil {
		return err
	}
	own := len(h.Options) == 0
	target, err := open(h.Volume, s.path(h.entry, dataDir))
	if err != nil {
		return err
	}
	defer target.Close()
	if full, err := hasEntries(target); err != nil || full {
		return err
	}
	scratch := s.path(h.entry, fillDir)
	defer func() { err = errors.Join(err, disk.RemoveAll(scratch)) }()
	layers.Upper, layers.Work, layers.Volatile = scratch+"/upper", scratch+"/work", true
	if err := layers.Prepare(0, 0); err != nil {
		return err
	}
	root, err := layers.Open()
	if err != nil {
		return err
	}
	defer root.Close()
	source, err := rootfs.Lookup(root, path, true)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer source.Close()
	if info, err := source.Stat(); err != nil || !info.IsDir() {
		return errors.Join(err, fmt.Errorf("source %s is not directory", path))
	}
	if own {
		if err := os.Mkdir(scratch+"/data", 0o755); err != nil {
			return err
		}
		if target, err = os.Open(scratch + "/data"); err != nil {
			return err
		}
		defer target.Close()
	}
	if err := copyTree(source, target); err != nil || !own {
		return err
	}
	if some, _ := hasEntries(target); some && h.d == disk.Durable {
		if err := unix.Syncfs(int(target.Fd())); err != nil {
			return fmt.Errorf("syncfs %s: %w", scratch, err)
		}
	}
	if err := os.Rename(scratch+"/data", s.path(h.entry, filledDir)); err != nil {
		return err
	}
	return s.finish(h.entry)
}

func hasEntries(dir *os.File) (bool, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	opened := os.NewFile(uintptr(fd), dir.Name())
	defer opened.Close()
	names, err := opened.Readdirnames(1)
	if err == io.EOF {
		err = nil
	}
	return len(names) > 0, err
}

// copyTree copies what is in one directory into another, which becomes its like.
func copyTree(from, to *os.File) error {
	target := layer.NewTarget(to, ".", ".")
	err := layer.Walk(from, "", nil, func(header *tar.Header, content *os.File) error {
		err := target.Put(header, content)
		if err == nil && header.Typeflag != tar.TypeLink && header.Typeflag != tar.TypeSymlink {
			err = copyAttributes(from, to, header.Name)
		}
		return err
	})
	if err == nil {
		err = target.Finish()
	}
	if err == nil {
		err = become(from, to)
	}
	return err
}

// become gives a directory the owner, mode, attributes and times of another.
func become(from, to *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return err
	}
	path := fmt.Sprintf("/proc/self/fd/%d", to.Fd()) // it may be open with O_PATH
	err := unix.Chown(path, int(st.Uid), int(st.Gid))
	if err == nil {
		err = unix.Chmod(path, st.Mode&0o7777)
	}
	if err == nil {
		err = copyAttributes(from, to, ".")
	}
	if err == nil {
		err = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, 0)
	}
	return err
}

// copyAttributes copies the extended attributes that Walk leaves out: it is made for archives.
func copyAttributes(from, to *os.File, name string) error {
	source, err := rootfs.Lookup(from, name, false)
	if err != nil {
		return err
	}
	defer source.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", source.Fd())
	names, values := make([]byte, 64<<10), make([]byte, 64<<10) // the most there can be (xattr(7))
	n, err := unix.Listxattr(path, names)
	if n == 0 || err == unix.ENOTSUP {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listxattr %s: %w", name, err)
	}
	made, err := rootfs.Lookup(to, name, false)
	if err != nil {
		return err
	}
	defer made.Close()
	for key := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if strings.HasPrefix(key, "trusted.overlay.") {
			continue
		}
		n, err := unix.Getxattr(path, key, values)
		if err == nil {
			err = unix.Setxattr(fmt.Sprintf("/proc/self/fd/%d", made.Fd()), key, values[:n], 0)
		}
		if err != nil && err != unix.ENOTSUP && err != unix.ENODATA {
			return fmt.Errorf("copy attribute %s of %s: %w", key, name, err)
		}
	}
	return nil
}

func (s *Store) unfinished(entry string) bool {
	_, fill := os.Lstat(s.path(entry, fillDir))
	_, filled := os.Lstat(s.path(entry, filledDir))
	if fill != nil && filled != nil {
		return false
	}
	lock, err := disk.TryAcquire(s.path(entry, recordFile), disk.Shared|disk.Existing)
	if err == nil {
		lock.Release()
	}
	return err == nil // or else somebody is at it
}

// finishLocked is finish for who is not filling the volume himself.
func (s *Store) finishLocked(entry string) error {
	lock, err := disk.Acquire(s.path(entry, recordFile), disk.Exclusive|disk.Existing)
	if err != nil {
		return err
	}
	defer lock.Release()
	return s.finish(entry)
}

// finish moves what has been copied whole into the volume, and deletes what has not.
// What somebody else has put there meanwhile stays. The caller holds the lock on the record.
func (s *Store) finish(entry string) error {
	filled, data := s.path(entry, filledDir), s.path(entry, dataDir)
	entries, err := os.ReadDir(filled)
	if errors.Is(err, os.ErrNotExist) {
		return disk.RemoveAll(s.path(entry, fillDir))
	}
	for _, one := range entries {
		merr := unix.Renameat2(unix.AT_FDCWD, filled+"/"+one.Name(), unix.AT_FDCWD, data+"/"+one.Name(), unix.RENAME_NOREPLACE)
		if merr != nil && merr != unix.EEXIST {
			err = errors.Join(err, fmt.Errorf("move %s into volume %s: %w", one.Name(), entry, merr))
		}
	}
	from, err2 := os.Open(filled)
	to, err3 := os.Open(data)
	defer from.Close()
	defer to.Close()
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	if err := become(from, to); err != nil {
		return fmt.Errorf("fill volume %s: %w", entry, err)
	}
	return errors.Join(disk.RemoveAll(filled), disk.RemoveAll(s.path(entry, fillDir)))
}
