package engine

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/storage"
)

func (e *Engine) upper(id string) string {
	return filepath.Join(e.containers.Dir(id), "rw", "upper")
}

// Inspection is what Docker tells about a container, and whose user ids it has.
type Inspection struct {
	api.InspectResponse
	UserNamespace container.UserNamespace
}

// Inspect tells all about a container, with size its sizes too, which takes time.
func (e *Engine) Inspect(ref string, size bool) (found Inspection, err error) {
	id, err := e.find(ref)
	if err != nil {
		return found, err
	}
	c, err := e.look(id)
	if err != nil {
		return found, err
	}
	record, state := c.Record, c.State
	dir := e.containers.Dir(id)
	response := api.InspectResponse{
		ID: id, Created: record.Created.Format(time.RFC3339Nano), Path: record.Path, Args: record.Args,
		State: shownState(state), Image: record.Image, Name: "/" + record.Name, RestartCount: state.RestartCount,
		ResolvConfPath: filepath.Join(dir, "resolv.conf"), HostnamePath: filepath.Join(dir, "hostname"), HostsPath: filepath.Join(dir, "hosts"),
		LogPath: e.containers.LogPath(id), Driver: record.Driver, Platform: record.Platform,
		HostConfig: record.HostConfig, Config: record.Config, Mounts: record.Mounts,
		GraphDriver:     e.graphDriver(record),
		NetworkSettings: &api.NetworkSettings{Ports: shownPorts(record, state)},
	}
	if response.NetworkSettings.Networks, err = e.shownNetworks(record, state); err != nil {
		return found, err
	}
	if record.HostConfig.LogConfig.Type == "none" {
		response.LogPath = ""
	}
	if running(state) {
		response.NetworkSettings.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", state.Pid)
		response.ExecIDs = e.execIDs(id)
	}
	if response.Mounts == nil {
		response.Mounts = []api.MountPoint{}
	}
	if size {
		rw, rootFS, err := e.size(record)
		if err != nil {
			return found, err
		}
		response.SizeRw, response.SizeRootFs = &rw, &rootFS
	}
	found = Inspection{response, record.UserNamespace}
	found.UserNamespace.Mode = cmp.Or(found.UserNamespace.Mode, "host") // of an older record
	return found, nil
}

// execIDs asks which commands run in the container. That the monitor does not
// answer is no reason to know nothing else.
func (e *Engine) execIDs(id string) []string {
	conn, err := attach.Dial(e.containers.RunDir(id), attach.Request{Verb: attach.Execs})
	if err != nil {
		return nil
	}
	defer conn.Close()
	response, _, _ := attach.Answer(conn)
	return response.ExecIDs
}

func shownState(s *container.State) *api.State {
	return &api.State{
		Status: s.Status, Running: running(s), Paused: s.Status == api.StatePaused, Restarting: s.Status == api.StateRestarting,
		OOMKilled: s.OOMKilled, Dead: s.Status == api.StateDead, Pid: s.Pid, ExitCode: s.ExitCode, Error: s.Error,
		StartedAt: s.StartedAt.Format(time.RFC3339Nano), FinishedAt: s.FinishedAt.Format(time.RFC3339Nano), Health: s.Health,
	}
}

func (e *Engine) graphDriver(r *container.Record) *storage.DriverData {
	lower := ""
	for i, layer := range r.Layers {
		if i > 0 {
			lower += ":"
		}
		lower += filepath.Join(e.config.Root, layer)
	}
	return &storage.DriverData{Name: r.Driver, Data: map[string]string{
		"LowerDir": lower, "UpperDir": e.upper(r.ID), "WorkDir": filepath.Join(e.containers.Dir(r.ID), "rw", "work"),
		"MergedDir": filepath.Join(e.containers.RunDir(r.ID), "bundle", "rootfs"),
	}}
}
