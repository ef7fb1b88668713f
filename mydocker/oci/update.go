package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
)

func (h *host) pauseCommand() *cli.Command {
	return &cli.Command{Name: "pause", Usage: "stop all processes of a container", ArgsUsage: "<container-id>",
		Action: h.on(func(_ *cli.Context, id string) error { return h.freeze(id, true) })}
}

func (h *host) resumeCommand() *cli.Command {
	return &cli.Command{Name: "resume", Usage: "let the processes of a paused container go on", ArgsUsage: "<container-id>",
		Action: h.on(func(_ *cli.Context, id string) error { return h.freeze(id, false) })}
}

func (h *host) freeze(id string, stop bool) error {
	c, lock, err := h.loadLocked(id)
	if err != nil {
		return err
	}
	defer lock.Release()
	status, p, err := c.status()
	if err != nil {
		return err
	}
	if p != nil {
		p.Close()
	}
	group, err := c.group()
	if err != nil {
		return err
	}
	switch {
	case stop && (status == specs.StateRunning || status == specs.StateCreated):
		return group.Freeze()
	case stop:
		return errNotRuns
	case status == paused:
		return group.Thaw()
	}
	return errors.New("container not paused")
}

// limit is a flag of update that sets one field of the resources.
type limit struct{ flag, section, field, usage string }

func limits() []limit {
	return []limit{
		{"blkio-weight", "blockIO", "weight", "share of block devices, 10 to 1000"},
		{"cpu-period", "cpu", "period", "microseconds of which cpu-quota may be used"},
		{"cpu-quota", "cpu", "quota", "microseconds of CPU time in each period"},
		{"cpu-burst", "cpu", "burst", "microseconds of CPU time saved up for later periods"},
		{"cpu-share", "cpu", "shares", "share of CPU time"},
		{"cpu-rt-period", "cpu", "realtimePeriod", "microseconds of which cpu-rt-runtime may be used"},
		{"cpu-rt-runtime", "cpu", "realtimeRuntime", "microseconds of realtime CPU time in each period"},
		{"cpu-idle", "cpu", "idle", "1: only when nobody else wants the CPU"},
		{"cpuset-cpus", "cpu", "cpus", "CPUs to use, such as 0-2,7"},
		{"cpuset-mems", "cpu", "mems", "memory nodes to use"},
		{"memory", "memory", "limit", "memory in bytes"},
		{"memory-reservation", "memory", "reservation", "memory in bytes that is kept under pressure"},
		{"memory-swap", "memory", "swap", "memory and swap together in bytes; -1: no limit"},
		{"pids-limit", "pids", "limit", "processes and threads; -1: no limit"},
	}
}

func (h *host) updateCommand() *cli.Command {
	var file string
	flags := []cli.Flag{&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Destination: &file,
		Usage: "file of the resources as in config.json, or - for standard input; other flags are ignored then"}}
	for _, l := range limits() {
		flags = append(flags, &cli.StringFlag{Name: l.flag, Usage: l.usage})
	}
	return &cli.Command{Name: "update", Usage: "change the limits of a container", ArgsUsage: "<container-id>", Flags: flags,
		Action: h.on(func(c *cli.Context, id string) error {
			read := func() (*specs.LinuxResources, error) { return fromFlags(c.String) }
			if file != "" {
				read = func() (*specs.LinuxResources, error) { return fromFile(file) }
			}
			return h.update(id, read)
		})}
}

// fromFlags is what the flags ask for; value gives a flag's, "" if it is not there.
// JSON knows the fields' types and ranges.
func fromFlags(value func(flag string) string) (r *specs.LinuxResources, err error) {
	tree := map[string]map[string]any{"cpu": {}, "memory": {}, "blockIO": {}, "pids": {}}
	for _, l := range limits() {
		switch text := value(l.flag); {
		case text == "":
		case l.section == "memory" && text != "-1":
			if tree[l.section][l.field], err = units.RAMInBytes(text); err != nil {
				return nil, fmt.Errorf("invalid value for %s: %w", l.flag, err)
			}
		case l.field == "cpus" || l.field == "mems":
			tree[l.section][l.field] = text
		default:
			tree[l.section][l.field] = json.Number(text)
		}
	}
	data, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	return r, err
}

func fromFile(file string) (*specs.LinuxResources, error) {
	in := os.Stdin
	if file != "-" {
		var err error
		if in, err = os.Open(file); err != nil {
			return nil, err
		}
		defer in.Close()
	}
	data, err := io.ReadAll(in)
	r := &specs.LinuxResources{}
	if err == nil {
		err = json.Unmarshal(data, r)
	}
	// Callers give the whole section back that they got. Rules for devices could on
	// version 2 only be added: they stay what they are, as with runc.
	r.Devices = nil
	return r, err
}

func (h *host) update(id string, resources func() (*specs.LinuxResources, error)) error {
	c, lock, err := h.loadLocked(id)
	if err != nil {
		return err
	}
	defer lock.Release()
	r, err := resources()
	if err != nil {
		return err
	}
	_, p, err := c.status()
	if err != nil {
		return err
	}
	if p == nil {
		return errNotRuns
	}
	p.Close()
	group, err := c.group()
	if err != nil {
		return err
	}
	_, err = group.Update(r)
	return err
}
