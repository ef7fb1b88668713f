package engine

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/container"
	"minidocker/mydocker/spec"
	"minidocker/mydocker/volume"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// settleMounts gives the record its mounts: those asked for, those of other containers
// that these do not replace, and where the image declares a volume, and nothing else
// covers it, one without a name. Sources that -v wants made are made, volumes found or
// made, and filled with what the image has there. What is held is the caller's to
// release, after an error too.
func (e *Engine) settleMounts(r *container.Record) (held heldVolumes, err error) {
	own, err := spec.Mounts(&api.Config{}, r.HostConfig)
	all, err2 := spec.Mounts(r.Config, r.HostConfig)
	inherited, err3 := e.inheritedMounts(r.HostConfig, own)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	declared := slices.DeleteFunc(all[len(own):], func(m mount.Mount) bool {
		return slices.ContainsFunc(inherited, func(other mount.Mount) bool { return other.Target == m.Target })
	})
	for i, m := range slices.Concat(own, inherited, declared) {
		isOwn := i < len(own)
		point := api.MountPoint{Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly}
		if isOwn {
			point.Mode = bindMode(r.HostConfig.Binds, m.Target)
		}
		switch m.Type {
		case mount.TypeBind:
			if err := spec.PrepareSource(m); err != nil {
				return held, err
			}
			if point.Propagation = mount.PropagationRPrivate; m.BindOptions != nil {
				point.Propagation = cmp.Or(m.BindOptions.Propagation, point.Propagation)
			}
		case mount.TypeVolume:
			v, err := e.holdVolume(&held, r, &m)
			if err != nil {
				return held, err
			}
			if point.Name, point.Source, point.Driver = v.Name, v.Mountpoint, v.Driver; isOwn {
				point.Mode = cmp.Or(point.Mode, "z")
			}
		}
		if !isOwn || m.Type == mount.TypeVolume {
			r.Inherited = append(r.Inherited, m)
		}
		r.Mounts = append(r.Mounts, point)
	}
	return held, nil
}

// inheritedMounts are those of the containers of --volumes-from that the container's
// own do not replace.
func (e *Engine) inheritedMounts(host *api.HostConfig, own []mount.Mount) ([]mount.Mount, error) {
	var all []mount.Mount
	for _, from := range host.VolumesFrom {
		ref, mode, _ := strings.Cut(from, ":")
		if from == "" {
			return nil, errors.New("volumes-from specification cannot be an empty string")
		}
		words := strings.Split(mode, ",")
		for _, word := range words {
			if !slices.Contains([]string{"", "ro", "rw", "z", "Z"}, word) || slices.Contains(words, "ro") && slices.Contains(words, "rw") { // labels have no meaning here
				return nil, fmt.Errorf("invalid mode: %s", mode)
			}
		}
		id, err := e.containers.Resolve(ref)
		if err != nil {
			return nil, err
		}
		donor, err := e.containers.Record(id)
		if err != nil {
			return nil, err
		}
		mounts, err := donor.AskedMounts()
		if err != nil {
			return nil, err
		}
		for _, m := range mounts {
			if m.Type == mount.TypeVolume { // filled when it was the other's first
				if _, err := e.containers.Volumes.Find(m.Source); err != nil {
					return nil, err
				}
				o := volume.Options(m)
				o.NoCopy, m.VolumeOptions = true, &o
			}
			m.ReadOnly = m.ReadOnly || slices.Contains(words, "ro")
			taken := func(other mount.Mount) bool { return other.Target == m.Target }
			if !slices.ContainsFunc(own, taken) {
				all = append(slices.DeleteFunc(all, taken), m)
			}
		}
	}
	return all, nil
}

// bindMode is what -v says behind the target, as it was given.
func bindMode(binds []string, target string) string {
	for _, bind := range binds {
		if parts := strings.SplitN(bind, ":", 3); len(parts) == 3 && filepath.Clean(parts[1]) == target {
			return parts[2]
		}
	}
	return ""
}
