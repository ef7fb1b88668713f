package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/image"
	"minidocker/mydocker/logfile"
	"minidocker/mydocker/security"
	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/mount"
)

// CreateRequest describes a container to be made.
type CreateRequest struct {
	Name       string // "": one is invented
	Config     *api.Config
	HostConfig *api.HostConfig
	Platform   string // os[/arch[/variant]] the image must be for; "": any
}

// Create makes a container and does not start it.
func (e *Engine) Create(r CreateRequest) (api.CreateResponse, error) {
	var response api.CreateResponse
	if r.Name != "" {
		if err := container.ValidName(strings.TrimPrefix(r.Name, "/")); err != nil {
			return response, err
		}
	}
	// Shared until the record is written: the image stays that long.
	lock, err := e.lockStore(disk.Shared)
	if err != nil {
		return response, err
	}
	defer lock.Release()
	img, err := e.images.Resolve(r.Config.Image)
	if err != nil {
		return response, err
	}
	if err := img.CheckPlatform(r.Platform, r.Config.Image); err != nil {
		return response, err
	}
	record, warnings, err := e.describe(r, img)
	if err != nil {
		return response, err
	}
	if err := e.containers.Sweep(); err != nil {
		return response, err
	}
	if err := e.claim(record, strings.TrimPrefix(r.Name, "/")); err != nil {
		return response, err
	}
	e.journal.Append(record.Event(events.ActionCreate, nil))
	return api.CreateResponse{ID: record.ID, Warnings: warnings}, nil
}

// describe settles what the container will be: the user's wishes, the image's,
// the defaults, all checked.
func (e *Engine) describe(r CreateRequest, img *image.Image) (*container.Record, []string, error) {
	config, host := r.Config, r.HostConfig
	var warnings []string
	if err := spec.Merge(config, &img.Config.Config); err != nil {
		return nil, nil, err
	}
	hierarchies, err := cgroup.Host()
	facts, err2 := hostFacts()
	if err := errors.Join(err, err2); err != nil {
		return nil, nil, err
	}
	if host.NetworkMode == "" || host.NetworkMode == "default" {
		host.NetworkMode = "none"
	}
	if host.LogConfig.Type == "" {
		host.LogConfig.Type = "json-file"
	}
	if host.Memory > 0 && !hierarchies.LimitsSwap() {
		warnings = append(warnings, noSwapLimit)
		host.MemorySwap = -1
	}
	more, err := e.settleModes(host, hierarchies)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(warnings, more...)
	spec.Default(host, hierarchies.Version == 2)
	if err := spec.Validate(config, host, facts); err != nil {
		return nil, nil, err
	}
	if _, err := container.ParseSignal(config.StopSignal); err != nil {
		return nil, nil, err
	}
	inherited, err := e.inheritedMounts(host)
	if err != nil {
		return nil, nil, err
	}
	mounts, err := prepareMounts(host, inherited)
	if err != nil {
		return nil, nil, err
	}
	if host.LogConfig.Type != "json-file" && host.LogConfig.Type != "none" {
		return nil, nil, fmt.Errorf("error looking up logging plugin %[1]s: plugin %[1]q not found", host.LogConfig.Type)
	}
	if _, err := logfile.ParseOptions(host.LogConfig.Config); err != nil {
		return nil, nil, err
	}
	command, err := spec.Command(config)
	if err != nil {
		return nil, nil, err
	}
	layers, err := e.layers(img)
	if err != nil {
		return nil, nil, err
	}
	id := container.NewID()
	if config.Hostname == "" && !host.NetworkMode.IsHost() && !host.UTSMode.IsHost() {
		config.Hostname = container.ShortID(id)
	}
	return &container.Record{
		ID: id, Created: time.Now().UTC(), Image: img.ID.String(), Layers: layers,
		Path: command[0], Args: command[1:], Config: config, HostConfig: host, Mounts: mounts, Inherited: inherited,
		Platform: "linux", Driver: "overlay2",
	}, warnings, nil
}

const noSwapLimit = "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."

// hostFacts are what a configuration is checked against.
func hostFacts() (spec.Facts, error) {
	capabilities, err := security.AvailableCapabilities()
	online, err2 := os.ReadFile("/sys/devices/system/cpu/online")
	nodes, err3 := os.ReadFile("/sys/devices/system/node/online")
	if os.IsNotExist(err3) { // a kernel without NUMA has no nodes to choose from
		err3 = nil
	}
	return spec.Facts{Capabilities: capabilities, CPUs: strings.TrimSpace(string(online)), MemoryNodes: strings.TrimSpace(string(nodes))},
		errors.Join(err, err2, err3)
}

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

// layers are the image's layer directories relative to the root.
func (e *Engine) layers(img *image.Image) ([]string, error) {
	dirs, err := e.images.LayerDirs(img)
	if err != nil {
		return nil, err
	}
	for i, dir := range dirs {
		if dirs[i], err = filepath.Rel(e.config.Root, dir); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// claim writes the record under its name, or under an invented one that is free.
func (e *Engine) claim(record *container.Record, name string) error {
	for attempt := 0; ; attempt++ {
		record.Name = name
		if name == "" {
			record.Name = container.NewName(attempt)
		}
		err := e.containers.Create(record)
		var taken *container.NameInUseError
		if name == "" && errors.As(err, &taken) {
			continue
		}
		return err
	}
}
