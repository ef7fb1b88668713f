package engine

import (
	"errors"

	"minidocker/mydocker/cgroup"

	api "github.com/moby/moby/api/types/container"
)

// settleModes replaces the names of other containers by their IDs, and discards
// what the kernel cannot do, with a warning each.
func (e *Engine) settleModes(host *api.HostConfig, h *cgroup.Hierarchies) (warnings []string, err error) {
	if host.IpcMode == "container:" {
		return nil, errors.New(`can't join IPC of container : invalid name or ID supplied: ""`)
	}
	for _, mode := range []*string{(*string)(&host.PidMode), (*string)(&host.IpcMode)} {
		if ref := api.PidMode(*mode).Container(); ref != "" {
			id, err := e.containers.Resolve(ref)
			if err != nil {
				return nil, err
			}
			*mode = "container:" + id
		}
	}
	if host.MemorySwappiness != nil && h.Version == 2 {
		host.MemorySwappiness = nil
		warnings = append(warnings, "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.")
	}
	if disable := host.OomKillDisable; disable != nil && *disable {
		if h.Version == 2 {
			host.OomKillDisable = nil
			warnings = append(warnings, "Your kernel does not support OomKillDisable. OomKillDisable discarded.")
		} else if host.Memory == 0 {
			warnings = append(warnings, "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.")
		}
	}
	if host.BlkioWeight > 0 && !h.WeighsIO() {
		host.BlkioWeight = 0
		warnings = append(warnings, "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
	}
	if len(host.BlkioWeightDevice) > 0 && !h.WeighsDevices() {
		host.BlkioWeightDevice = host.BlkioWeightDevice[:0]
		warnings = append(warnings, "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.")
	}
	return warnings, nil
}
