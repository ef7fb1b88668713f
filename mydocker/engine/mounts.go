package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// prepareMounts makes the sources that -v wants made, and gives the mounts as
// inspect shows them. What the image declares as volumes is part of the
// container's own layer.
func prepareMounts(host *api.HostConfig, inherited []mount.Mount) ([]api.MountPoint, error) {
	all, err := spec.Mounts(&api.Config{}, host)
	if err != nil {
		return nil, err
	}
	all = append(all, inherited...)
	var points []api.MountPoint
	for _, m := range all {
		switch m.Type {
		case mount.TypeBind:
			if err := spec.PrepareSource(m); err != nil {
				return nil, err
			}
		case mount.TypeVolume:
			return nil, fmt.Errorf("volume %q on %s: volumes are not supported yet; use a directory: -v /path/on/host:%s", m.Source, m.Target, m.Target)
		}
		point := api.MountPoint{Mode: bindMode(host.Binds, m.Target), Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly}
		if m.BindOptions != nil {
			point.Propagation = m.BindOptions.Propagation
		}
		if m.Type == mount.TypeBind && point.Propagation == "" {
			point.Propagation = mount.PropagationRPrivate
		}
		points = append(points, point)
	}
	return points, nil
}

// inheritedMounts are those of the containers of --volumes-from that the container's
// own do not replace.
func (e *Engine) inheritedMounts(host *api.HostConfig) ([]mount.Mount, error) {
	own, err := spec.Mounts(&api.Config{}, host)
	if err != nil {
		return nil, err
	}
	var all []mount.Mount
	for _, from := range host.VolumesFrom {
		ref, mode, _ := strings.Cut(from, ":")
		if from == "" {
			return nil, errors.New("volumes-from specification cannot be an empty string")
		}
		words := strings.Split(mode, ",")
		for _, word := range words {
			if !slices.Contains([]string{"", "ro", "rw", "z", "Z"}, word) { // labels have no meaning here
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
		mounts, err := spec.Mounts(&api.Config{}, donor.HostConfig)
		if err != nil {
			return nil, err
		}
		for _, m := range append(mounts, donor.Inherited...) {
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
