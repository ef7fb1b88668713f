package volume

import (
	"errors"
	"fmt"
	"io"
	"os"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/overlay"
	"minidocker/mydocker/rootfs"

	"golang.org/x/sys/unix"
)

// Fill copies what an image, given by its layers, has at path into the volume, if that
// is empty. Its own directory stands aside until all is copied, so nobody ever takes
// half of it for the whole. Another file system, of driver options or mounted on the
// directory by hand, is filled in place, and one in memory, which nobody would see, not at all.
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
	own := len(h.Options) == 0 && mountID(s.path(h.entry)) == mountID(s.path(h.entry, dataDir))
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
	if err := layer.Copy(source, target); err != nil || !own {
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

// mountID tells mounts apart (statx(2), since Linux 5.8; before, one cannot): rename(2) does
// not go from one to another, though their file system be the same.
func mountID(path string) uint64 {
	var st unix.Statx_t
	unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st)
	return st.Mnt_id
}

func hasEntries(dir *os.File) (bool, error) {
	opened, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", dir.Fd())) // it may be open with O_PATH
	if err != nil {
		return false, err
	}
	defer opened.Close()
	names, err := opened.Readdirnames(1)
	if err == io.EOF {
		err = nil
	}
	return len(names) > 0, err
}

func (s *Store) has(entry, part string) bool {
	_, err := os.Lstat(s.path(entry, part))
	return err == nil
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
	if err := layer.Imitate(from, to); err != nil {
		return fmt.Errorf("fill volume %s: %w", entry, err)
	}
	return errors.Join(disk.RemoveAll(filled), disk.RemoveAll(s.path(entry, fillDir)))
}
