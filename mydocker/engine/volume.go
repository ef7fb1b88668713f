package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/overlay"
	"minidocker/mydocker/volume"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"
	api "github.com/moby/moby/api/types/volume"
)

// VolumeNotFoundError says that there is no such volume.
type VolumeNotFoundError = volume.NotFoundError

// heldVolumes are those of a container that is being made.
type heldVolumes []*volume.Held

// release lets others remove them; new ones without a name go, unless keep says that the
// container's record is written.
func (all heldVolumes) release(keep bool) (err error) {
	for _, v := range all {
		err = errors.Join(err, v.Release(keep))
	}
	return err
}

// holdVolume finds or makes the volume of a mount, which gets its name, fills it and adds
// it to those held: unless it is among them, for it is locked then.
func (e *Engine) holdVolume(held *heldVolumes, r *container.Record, m *mount.Mount) (*volume.Held, error) {
	o := volume.Options(*m)
	request := api.CreateRequest{Name: m.Source, Labels: o.Labels, Driver: r.HostConfig.VolumeDriver}
	if o.DriverConfig != nil {
		request.Driver, request.DriverOpts = cmp.Or(o.DriverConfig.Name, request.Driver), o.DriverConfig.Options
	}
	durability := disk.Durable
	if m.Source == "" && r.HostConfig.AutoRemove {
		durability = disk.Volatile
	}
	var v *volume.Held
	if i := slices.IndexFunc(*held, func(h *volume.Held) bool { return h.Name == m.Source }); i >= 0 {
		v = (*held)[i]
	} else {
		var err error
		if v, err = e.containers.Volumes.Use(request, durability); err != nil {
			return nil, err
		}
		*held = append(*held, v)
		if v.Made {
			e.volumeEvent(events.ActionCreate, v.Name)
		}
	}
	if m.Source == "" {
		m.Source = v.Name
		o.Labels = maps.Clone(v.Labels)
		m.VolumeOptions = &o
	}
	if o.NoCopy || o.Subpath != "" {
		return v, nil
	}
	return v, v.Fill(e.containers.Layers(r), m.Target)
}

func (e *Engine) volumeEvent(action events.Action, name string) {
	e.journal.Append(container.VolumeEvent(action, name, nil))
}

// volumes lists the volumes the filters let through, and which containers have which.
func (e *Engine) volumes(f Filters, known ...string) ([]*api.Volume, map[string][]string, error) {
	if err := f.check(known...); err != nil {
		return nil, nil, err
	}
	err := e.containers.Sweep()
	users, err2 := e.containers.VolumeUsers()
	match, err3 := matcher(f, func(name, value string) (func(*api.Volume) bool, error) { return volumeCondition(users, name, value) })
	all, err4 := e.containers.Volumes.List()
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return nil, nil, err
	}
	return slices.DeleteFunc(all, func(v *api.Volume) bool { return !match(v) }), users, nil
}

func volumeCondition(users map[string][]string, name, value string) (func(*api.Volume) bool, error) {
	switch name {
	case "driver":
		return func(v *api.Volume) bool { return v.Driver == value }, nil
	case "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'name=%s': %w", value, err)
		}
		return func(v *api.Volume) bool { return pattern.MatchString(v.Name) }, nil
	case "label":
		return func(v *api.Volume) bool { return matchLabel(v.Labels, value) }, nil
	case "label!":
		return func(v *api.Volume) bool { return !matchLabel(v.Labels, value) }, nil
	}
	yes, err := strconv.ParseBool(value)
	if err != nil {
		return nil, fmt.Errorf("invalid filter '%s=[%s]'", name, value)
	}
	if name == "all" {
		return func(v *api.Volume) bool {
			_, anonymous := v.Labels[volume.AnonymousLabel]
			return yes || anonymous
		}, nil
	}
	return func(v *api.Volume) bool { return (users[v.Name] == nil) == yes }, nil // dangling
}

// Volumes gives the volumes that the filters dangling, driver, label and name let
// through, by name.
func (e *Engine) Volumes(f Filters) ([]*api.Volume, error) {
	all, _, err := e.volumes(f, "dangling", "driver", "label", "name")
	return all, err
}

// CreateVolume makes a volume; one of that name that is there already is a success.
func (e *Engine) CreateVolume(r api.CreateRequest) (*api.Volume, error) {
	v, err := e.containers.Volumes.Use(r, disk.Durable)
	if err != nil {
		return nil, err
	}
	if v.Made {
		e.volumeEvent(events.ActionCreate, v.Name)
	}
	return v.Volume, v.Release(true)
}

// InspectVolume tells all about a volume.
func (e *Engine) InspectVolume(name string) (*api.Volume, error) {
	return e.containers.Volumes.Find(name)
}

// RemoveVolume deletes a volume that no container has. With force it is no error if it is
// not there.
func (e *Engine) RemoveVolume(name string, force bool) error {
	// Who makes a container with it finishes first, or finds it gone.
	lock, err := e.lockStore(disk.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := e.containers.Sweep(); err != nil {
		return err
	}
	err = e.containers.Volumes.Remove(name, e.containers.VolumeUsers)
	switch {
	case err == nil:
		e.volumeEvent(events.ActionDestroy, name)
	case force && errors.As(err, new(*VolumeNotFoundError)):
		return nil
	}
	return err
}

// PruneVolumes deletes the anonymous volumes, by the filter all the others too, that no
// container has and that the filters label and label! let through. Those with driver
// options are left, as in Docker: their data is not here.
func (e *Engine) PruneVolumes(f Filters) (report api.PruneReport, err error) {
	given := f
	f = Filters{"all": {"false"}}
	maps.Copy(f, given)
	lock, err := e.lockStore(disk.Exclusive)
	if err != nil {
		return report, err
	}
	defer lock.Release()
	all, users, err := e.volumes(f, "all", "label", "label!")
	if err != nil {
		return report, err
	}
	for _, v := range all {
		if users[v.Name] != nil || len(v.Options) > 0 {
			continue
		}
		size, serr := overlay.Size(v.Mountpoint)
		rerr := e.containers.Volumes.Remove(v.Name, func() (map[string][]string, error) { return users, nil })
		switch {
		case rerr == nil:
			report.VolumesDeleted = append(report.VolumesDeleted, v.Name)
			report.SpaceReclaimed += uint64(size)
			e.volumeEvent(events.ActionDestroy, v.Name)
		case !errors.As(rerr, new(*volume.InUseError)):
			err = errors.Join(err, serr, rerr)
		}
	}
	e.pruneEvent(events.VolumeEventType, report.SpaceReclaimed)
	return report, err
}

// volumeUsage tells what the volumes take, in bytes: as in Docker without those with
// driver options.
func (e *Engine) volumeUsage() (*api.DiskUsage, error) {
	all, users, err := e.volumes(nil)
	if err != nil {
		return nil, err
	}
	u := &api.DiskUsage{}
	for _, v := range slices.DeleteFunc(all, func(v *api.Volume) bool { return len(v.Options) > 0 }) {
		size, err := overlay.Size(v.Mountpoint)
		if err != nil {
			return nil, err
		}
		v.UsageData = &api.UsageData{RefCount: int64(len(users[v.Name])), Size: size}
		if u.TotalSize += size; users[v.Name] != nil {
			u.ActiveCount++
		} else {
			u.Reclaimable += size
		}
		u.TotalCount++
		u.Items = append(u.Items, *v)
	}
	return u, nil
}
