package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
)

// NameInUseError reports that another container has the name.
type NameInUseError struct{ Name, ID string }

func (e *NameInUseError) Error() string {
	return fmt.Sprintf("Conflict. The container name \"/%s\" is already in use by container \"%s\". "+
		"You have to remove (or rename) that container to be able to reuse that name.", e.Name, e.ID)
}

// Create makes the container r describes, in state created. Its ID, Name, Config
// and HostConfig must be set. Errors are InvalidNameError, NameInUseError or
// the file system's; after any of them nothing is left.
func (s *Store) Create(r *Record) (err error) {
	if err := ValidName(r.Name); err != nil {
		return err
	}
	for _, dir := range []string{s.names(), s.containers()} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("create container: %w", err)
		}
	}
	durability := r.durability()

	// The name comes first: of two creators one wins here, before either has
	// built anything. While claimed is open the claim is a living one.
	claimed, err := s.claim(r.Name, r.ID, durability)
	if err != nil {
		return err
	}
	defer claimed.Close()
	// Build aside, rename in: a container's directory is never half filled.
	dir := filepath.Join(s.containers(), making+r.ID)
	defer func() {
		if err != nil {
			err = errors.Join(err, disk.RemoveAll(dir), os.Remove(s.namePath(r.Name)))
		}
	}()
	if err := os.Mkdir(dir, 0o711); err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, lockFile), nil, 0o600); err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	if err := disk.WriteJSON(filepath.Join(dir, stateFile), &State{Status: api.StateCreated}, disk.Volatile); err != nil {
		return err
	}
	if err := disk.WriteJSON(filepath.Join(dir, configFile), r, durability); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, s.Dir(r.ID), unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("create container %s: %w", r.ID, err)
	}
	if dir = s.Dir(r.ID); durability == disk.Durable {
		return errors.Join(disk.Sync(s.containers()), disk.Sync(s.names()))
	}
	return nil
}

// Rename gives the container another name and saves the record. The caller
// holds the container's lock. A crash leaves it with either name, or both until
// Check or Sweep takes the older one away.
func (s *Store) Rename(r *Record, name string) error {
	if err := ValidName(name); err != nil {
		return err
	}
	claimed, err := s.claim(name, r.ID, r.durability())
	if err != nil {
		return err
	}
	defer claimed.Close()
	old := r.Name
	r.Name = name
	if err := s.SaveRecord(r); err != nil {
		r.Name = old
		return errors.Join(err, os.Remove(s.namePath(name)))
	}
	return s.free(old, r.ID)
}

// claim makes the name file. It appears complete and already locked, by linkat(2)
// of a file that had no name before (open(2), O_TMPFILE), so that no other
// process can take a claim just being made for one whose creator has died.
// Like open with O_EXCL, linkat fails if the name is there.
func (s *Store) claim(name, id string, durability disk.Durability) (*os.File, error) {
	file, err := os.OpenFile(s.names(), os.O_WRONLY|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("claim name %s: %w", name, err)
	}
	_, err = file.WriteString(id)
	if err == nil {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
	}
	if err == nil && durability == disk.Durable {
		err = file.Sync()
	}
	for err == nil {
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", file.Fd()),
			unix.AT_FDCWD, s.namePath(name), unix.AT_SYMLINK_FOLLOW)
		if err == nil {
			return file, nil
		}
		if err == unix.EEXIST {
			err = s.evict(name)
		}
	}
	file.Close()
	if inUse := (*NameInUseError)(nil); errors.As(err, &inUse) {
		return nil, err
	}
	return nil, fmt.Errorf("claim name %s: %w", name, err)
}

func (s *Store) namePath(name string) string { return filepath.Join(s.names(), name) }

// evict takes a name away from a claimant that died before its container came
// into being, or whose container is gone. A living one is a NameInUseError.
func (s *Store) evict(name string) error {
	file, id, err := s.lockName(name, unix.LOCK_NB)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err == unix.EWOULDBLOCK:
		return &NameInUseError{name, id} // its creator is at work
	case err != nil:
		return err
	}
	defer file.Close()
	if isID(id) && exists(s.Dir(id)) {
		return &NameInUseError{name, id}
	}
	return os.Remove(s.namePath(name))
}

// free gives a name up, if it is this container's. Whoever unlinks a name file has
// it locked: between the look at its owner and the unlinking, the name cannot
// become another container's.
func (s *Store) free(name, id string) error {
	file, owner, err := s.lockName(name, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("free name %s: %w", name, err)
	}
	defer file.Close()
	if owner != id {
		return nil
	}
	return os.Remove(s.namePath(name))
}

// lockName locks the name file that bears the name once it is locked. Unlike
// disk.Acquire it never makes one. When the lock is held elsewhere (EWOULDBLOCK,
// with LOCK_NB) the owner is returned too.
func (s *Store) lockName(name string, how int) (file *os.File, id string, err error) {
	for {
		if file, err = os.Open(s.namePath(name)); err != nil {
			return nil, "", err
		}
		data := make([]byte, 64)
		n, _ := file.Read(data)
		id = string(data[:n])
		for {
			if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|how); err != unix.EINTR {
				break
			}
		}
		if err != nil {
			file.Close()
			return nil, id, err
		}
		held, err := file.Stat()
		if err == nil {
			if named, err := os.Lstat(s.namePath(name)); err == nil && os.SameFile(held, named) {
				return file, id, nil
			}
		}
		file.Close() // unlinked between open and flock: look again
	}
}
