package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"minidocker/mydocker/cgroup"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
)

// event is a line of events, with runc's names.
type event struct {
	Type string          `json:"type"` // stats or oom
	ID   string          `json:"id"`
	Data *cgroup.Details `json:"data,omitempty"`
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

// events ends with the container.
func (h *host) events(id string, once bool, interval time.Duration) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	s, err := c.show()
	if err != nil {
		return err
	}
	if s.Status == specs.StateStopped {
		return fmt.Errorf("container with id %s is not running", id)
	}
	group, err := c.group()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	stats := func() error {
		data, err := group.Details()
		if err != nil {
			return err
		}
		return out.Encode(event{"stats", id, data})
	}
	if once {
		return stats()
	}
	oom, err := group.NotifyOOM(context.Background())
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
