package container

import (
	"errors"
	"os"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/disk"
)

// Create makes the container r describes, in state created. Its ID, Name, Config
// and HostConfig must be set. A name that is taken is a NameInUseError; after
// an error nothing is left.
func (s *Store) Create(r *Record) (err error) {
	if err := ValidName(r.Name); err != nil {
		return err
	}
	lock, err := s.begin(r.ID)
	if err != nil {
		return err
	}
	defer lock.Release()
	entry := making + r.ID
	defer func() {
		if err != nil {
			err = errors.Join(err, s.discard(entry, r.ID, r.Name))
		}
	}()
	_, err = lock.File().WriteString(r.ID)
	if err == nil && r.durability() == disk.Durable {
		err = lock.File().Sync()
	}
	if err == nil { // before the rest: of two creators one wins here
		err = s.claim(r.Name, entry)
	}
	if err == nil {
		err = disk.WriteJSON(s.file(entry, stateFile), &State{Status: api.StateCreated}, disk.Volatile)
	}
	if err == nil {
		err = s.leaseIDs(r)
	}
	if err == nil {
		err = disk.WriteJSON(s.file(entry, configFile), r, r.durability())
	}
	if err == nil {
		err = os.Rename(s.Dir(entry), s.Dir(r.ID))
	}
	if err != nil {
		return err
	}
	entry = r.ID
	if r.durability() == disk.Durable {
		return errors.Join(disk.Sync(s.containers()), disk.Sync(s.names()))
	}
	return nil
}

// begin makes the directory in which a container is built, and locks it.
func (s *Store) begin(id string) (*disk.Lock, error) {
	for {
		// Root's alone: a set-user-ID program of the container's must not be another user's
		// of the host to execute (CVE-2021-41091).
		err := errors.Join(os.MkdirAll(s.names(), 0o711), os.MkdirAll(s.Dir(making+id), 0o700))
		if err != nil {
			return nil, err
		}
		disk.Spread(s.containers())
		lock, err := disk.Acquire(s.LockPath(making+id), disk.Exclusive)
		if !errors.Is(err, os.ErrNotExist) { // or else a sweeper was quicker, and took it for a dead one
			return lock, err
		}
	}
}
