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
	c, unlock, err := h.loadLocked(id)
	if err != nil {
		return err
	}
	defer unlock()
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

// limit is a flag of update that sets one limit.
type limit struct {
	name, usage string
	set         func(r *specs.LinuxResources, text string) error
}

func limits() []limit {
	return []limit{
		{"blkio-weight", "share of block devices, 10 to 1000", number(func(r *specs.LinuxResources) **uint16 { return &r.BlockIO.Weight })},
		{"cpu-period", "microseconds of which cpu-quota may be used", number(func(r *specs.LinuxResources) **uint64 { return &r.CPU.Period })},
		{"cpu-quota", "microseconds of CPU time in each period", number(func(r *specs.LinuxResources) **int64 { return &r.CPU.Quota })},
		{"cpu-burst", "microseconds of CPU time saved up for later periods", number(func(r *specs.LinuxResources) **uint64 { return &r.CPU.Burst })},
		{"cpu-share", "share of CPU time", number(func(r *specs.LinuxResources) **uint64 { return &r.CPU.Shares })},
		{"cpu-rt-period", "microseconds of which cpu-rt-runtime may be used", number(func(r *specs.LinuxResources) **uint64 { return &r.CPU.RealtimePeriod })},
		{"cpu-rt-runtime", "microseconds of realtime CPU time in each period", number(func(r *specs.LinuxResources) **int64 { return &r.CPU.RealtimeRuntime })},
		{"cpu-idle", "1: only when nobody else wants the CPU", number(func(r *specs.LinuxResources) **int64 { return &r.CPU.Idle })},
		{"cpuset-cpus", "CPUs to use, such as 0-2,7", func(r *specs.LinuxResources, text string) error { r.CPU.Cpus = text; return nil }},
		{"cpuset-mems", "memory nodes to use", func(r *specs.LinuxResources, text string) error { r.CPU.Mems = text; return nil }},
		{"memory", "memory in bytes", size(func(r *specs.LinuxResources) **int64 { return &r.Memory.Limit })},
		{"memory-reservation", "memory in bytes that is kept under pressure", size(func(r *specs.LinuxResources) **int64 { return &r.Memory.Reservation })},
		{"memory-swap", "memory and swap together in bytes; -1: no limit", size(func(r *specs.LinuxResources) **int64 { return &r.Memory.Swap })},
		{"pids-limit", "processes and threads; -1: no limit", number(func(r *specs.LinuxResources) **int64 { return &r.Pids.Limit })},
	}
}

func number[N int64 | uint64 | uint16](field func(*specs.LinuxResources) **N) func(*specs.LinuxResources, string) error {
	return func(r *specs.LinuxResources, text string) error {
		n := new(N)
		*field(r) = n
		return json.Unmarshal([]byte(text), n) // with the range of its type
	}
}

func size(field func(*specs.LinuxResources) **int64) func(*specs.LinuxResources, string) error {
	return func(r *specs.LinuxResources, text string) error {
		n := int64(-1)
		if text != "-1" {
			var err error
			if n, err = units.RAMInBytes(text); err != nil {
				return err
			}
		}
		*field(r) = &n
		return nil
	}
}

func (h *host) updateCommand() *cli.Command {
	var file string
	flags := []cli.Flag{&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Destination: &file,
		Usage: "file of the resources as in config.json, or - for standard input; other flags are ignored then"}}
	for _, l := range limits() {
		flags = append(flags, &cli.StringFlag{Name: l.name, Usage: l.usage})
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
func fromFlags(value func(name string) string) (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{CPU: &specs.LinuxCPU{}, Memory: &specs.LinuxMemory{}, BlockIO: &specs.LinuxBlockIO{}, Pids: &specs.LinuxPids{}}
	for _, l := range limits() {
		if text := value(l.name); text != "" {
			if err := l.set(r, text); err != nil {
				return nil, fmt.Errorf("invalid value for %s: %w", l.name, err)
			}
		}
	}
	return r, nil
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
	c, unlock, err := h.loadLocked(id)
	if err != nil {
		return err
	}
	defer unlock()
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
