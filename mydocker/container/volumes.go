package container

import (
	"errors"
	"maps"
	"slices"

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

// anonymous tells whether a mount of a record is a volume that was made for it without a name.
func anonymous(m mount.Mount) bool {
	_, ok := volume.Options(m).Labels[volume.AnonymousLabel]
	return ok && m.Type == mount.TypeVolume && isID(m.Source) // one with a name may have any label
}

// VolumeUsers gives the IDs of the containers that have a volume, by its name.
func (s *Store) VolumeUsers() (map[string][]string, error) {
	ids, err := s.IDs()
	users := map[string][]string{}
	for _, id := range ids {
		r, rerr := s.Record(id)
		if errors.As(rerr, new(*NotFoundError)) {
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

// dropVolumes removes the anonymous volumes that no other container has of one that is
// being removed, if they are to go with it.
func (s *Store) dropVolumes(aside string) (err error) {
	r := new(Record)
	if !exists(s.file(aside, dropFile)) || disk.ReadJSON(s.file(aside, configFile), r) != nil {
		return nil
	}
	for _, m := range r.Inherited {
		if !anonymous(m) {
			continue
		}
		rerr := s.Volumes.Remove(m.Source, s.VolumeUsers)
		switch {
		case rerr == nil && s.VolumeRemoved != nil:
			s.VolumeRemoved(m.Source)
		case !errors.As(rerr, new(*volume.InUseError)) && !errors.As(rerr, new(*volume.NotFoundError)):
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// VolumeEvent is what happened to a volume, in the form Docker's events have.
func VolumeEvent(action events.Action, name string, more map[string]string) events.Message {
	attributes := map[string]string{"driver": "local"}
	maps.Copy(attributes, more)
	return events.Message{Type: events.VolumeEventType, Action: action, Actor: events.Actor{ID: name, Attributes: attributes}}
}
