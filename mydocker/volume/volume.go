// Package volume keeps data that outlives containers: directories with a name, and
// file systems of the host or the network that stand in for one.
//
// On the host it owns Root/volumes:
//
//	volumes/NAME/volume.json  what the volume was made with; durable. Locked by who fills it
//	volumes/NAME/_data        the data
//	volumes/NAME/lock         flock(2): shared by who makes a container with the volume,
//	                          until the container's record names it; exclusive by who removes it
//	volumes/NAME/fill         the image's content while it is copied: not yet the volume's
//	volumes/NAME/filled       the same when it is whole; it moves into _data name by name
//	volumes/.new-ID           not yet a volume; an anonymous one, which will be called ID,
//	                          until the record of its container is written
//	volumes/.removing-ID      no longer one
//
// Data goes only by Remove, which refuses as long as a container's record names the
// volume or anything is mounted in it, renames the directory aside, and deletes without
// ever going through a mount. Nothing is mounted on the host: Open gives a detached
// mount, which goes with its last holder.
//
// A kill -9 leaves at most a .new-ID, a .removing-ID, fill or filled. Check finishes
// the first two, whoever uses the volume next the others.
package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/disk"

	api "github.com/moby/moby/api/types/volume"
	"golang.org/x/sys/unix"
)

// AnonymousLabel marks a volume that nobody has named.
const AnonymousLabel = "com.docker.volume.anonymous"

const (
	dataDir    = "_data"
	recordFile = "volume.json"
	lockFile   = "lock"
	fillDir    = "fill"
	filledDir  = "filled"

	making   = ".new-"
	removing = ".removing-"
)

// Store is the volumes of one Root. It holds no state: any number of processes may use
// the same root.
type Store struct{ root string }

// Open returns the store of root. Directories are made when needed.
func Open(root string) *Store { return &Store{filepath.Join(root, "volumes")} }

func (s *Store) path(entry string, parts ...string) string {
	return filepath.Join(append([]string{s.root, entry}, parts...)...)
}

// Mountpoint is the directory that holds the volume's data, or stands for it.
func (s *Store) Mountpoint(name string) string { return s.path(name, dataDir) }

// NotFoundError says that there is no such volume.
type NotFoundError struct{ Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("get %s: no such volume", e.Name) }

// InUseError refuses to remove a volume. Users are the containers that it belongs to;
// none: one that is just being made.
type InUseError struct {
	Name  string
	Users []string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("remove %s: volume is in use - [%s]", e.Name, strings.Join(e.Users, ", "))
}

// Find reads what is known about a volume. An unknown one is a NotFoundError, a damaged
// record is not.
func (s *Store) Find(name string) (*api.Volume, error) {
	if !disk.IsName(name) { // it becomes a path
		return nil, &NotFoundError{name}
	}
	v := new(api.Volume)
	err := disk.ReadJSON(s.path(name, recordFile), v)
	if _, gone := os.Lstat(s.path(name)); errors.Is(gone, os.ErrNotExist) {
		return nil, &NotFoundError{name}
	}
	if err == nil && v.Name != name {
		err = errors.New("damaged record: it does not describe this volume")
	}
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", name, err)
	}
	v.Mountpoint, v.Scope = s.Mountpoint(name), "local"
	return v, nil
}

// List gives all volumes, by name.
func (s *Store) List() (all []*api.Volume, err error) {
	entries, err := disk.List(s.root)
	slices.Sort(entries)
	for _, entry := range entries {
		v, err := s.Find(entry)
		if errors.As(err, new(*NotFoundError)) { // or no volume: half made, half removed, lost+found
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, err
}

// validate says what is wrong with a request, in Docker's words.
func validate(r api.CreateRequest) error {
	if r.Driver != "" && r.Driver != "local" {
		return fmt.Errorf("error looking up volume plugin %[1]s: plugin %[1]q not found", r.Driver)
	}
	switch {
	case len(r.Name) == 1:
		return errors.New("volume name is too short, names should be at least two alphanumeric characters")
	case r.Name != "" && !disk.IsName(r.Name):
		return fmt.Errorf(`%q includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. `+
			`If you intended to pass a host directory, use absolute path`, r.Name)
	}
	for option := range r.DriverOpts {
		if !slices.Contains([]string{"type", "o", "device"}, option) {
			return fmt.Errorf("invalid option: %q", option)
		}
	}
	for _, option := range []string{"device", "type"} {
		if len(r.DriverOpts) > 0 && r.DriverOpts[option] == "" {
			return fmt.Errorf("missing required option: %q", option)
		}
	}
	return nil
}

// publish makes an anonymous volume, which a container's record names, one like all
// others. It is a success if it is already.
func (s *Store) publish(name string, d disk.Durability) error {
	err := unix.Renameat2(unix.AT_FDCWD, s.path(making+name), unix.AT_FDCWD, s.path(name), unix.RENAME_NOREPLACE)
	if err == unix.EEXIST || err == unix.ENOENT {
		_, err := os.Lstat(s.path(name))
		return err
	}
	if err == nil && d == disk.Durable {
		return disk.Sync(s.root)
	}
	return err
}
