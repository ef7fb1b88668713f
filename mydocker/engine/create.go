package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
	netapi "github.com/moby/moby/api/types/network"
)

// CreateRequest describes a container to be made.
type CreateRequest struct {
	Name       string // "": one is invented
	Config     *api.Config
	HostConfig *api.HostConfig
	// Networks are what is asked for in each network, by name. That of
	// HostConfig.NetworkMode may be missing.
	Networks map[string]*netapi.EndpointSettings
	Platform string // os[/arch[/variant]] the image must be for; "": any
}

// Create makes a container and does not start it.
func (e *Engine) Create(r CreateRequest) (api.CreateResponse, error) {
	var response api.CreateResponse
	if r.Name != "" {
		if err := container.ValidName(strings.TrimPrefix(r.Name, "/")); err != nil {
			return response, err
		}
	}
	// Shared until the record is written: the image stays that long, and the volumes.
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
	name := strings.TrimPrefix(r.Name, "/")
	if err := e.containers.Free(name); name != "" && err != nil { // before volumes are made
		return response, err
	}
	volumes, err := e.settleMounts(record)
	if err == nil {
		err = e.claim(record, name)
	}
	if err = errors.Join(err, volumes.release(err == nil)); err != nil {
		return response, err
	}
	e.journal.Append(record.Event(events.ActionCreate, nil))
	return api.CreateResponse{ID: record.ID, Warnings: warnings}, nil
}

// describe makes the record of what the container will be, but for its mounts.
func (e *Engine) describe(r CreateRequest, img *image.Image) (*container.Record, []string, error) {
	config, host := r.Config, r.HostConfig
	networks, warnings, err := e.settleNetworks(config, host, r.Networks)
	if err != nil {
		return nil, nil, err
	}
	more, err := e.settle(config, host, img)
	if err != nil {
		return nil, nil, err
	}
	users, err := e.settleUsers(host)
	if err != nil {
		return nil, nil, err
	}
	warnings = append(warnings, more...)
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
		Path: command[0], Args: command[1:], Config: config, HostConfig: host, Networks: networks,
		UserNamespace: users, Platform: "linux", Driver: "overlay2",
	}, warnings, nil
}

// settle completes the user's wishes by the image's and the defaults, and checks
// them. It warns of what this host cannot do and was left out.
func (e *Engine) settle(config *api.Config, host *api.HostConfig, img *image.Image) (warnings []string, err error) {
	if err := spec.Merge(config, &img.Config.Config); err != nil {
		return nil, err
	}
	hierarchies, err := cgroup.Host()
	facts, err2 := hostFacts()
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	host.LogConfig.Type = cmp.Or(host.LogConfig.Type, "json-file")
	if host.LogConfig.Type == "json-file" && len(e.config.LogOptions) > 0 {
		options := maps.Clone(e.config.LogOptions)
		maps.Copy(options, host.LogConfig.Config)
		host.LogConfig.Config = options
	}
	if host.Memory > 0 && !hierarchies.LimitsSwap() {
		warnings = append(warnings, noSwapLimit)
		host.MemorySwap = -1
	}
	more, err := e.settleModes(host, hierarchies)
	if err != nil {
		return nil, err
	}
	spec.Default(host, hierarchies.Version == 2)
	if err := spec.Validate(config, host, facts); err != nil {
		return nil, err
	}
	if _, err := container.ParseSignal(config.StopSignal); err != nil {
		return nil, err
	}
	if host.LogConfig.Type != "json-file" && host.LogConfig.Type != "none" {
		return nil, fmt.Errorf("error looking up logging plugin %[1]s: plugin %[1]q not found", host.LogConfig.Type)
	}
	_, err = logfile.ParseOptions(host.LogConfig.Config)
	return append(warnings, more...), err
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
