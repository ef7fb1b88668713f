package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/mount"
)

// bindsOf checks the values of -v, SOURCE:TARGET[:OPTIONS], and makes their
// sources absolute. The options are the engine's to check.
func bindsOf(volumes []string) (binds []string, err error) {
	for _, v := range volumes {
		parts := strings.Split(v, ":")
		switch {
		case slices.Contains(parts, ""):
			return nil, fmt.Errorf("invalid spec: %s: empty section between colons", v)
		case len(parts) > 3:
			return nil, fmt.Errorf("invalid spec: %s: too many colons", v)
		case len(parts) == 1 || parts[0][0] != '/' && parts[0][0] != '.':
			return nil, fmt.Errorf("invalid volume specification: '%s': this version of %s has no volumes, only directories and files of the host, which begin with / or .", v, name)
		}
		if parts[0], err = absolute(parts[0]); err != nil {
			return nil, err
		}
		if bind := strings.Join(parts, ":"); !slices.Contains(binds, bind) {
			binds = append(binds, bind)
		}
	}
	return binds, nil
}

// absolute resolves ./x and ../x against the client's directory, which the engine
// cannot know, and leaves all else as it is.
func absolute(path string) (string, error) {
	if !strings.HasPrefix(path, ".") {
		return path, nil
	}
	return filepath.Abs(path)
}

func tmpfsMap(given []string) map[string]string {
	if len(given) == 0 {
		return nil
	}
	all := map[string]string{}
	for _, t := range given {
		target, options, _ := strings.Cut(t, ":")
		all[target] = options
	}
	return all
}

// addMount is --mount type=bind,src=/a,dst=/b,...: a line of CSV, so that a value
// may be quoted.
func (o *containerOptions) addMount(v string) error {
	fields, err := csv.NewReader(strings.NewReader(strings.TrimSpace(v))).Read()
	if err != nil {
		return err
	}
	m := mount.Mount{Type: mount.TypeVolume}
	for _, field := range fields {
		key, value, assigned := strings.Cut(field, "=")
		if err := setMount(&m, strings.ToLower(key), value, assigned, field); err != nil {
			return err
		}
	}
	if err := checkMount(&m); err != nil {
		return err
	}
	o.mounts = append(o.mounts, m)
	return nil
}

func setMount(m *mount.Mount, key, value string, assigned bool, field string) (err error) {
	switch key {
	case "readonly", "ro", "bind-create-src":
	default:
		if !assigned {
			return fmt.Errorf("invalid field '%s' must be a key=value pair", field)
		}
	}
	switch key {
	case "type":
		m.Type = mount.Type(strings.ToLower(value))
	case "source", "src":
		m.Source, err = absolute(value)
	case "target", "dst", "destination":
		m.Target = value
	case "readonly", "ro":
		m.ReadOnly, err = mountSwitch(key, value, assigned)
	case "consistency": // of the file systems of Docker Desktop
		m.Consistency = mount.Consistency(strings.ToLower(value))
	case "bind-propagation":
		bindOptions(m).Propagation = mount.Propagation(strings.ToLower(value))
	case "bind-create-src":
		bindOptions(m).CreateMountpoint, err = mountSwitch(key, value, assigned)
	case "bind-recursive":
		err = setRecursive(bindOptions(m), value)
	case "bind-nonrecursive":
		err = errors.New("bind-nonrecursive is deprecated, use bind-recursive=disabled instead")
	case "tmpfs-size":
		if tmpfsOptions(m).SizeBytes, err = units.RAMInBytes(value); err != nil {
			err = fmt.Errorf("invalid value for %s: %s", key, value)
		}
	case "tmpfs-mode":
		mode, parseErr := strconv.ParseUint(value, 8, 32)
		if parseErr != nil {
			err = fmt.Errorf("invalid value for %s: %s", key, value)
		}
		tmpfsOptions(m).Mode = os.FileMode(mode)
	case "volume-subpath", "volume-nocopy", "volume-label", "volume-driver", "volume-opt", "image-subpath":
		err = fmt.Errorf("option '%s' is not supported by this version of %s", key, name)
	default:
		err = fmt.Errorf("unexpected key '%s' in '%s'", key, field)
	}
	return err
}

// setRecursive says what becomes of mounts below the source.
func setRecursive(b *mount.BindOptions, value string) error {
	switch value {
	case "enabled":
	case "disabled":
		b.NonRecursive = true
	case "writable":
		b.ReadOnlyNonRecursive = true
	case "readonly":
		b.ReadOnlyForceRecursive = true
	default:
		return fmt.Errorf(`invalid value for bind-recursive: %s (must be "enabled", "disabled", "writable", or "readonly")`, value)
	}
	return nil
}

func mountSwitch(key, value string, assigned bool) (bool, error) {
	switch {
	case !assigned, value == "1", value == "true":
		return true, nil
	case value == "0", value == "false":
		return false, nil
	}
	return false, fmt.Errorf("invalid value for %s: %s", key, value)
}

// checkMount finds contradictions among the options; what cannot be mounted the
// engine finds.
func checkMount(m *mount.Mount) error {
	b := m.BindOptions
	switch {
	case m.Type == mount.TypeVolume:
		return fmt.Errorf("this version of %s has no volumes: use type=bind or type=tmpfs", name)
	case m.Type != mount.TypeBind && b != nil:
		return fmt.Errorf("cannot mix 'bind-*' options with mount type '%s'", m.Type)
	case m.Type != mount.TypeTmpfs && m.TmpfsOptions != nil:
		return fmt.Errorf("cannot mix 'tmpfs-*' options with mount type '%s'", m.Type)
	case b != nil && b.ReadOnlyNonRecursive && !m.ReadOnly:
		return errors.New("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
	case b != nil && b.ReadOnlyForceRecursive && !m.ReadOnly:
		return errors.New("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
	case b != nil && b.ReadOnlyForceRecursive && b.Propagation != mount.PropagationRPrivate:
		return errors.New("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction")
	}
	return nil
}

func bindOptions(m *mount.Mount) *mount.BindOptions {
	if m.BindOptions == nil {
		m.BindOptions = &mount.BindOptions{}
	}
	return m.BindOptions
}

func tmpfsOptions(m *mount.Mount) *mount.TmpfsOptions {
	if m.TmpfsOptions == nil {
		m.TmpfsOptions = &mount.TmpfsOptions{}
	}
	return m.TmpfsOptions
}
