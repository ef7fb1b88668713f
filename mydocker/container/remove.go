package container

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"minidocker/mydocker/disk"
)

// Remove takes the container away: its record, its name, its log, its writable
// layer, its run directory, and if asked its anonymous volumes. The caller holds its lock
// (which thereafter locks nothing) and has unmounted what it mounted. With anything
// mounted below, nothing is removed and the error matches disk.ErrMounted.
func (s *Store) Remove(id string, volumes bool) error {
	if err := disk.Unmounted(s.Dir(id), s.RunDir(id)); err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	// Written down: a removal that is killed goes on where it was.
	err := disk.RemoveAll(s.file(id, dropFile))
	if volumes {
		err = os.WriteFile(s.file(id, dropFile), nil, 0o600)
	}
	if err != nil {
		return absent(id, err)
	}
	var names []string
	if r, err := s.Record(id); err == nil {
		names = []string{r.Name}
	} else { // damaged: look who has this ID
		names, _ = disk.List(s.names())
	}
	return s.discard(id, id, names...)
}

// discard removes a directory of containers, whose lock the caller holds, and frees
// the names, if they are its. With the rename it is no container any more; a crash
// after it leaves what Sweep finishes. The lock, which tells that its remover lives, goes last.
func (s *Store) discard(entry, id string, names ...string) error {
	aside := entry
	if !strings.HasPrefix(entry, removing) {
		aside = removing + entry // also of new-<ID>, which its creator may make again
		if err := os.Rename(s.Dir(entry), s.Dir(aside)); err != nil {
			return absent(id, fmt.Errorf("remove container %s: %w", id, err))
		}
	}
	for _, name := range names {
		if err := s.free(name, id); err != nil {
			return err
		}
	}
	// A creation has none of these. Its creator may by now have made it again and have
	// started it: those would be its.
	if !strings.Contains(entry, making) {
		if err := errors.Join(s.networks.Forget(id), disk.RemoveAll(s.RunDir(id))); err != nil {
			return err
		}
	}
	idsErr, volumesErr := s.releaseIDs(aside, id), s.dropVolumes(aside)
	return errors.Join(idsErr, disk.RemoveLast(s.Dir(aside), lockFile), volumesErr)
}
