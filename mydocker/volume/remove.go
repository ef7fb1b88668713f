package volume

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"minidocker/mydocker/disk"
)

// Users tells which containers have which volumes: IDs by a volume's name.
type Users func() (map[string][]string, error)

// Remove deletes a volume with its data, unless a container has it or anything is
// mounted in it: then nothing is touched.
func (s *Store) Remove(name string, users Users) error {
	if !disk.IsName(name) {
		return &NotFoundError{name}
	}
	// By a link the data of another volume would go, or what is no volume's.
	if info, err := os.Lstat(s.path(name)); err == nil && !info.IsDir() {
		return fmt.Errorf("remove %s: %s is not a directory", name, s.path(name))
	}
	lock, err := disk.TryAcquire(s.path(name, lockFile), disk.Exclusive)
	// Two containers that have it, removed at once: who comes second is to find the first one gone.
	for tries := 0; errors.Is(err, disk.ErrLocked) && tries < 50; tries++ {
		time.Sleep(5 * time.Millisecond)
		lock, err = disk.TryAcquire(s.path(name, lockFile), disk.Exclusive)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &NotFoundError{name}
	case errors.Is(err, disk.ErrLocked):
		return &InUseError{name, nil}
	case err != nil:
		return err
	}
	defer lock.Release()
	// Who made a container with it before now has written its record, see Use.
	used, err := users()
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	if used[name] != nil {
		return &InUseError{name, used[name]}
	}
	if err := disk.Unmounted(s.path(name)); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	aside := removing + disk.NewID()
	if err := os.Rename(s.path(name), s.path(aside)); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return disk.RemoveLast(s.path(aside), lockFile)
}

// Report is told what a crash left, or damage, and how to mend it.
type Report func(path, why string, mend func() error)

// Sweep finishes what killed processes left half done: creations and removals. What a
// living process is at is left alone. Without anything to do it reads one directory.
func (s *Store) Sweep(users Users) error {
	return s.look(false, users, func(_, _ string, mend func() error) { mend() })
}

// Check looks for all that should not be there.
func (s *Store) Check(users Users, report Report) error { return s.look(true, users, report) }

func (s *Store) look(all bool, users Users, report Report) error {
	entries, err := disk.List(s.root)
	for _, entry := range entries {
		id, isNew := strings.CutPrefix(entry, making)
		if isNew || strings.HasPrefix(entry, removing) {
			s.lookHalf(entry, id, isNew, users, report)
		} else if _, err := s.Find(entry); all && err == nil {
			s.lookFill(entry, report)
		} else if all && !errors.As(err, new(*NotFoundError)) {
			report(s.path(entry), "damaged volume", func() error { return err })
		}
	}
	return err
}

// lookHalf looks at what is no volume yet, or no longer.
func (s *Store) lookHalf(entry, id string, isNew bool, users Users, report Report) {
	lock, err := disk.TryAcquire(s.path(entry, lockFile), disk.Exclusive)
	if err != nil { // its maker or remover lives, or it has just gone
		return
	}
	defer lock.Release()
	used, err := users()
	switch {
	case err != nil && isNew: // perhaps a container's
	case isNew && used[id] != nil:
		report(s.path(entry), "volume without its name", func() error { return s.publish(id, disk.Durable) })
	default:
		report(s.path(entry), "half-made or half-removed volume", func() error {
			if isNew { // its maker may live, and be about to lock what it has made: it finds nothing there, and begins anew
				aside := removing + disk.NewID()
				if err := os.Rename(s.path(entry), s.path(aside)); err != nil {
					return err
				}
				entry = aside
			}
			return disk.RemoveLast(s.path(entry), lockFile)
		})
	}
}

// lookFill looks whether somebody died who filled the volume.
func (s *Store) lookFill(name string, report Report) {
	if !s.has(name, fillDir) && !s.has(name, filledDir) {
		return
	}
	lock, err := disk.TryAcquire(s.path(name, recordFile), disk.Exclusive|disk.Existing)
	if err != nil { // or else he lives
		return
	}
	defer lock.Release()
	report(s.path(name), "half-copied content of an image", func() error { return s.finish(name) })
}
