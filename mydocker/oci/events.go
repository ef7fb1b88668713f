package oci

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"minidocker/mydocker/cgroup"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
)

// event is a line of events, with runc's names.
type event struct {
	Type string `json:"type"` // stats or oom
	ID   string `json:"id"`
	Data *stats `json:"data,omitempty"`
}

type stats struct {
	CPU struct {
		Usage struct {
			Total  uint64 `json:"total"` // nanoseconds, as those below
			Kernel uint64 `json:"kernel"`
			User   uint64 `json:"user"`
		} `json:"usage"`
		Throttling struct {
			Periods          uint64 `json:"periods,omitempty"`
			ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
			ThrottledTime    uint64 `json:"throttledTime,omitempty"`
		} `json:"throttling"`
	} `json:"cpu"`
	Memory struct {
		Cache uint64 `json:"cache,omitempty"`
		Usage struct {
			Limit uint64 `json:"limit"`
			Usage uint64 `json:"usage,omitempty"`
		} `json:"usage"`
		Raw map[string]uint64 `json:"raw,omitempty"`
	} `json:"memory"`
	Pids struct {
		Current uint64 `json:"current,omitempty"`
		Limit   uint64 `json:"limit,omitempty"`
	} `json:"pids"`
	BlockIO struct {
		Bytes []ioBytes `json:"ioServiceBytesRecursive,omitempty"`
	} `json:"blkio"`
}

// ioBytes is what was read from or written to all devices together.
type ioBytes struct {
	Op    string `json:"op"`
	Value uint64 `json:"value"`
}

func (h *host) eventsCommand() *cli.Command {
	var once bool
	var interval time.Duration
	return &cli.Command{Name: "events", Usage: "print what a container uses, every few seconds, and when it runs out of memory", ArgsUsage: "<container-id>",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "time between two lines", Destination: &interval},
			&cli.BoolFlag{Name: "stats", Usage: "print one line of what it uses, and end", Destination: &once}},
		Action: h.on(func(_ *cli.Context, id string) error {
			if interval <= 0 {
				return errors.New("duration interval must be greater than 0")
			}
			return h.events(id, once, interval)
		})}
}

func (h *host) events(id string, once bool, interval time.Duration) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	status, p, err := c.status()
	if err != nil {
		return err
	}
	if status == specs.StateStopped {
		return errors.New("container with id " + id + " is not running")
	}
	defer p.Close()
	group, err := c.group()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if once {
		return printStats(out, id, group)
	}
	kills, err := group.OOMKills()
	if err != nil {
		return err
	}
	// The kernel's ways to wait for a lack of memory differ with the version, and both
	// lose the group when it is deleted; its count of killed processes is always there.
	const look = 100 * time.Millisecond
	for next := time.Now().Add(interval); !p.DoneWithin(int(look / time.Millisecond)); {
		now, err := group.OOMKills()
		if err == nil && now > kills {
			kills, err = now, out.Encode(event{Type: "oom", ID: id})
		}
		if err == nil && time.Now().After(next) {
			next = next.Add(interval)
			err = printStats(out, id, group)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func printStats(out *json.Encoder, id string, group cgroup.Group) error {
	s, err := group.Stats()
	if err != nil {
		return err
	}
	return out.Encode(event{"stats", id, convert(s)})
}

func convert(s *cgroup.Stats) *stats {
	to := &stats{}
	to.CPU.Usage.Total, to.CPU.Usage.User, to.CPU.Usage.Kernel = s.CPUUsage, s.CPUUser, s.CPUKernel
	to.CPU.Throttling.Periods, to.CPU.Throttling.ThrottledPeriods = s.Throttled["nr_periods"], s.Throttled["nr_throttled"]
	to.CPU.Throttling.ThrottledTime = s.Throttled["throttled_time"] + s.Throttled["throttled_usec"]*1000
	to.Memory.Raw, to.Memory.Cache = s.Memory, s.Memory["total_cache"]+s.Memory["file"]
	to.Memory.Usage.Usage, to.Memory.Usage.Limit = s.MemoryUsage+s.InactiveFile(), s.MemoryLimit
	if s.MemoryLimit == 0 {
		to.Memory.Usage.Limit = 1<<64 - 1 // as runc has it
	}
	to.Pids.Current, to.Pids.Limit = s.Pids, s.PidsLimit
	to.BlockIO.Bytes = []ioBytes{{"Read", s.IORead}, {"Write", s.IOWrite}}
	return to
}
