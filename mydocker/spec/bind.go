package spec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// Mounts lists what the user and the image want mounted, in Docker's types and
// in the order asked for: HostConfig.Binds, HostConfig.Mounts, and for the
// image's volumes that nothing else covers a volume without a name.
//
// A bind mount out of Binds has BindOptions.CreateMountpoint: a missing source is
// made; one out of Mounts has not, and it is an error. The caller resolves each
// Source to an absolute path of the host and gives the list to Build.
// HostConfig.Tmpfs is not in it.
func Mounts(config *api.Config, host *api.HostConfig) ([]mount.Mount, error) {
	var all []mount.Mount
	taken := map[string]bool{}
	for target := range host.Tmpfs {
		taken[path.Clean(target)] = true
	}
	add := func(m mount.Mount) error {
		m.Target = path.Clean(m.Target)
		if taken[m.Target] {
			return fmt.Errorf("Duplicate mount point: %s", m.Target)
		}
		taken[m.Target] = true
		all = append(all, m)
		return nil
	}
	for _, raw := range host.Binds {
		m, err := ParseBind(raw)
		if err == nil {
			err = add(m)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, m := range host.Mounts {
		err := validateMount(m)
		if err == nil {
			err = add(m)
		}
		if err != nil {
			return nil, err
		}
	}
	targets := make([]string, 0, len(config.Volumes))
	for target := range config.Volumes {
		targets = append(targets, target)
	}
	slices.Sort(targets)
	for _, target := range targets {
		if !taken[path.Clean(target)] {
			if err := add(mount.Mount{Type: mount.TypeVolume, Target: target}); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// ParseBind reads the argument of -v, "SOURCE:TARGET[:MODE]" or "TARGET". A
// SOURCE that is not an absolute path is the name of a volume. MODE is a list
// out of ro, rw, a propagation, nocopy, and z, Z and consistencies, which mean
// nothing here.
func ParseBind(raw string) (mount.Mount, error) {
	invalid := fmt.Errorf("invalid volume specification: '%s'", raw)
	parts := strings.Split(raw, ":")
	if parts[0] == "" || len(parts) > 3 {
		return mount.Mount{}, invalid
	}
	m := mount.Mount{Type: mount.TypeVolume, Target: parts[0]}
	if len(parts) > 1 {
		m.Source, m.Target = parts[0], parts[1]
	}
	if path.IsAbs(m.Source) {
		m.Type = mount.TypeBind
		m.Source = path.Clean(m.Source)
		m.BindOptions = &mount.BindOptions{CreateMountpoint: true}
	}
	if len(parts) == 3 {
		if err := addMode(&m, parts[2]); err != nil {
			return mount.Mount{}, err
		}
	} else if len(parts) == 2 && addMode(&mount.Mount{}, parts[1]) == nil {
		return mount.Mount{}, invalid // a target with a mode: there is nothing the mode could be about
	}
	if err := validateMount(m); err != nil {
		return mount.Mount{}, fmt.Errorf("%w: %w", invalid, err)
	}
	return m, nil
}

// addMode applies a mode list; each kind of word may stand in it once.
func addMode(m *mount.Mount, list string) error {
	seen := map[string]bool{}
	for word := range strings.SplitSeq(list, ",") {
		kind := ""
		switch {
		case word == "ro" || word == "rw":
			kind = "access"
			m.ReadOnly = word == "ro"
		case word == "z" || word == "Z":
			kind = "label"
		case slices.Contains(mount.Propagations, mount.Propagation(word)):
			kind = "propagation"
			if m.BindOptions == nil {
				m.BindOptions = &mount.BindOptions{}
			}
			m.BindOptions.Propagation = mount.Propagation(word)
		case word == "nocopy":
			kind = "copy"
			m.VolumeOptions = &mount.VolumeOptions{NoCopy: true}
		case word == "consistent" || word == "cached" || word == "delegated":
			kind = "consistency"
		}
		if kind == "" || seen[kind] {
			return fmt.Errorf("invalid mode: %s", list)
		}
		seen[kind] = true
	}
	return nil
}

// MountError is an error about a mount in Docker's words, such as
// MountError(m, fmt.Errorf("bind source path does not exist: %s", m.Source)).
func MountError(m mount.Mount, err error) error {
	return fmt.Errorf("invalid mount config for type %q: %w", m.Type, err)
}

// validateMount checks what can be checked without the host.
func validateMount(m mount.Mount) error {
	if err := checkMount(m); err != nil {
		return MountError(m, err)
	}
	return nil
}

func checkMount(m mount.Mount) error {
	if m.Target == "" {
		return errors.New("field Target must not be empty")
	}
	if err := checkTarget(m.Target); err != nil {
		return err
	}
	misplaced := func(set bool, name string) error {
		if set {
			return fmt.Errorf("field %s must not be specified", name)
		}
		return nil
	}
	switch m.Type {
	case mount.TypeBind:
		if m.Source == "" {
			return errors.New("field Source must not be empty")
		}
		if !path.IsAbs(m.Source) {
			return fmt.Errorf("invalid mount path: '%s' mount path must be absolute", m.Source)
		}
		return errors.Join(misplaced(m.VolumeOptions != nil, "VolumeOptions"), misplaced(m.TmpfsOptions != nil, "TmpfsOptions"), checkBindOptions(m))
	case mount.TypeVolume:
		if m.ReadOnly && m.Source == "" {
			return errors.New("must not set ReadOnly mode when using anonymous volumes")
		}
		return misplaced(m.TmpfsOptions != nil, "TmpfsOptions")
	case mount.TypeTmpfs:
		if err := errors.Join(misplaced(m.BindOptions != nil, "BindOptions"), misplaced(m.Source != "", "Source")); err != nil {
			return err
		}
		_, err := tmpfsOptions(m)
		return err
	}
	return errors.New("mount type unknown")
}

// checkTarget checks where something is to be mounted.
func checkTarget(target string) error {
	switch {
	case path.Clean(target) == "/":
		return errors.New("invalid specification: destination can't be '/'")
	case !path.IsAbs(target):
		return fmt.Errorf("invalid mount path: '%s' mount path must be absolute", target)
	}
	return nil
}

func checkBindOptions(m mount.Mount) error {
	o := m.BindOptions
	switch {
	case o == nil:
	case o.Propagation != "" && !slices.Contains(mount.Propagations, o.Propagation):
		return fmt.Errorf("invalid propagation mode: %s", o.Propagation)
	case !m.ReadOnly && o.ReadOnlyNonRecursive:
		return errors.New("mount options conflict: !ReadOnly && BindOptions.ReadOnlyNonRecursive")
	case !m.ReadOnly && o.ReadOnlyForceRecursive:
		return errors.New("mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive")
	case o.ReadOnlyNonRecursive && o.ReadOnlyForceRecursive:
		return errors.New("mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive")
	}
	return nil
}
