package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"minidocker/mydocker/cgroup"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
)

// freeze is pause and resume.
func (h *host) freeze(c *cli.Context, id string) error {
	stop := c.Command.Name == "pause"
	_, v, lock, err := h.lookLocked(id)
	if err != nil {
		return err
	}
	defer lock.Release()
	defer v.close()
	switch {
	case stop && (v.status == specs.StateRunning || v.status == specs.StateCreated):
		return v.group.Freeze()
	case stop:
		return errNotRuns
	case v.status == paused:
		return v.group.Thaw()
	}
	return errors.New("container not paused")
}

// limit is a flag of update that sets one field of the resources.
type limit struct{ flag, section, field, usage string }

func limitFlags() []limit {
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

// fromFlags is what the flags ask for; value gives a flag's, "" if it is not there.
// JSON knows the fields' types and ranges.
func fromFlags(value func(flag string) string) (r *specs.LinuxResources, err error) {
	tree := map[string]map[string]any{"cpu": {}, "memory": {}, "blockIO": {}, "pids": {}}
	for _, l := range limitFlags() {
		switch text := value(l.flag); {
		case text == "":
		case l.field == "cpus" || l.field == "mems":
			tree[l.section][l.field] = text
		case l.section == "memory" && text != "-1":
			tree[l.section][l.field], err = units.RAMInBytes(text)
		default:
			tree[l.section][l.field], err = strconv.ParseInt(text, 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("invalid value for %s: %w", l.flag, err)
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

func (h *host) update(c *cli.Context, id string) error {
	_, v, lock, err := h.lookLocked(id)
	if err != nil {
		return err
	}
	defer lock.Release()
	defer v.close()
	r, err := fromFlags(c.String)
	if file := c.String("resources"); file != "" {
		r, err = fromFile(file)
	}
	if err != nil {
		return err
	}
	if v.process == nil {
		return errNotRuns
	}
	_, err = v.group.Update(r)
	return err
}

// event is a line of events, with runc's names.
type event struct {
	Type string          `json:"type"` // stats or oom
	ID   string          `json:"id"`
	Data *cgroup.Details `json:"data,omitempty"`
}

// events ends with the container.
func (h *host) events(ctx *cli.Context, id string) error {
	interval := ctx.Duration("interval")
	if interval <= 0 {
		return errors.New("duration interval must be greater than 0")
	}
	c, err := h.load(id)
	if err != nil {
		return err
	}
	v, err := c.look()
	if err != nil {
		return err
	}
	defer v.close()
	if v.process == nil {
		return fmt.Errorf("container with id %s is not running", id)
	}
	out := json.NewEncoder(os.Stdout)
	stats := func() error {
		data, err := v.group.Details()
		if err != nil {
			return err
		}
		return out.Encode(event{"stats", id, data})
	}
	if ctx.Bool("stats") {
		return stats()
	}
	oom, err := v.group.NotifyOOM(context.Background())
	if err != nil {
		return err
	}
	for tick := time.Tick(interval); err == nil; {
		select {
		case <-tick:
			err = stats()
		case _, more := <-oom:
			if !more {
				return nil
			}
			err = out.Encode(event{"oom", id, nil})
		}
	}
	return err
}
