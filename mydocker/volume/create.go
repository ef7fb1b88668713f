package volume

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"minidocker/mydocker/disk"

	api "github.com/moby/moby/api/types/volume"
	"golang.org/x/sys/unix"
)

// Held is a volume that nobody removes before Release.
type Held struct {
	*api.Volume
	Made bool // it is new

	store *Store
	entry string // its directory now
	lock  *disk.Lock
	d     disk.Durability
}

// Use finds the volume r.Name, or makes it as r says; for the name "" an anonymous one,
// which is a volume to others only after Release.
func (s *Store) Use(r api.CreateRequest, d disk.Durability) (h *Held, err error) {
	if err := validate(r); err != nil {
		return nil, fmt.Errorf("create %s: %w", r.Name, err)
	}
	for {
		if r.Name != "" {
			h = &Held{store: s, entry: r.Name, d: d}
			h.lock, err = disk.Acquire(s.path(r.Name, lockFile), disk.Shared)
			if err == nil {
				if h.Volume, err = s.Find(r.Name); err != nil {
					h.lock.Release()
				}
				return h, err
			}
			if !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
		if h, err = s.make(r, d); !errors.Is(err, os.ErrExist) { // or else another was quicker
			return h, err
		}
	}
}

// make builds a volume aside and gives it its name last.
func (s *Store) make(r api.CreateRequest, d disk.Durability) (h *Held, err error) {
	id := disk.NewID()
	v := &api.Volume{Name: r.Name, Driver: "local", Labels: r.Labels, Options: r.DriverOpts, CreatedAt: time.Now().UTC().Format(time.RFC3339)}
	if len(v.Labels) == 0 { // null, as Docker shows it
		v.Labels = nil
	}
	if len(v.Options) == 0 {
		v.Options = nil
	}
	if r.Name == "" {
		v.Name, v.Labels = id, map[string]string{AnonymousLabel: ""}
		maps.Copy(v.Labels, r.Labels)
	}
	lock, err := s.begin(making + id)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			disk.RemoveAll(s.path(making + id))
			lock.Release()
		}
	}()
	h = &Held{Volume: v, Made: true, store: s, entry: making + id, lock: lock, d: d}
	data := s.path(h.entry, dataDir)
	err = errors.Join(os.Mkdir(data, 0o755), os.Chmod(data, 0o755)) // mkdir(2) is subject to the umask
	if err == nil {
		err = disk.WriteJSON(s.path(h.entry, recordFile), v, d)
	}
	if err == nil && r.Name != "" {
		err = unix.Renameat2(unix.AT_FDCWD, s.path(h.entry), unix.AT_FDCWD, s.path(r.Name), unix.RENAME_NOREPLACE)
		h.entry = r.Name
		if err == nil && d == disk.Durable {
			err = disk.Sync(s.root)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", v.Name, err)
	}
	v.Mountpoint, v.Scope = s.Mountpoint(v.Name), "local"
	return h, nil
}

// begin makes the directory in which a volume is built, and locks it: shared like all who
// hold a volume, or two that make two volumes could wait for each other.
func (s *Store) begin(entry string) (*disk.Lock, error) {
	for {
		if err := errors.Join(os.MkdirAll(s.root, 0o711), os.MkdirAll(s.path(entry), 0o700)); err != nil {
			return nil, err
		}
		lock, err := disk.Acquire(s.path(entry, lockFile), disk.Shared)
		if !errors.Is(err, os.ErrNotExist) { // or else a sweeper was quicker, and took it for a dead one's
			return lock, err
		}
	}
}

// Release lets others remove the volume. An anonymous one that is new goes, unless it is to
// be kept: a container's record names it now.
func (h *Held) Release(keep bool) (err error) {
	switch {
	case h.entry == h.Name:
	case keep:
		err = h.store.publish(h.Name, h.d)
	default:
		err = disk.RemoveAll(h.store.path(h.entry))
	}
	return errors.Join(err, h.lock.Release())
}
