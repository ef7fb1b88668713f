package volume

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"minidocker/mydocker/disk"
)

// Users tells which containers have which volumes: IDs by a volume's name.
type Users func() (map[string][]string, error)

// Remove deletes a volume with its data, unless a container has it or anything is
// mounted in it: then nothing is touched.
func (s *Store) Remove(name string, users Users) error {
	if checkName(name) != nil {
		return &NotFoundError{name}
	}
	lock, err := disk.TryAcquire(s.path(name, lockFile), disk.Exclusive)
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
	aside := removing + newID()
	if err := os.Rename(s.path(name), s.path(aside)); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return s.discard(aside)
}

// discard deletes a directory whose lock the caller holds. The lock, which tells that
// he lives, goes last.
func (s *Store) discard(entry string) error {
	files, err := os.ReadDir(s.path(entry))
	if err != nil {
		return err
	}
	for _, file := range files {
		if file.Name() != lockFile {
			if err := disk.RemoveAll(s.path(entry, file.Name())); err != nil {
				return err
			}
		}
	}
	return disk.RemoveAll(s.path(entry))
}

// Leftover is something a crash left, or damage.
type Leftover struct {
	Path, Why string
	Err       error // why it could not be repaired; nil: it was, or nobody asked
}

// Sweep finishes what killed processes left half done: creations and removals. What a
// living process is at is left alone. Without anything to do it reads one directory.
func (s *Store) Sweep(users Users) error {
	_, err := s.look(true, false, users)
	return err
}

// Check looks for all that should not be there, and with repair mends it; damage it only tells.
func (s *Store) Check(repair bool, users Users) ([]Leftover, error) {
	return s.look(repair, true, users)
}

func (s *Store) look(repair, all bool, users Users) (found []Leftover, err error) {
	report := func(path, why string, mend func() error) {
		left := Leftover{Path: path, Why: why}
		if repair {
			left.Err = mend()
		}
		found = append(found, left)
	}
	entries, err := s.entries()
	for _, entry := range entries {
		switch id, isNew := strings.CutPrefix(entry, making); {
		case isNew || strings.HasPrefix(entry, removing):
			lock, err := disk.TryAcquire(s.path(entry, lockFile), disk.Exclusive)
			if err != nil { // its maker or remover lives, or it has just gone
				continue
			}
			used, err := users()
			switch {
			case err != nil && isNew: // perhaps a container's
			case isNew && used[id] != nil:
				report(s.path(entry), "volume without its name", func() error { return s.Publish(id, disk.Durable) })
			default:
				report(s.path(entry), "half-made or half-removed volume", func() error { return s.discard(entry) })
			}
			lock.Release()
		case all:
			if _, err := s.Find(entry); err != nil && !errors.As(err, new(*NotFoundError)) {
				report(s.path(entry), "damaged volume", func() error { return err })
			} else if err == nil && s.unfinished(entry) {
				report(s.path(entry), "half-copied content of an image", func() error { return s.finishLocked(entry) })
			}
		}
	}
	return found, err
}
