package container

import (
	"errors"
	"os"
	"slices"
	"strings"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/spec"
	"minidocker/mydocker/volume"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"
)

// AskedMounts are the binds, volumes and tmpfs of --mount that the container was made
// with. The source of a volume is its name.
func (r *Record) AskedMounts() ([]mount.Mount, error) {
	all, err := spec.Mounts(&api.Config{}, r.HostConfig)
	all = slices.DeleteFunc(all, func(m mount.Mount) bool { return m.Type == mount.TypeVolume })
	return append(all, r.Inherited...), err
}

// Anonymous tells whether a mount of a record is a volume that was made for it without a name.
func Anonymous(m mount.Mount) bool {
	if m.Type != mount.TypeVolume || m.VolumeOptions == nil {
		return false
	}
	_, ok := m.VolumeOptions.Labels[volume.AnonymousLabel]
	return ok
}

// VolumeUsers gives the IDs of the containers that have a volume, by its name.
func (s *Store) VolumeUsers() (map[string][]string, error) {
	ids, err := s.IDs()
	users := map[string][]string{}
	for _, id := range ids {
		r, rerr := s.Record(id)
		if gone := (*NotFoundError)(nil); errors.As(rerr, &gone) {
			continue
		}
		if rerr != nil { // nobody knows what it has
			err = errors.Join(err, rerr)
			continue
		}
		for _, m := range r.Inherited {
			if m.Type == mount.TypeVolume && !slices.Contains(users[m.Source], id) {
				users[m.Source] = append(users[m.Source], id)
			}
		}
	}
	return users, err
}

// DropVolumes has the next Remove take the container's anonymous volumes too, or not. The
// caller holds its lock. It is written down: a removal that is killed goes on where it was.
func (s *Store) DropVolumes(id string, drop bool) error {
	if drop {
		return absent(id, os.WriteFile(s.file(id, dropFile), nil, 0o600))
	}
	return disk.RemoveAll(s.file(id, dropFile))
}

// dropVolumes removes the anonymous volumes that no other container has of one that is
// being removed, if they are to go with it.
func (s *Store) dropVolumes(aside, entry string) (err error) {
	r := new(Record)
	if strings.Contains(entry, making) || disk.ReadJSON(s.file(aside, configFile), r) != nil || r.HostConfig == nil ||
		!r.HostConfig.AutoRemove && !exists(s.file(aside, dropFile)) {
		return nil
	}
	for _, m := range slices.DeleteFunc(r.Inherited, func(m mount.Mount) bool { return !Anonymous(m) }) {
		rerr := s.Volumes.Remove(m.Source, s.VolumeUsers)
		used, gone := (*volume.InUseError)(nil), (*volume.NotFoundError)(nil)
		switch {
		case rerr == nil && s.VolumeRemoved != nil:
			s.VolumeRemoved(m.Source)
		case !errors.As(rerr, &used) && !errors.As(rerr, &gone):
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// VolumeEvent is what happened to a volume, in the form Docker's events have.
func VolumeEvent(action events.Action, name string, more map[string]string) events.Message {
	attributes := map[string]string{"driver": "local"}
	for key, value := range more {
		attributes[key] = value
	}
	return events.Message{Type: events.VolumeEventType, Action: action, Actor: events.Actor{ID: name, Attributes: attributes}}
}
