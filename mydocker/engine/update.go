package engine

import (
	"errors"
	"fmt"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

// Update changes a container's limits and restart policy (Engine API, POST
// /containers/{id}/update): what is zero stays as it is. The limits of one that runs
// change at once; a refused change changes nothing.
func (e *Engine) Update(ref string, u api.UpdateConfig) (response api.UpdateResponse, err error) {
	id, err := e.find(ref)
	if err != nil {
		return response, err
	}
	facts, err := hostFacts()
	host, err2 := cgroup.Host()
	if err := errors.Join(err, err2); err != nil {
		return response, err
	}
	if u.BlkioWeight != 0 && !host.WeighsIO() {
		response.Warnings = append(response.Warnings, "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
		u.BlkioWeight = 0
	}
	if u.Memory > 0 && u.MemorySwap != -1 && !host.LimitsSwap() {
		response.Warnings = append(response.Warnings, noSwapLimit)
		u.MemorySwap = -1
	}
	if err := spec.CheckUpdate(&u, facts); err != nil {
		return response, err
	}
	return response, e.change(id, attach.Request{Verb: attach.Update, Update: &u}, func() error {
		record, err := e.containers.Record(id)
		if err != nil {
			return err
		}
		if record.HostConfig, err = spec.Update(record.HostConfig, &u); err == nil {
			err = e.containers.SaveRecord(record)
		}
		if err != nil {
			return fmt.Errorf("Cannot update container %s: %w", id, err)
		}
		e.journal.Append(record.Event(events.ActionUpdate, nil))
		return nil
	})
}
