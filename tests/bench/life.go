package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// half is the budget of what has no harder one: half of the faster peer's time.
var half = []budget{{"docker", 1. / 2}, {"podman", 1. / 2}}

// lifeMeasures are of verbs on containers that run.
func lifeMeasures(containers int) []measure {
	// Of busybox, sh answers a signal at once only while it waits.
	obeys := []string{"sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"}
	names := make([]string, containers)
	for i := range names {
		names[i] = fmt.Sprint("mydocker-bench-stats-", i)
	}
	return []measure{
		restart("restart -t 0", []string{"sleep", "100000"}, "-t", "0"),
		restart("restart, obedient", obeys),
		{
			name: fmt.Sprintf("stats, %d", containers), slow: true, skip: noService, budgets: half,
			setup: func(e *engine) error {
				for _, name := range names {
					if err := e.do(e.detachedArgs(name)...); err != nil {
						return err
					}
				}
				return nil
			},
			sample: func(e *engine) (float64, error) {
				var out bytes.Buffer
				seconds, err := timed(func() error { return e.output(&out, append([]string{"stats", "--no-stream"}, names...)...) })
				if n := strings.Count(out.String(), "mydocker-bench-stats-"); err == nil && n != containers {
					err = fmt.Errorf("%s: stats shows %d containers", e.name, n)
				}
				return seconds, err
			},
			done: func(e *engine) error { return e.do(append([]string{"rm", "-f"}, names...)...) },
		},
	}
}

// restart measures it with a container of this command.
func restart(name string, command []string, flags ...string) measure {
	const container = "mydocker-bench-restart"
	args := append(append([]string{"restart"}, flags...), container)
	return measure{
		name: name, skip: noService, budgets: half,
		setup: func(e *engine) error { return e.do(append(e.detached(container), command...)...) },
		sample: func(e *engine) (float64, error) {
			time.Sleep(200 * time.Millisecond) // until the command has its trap
			return timed(func() error { return e.do(args...) })
		},
		done: func(e *engine) error { return e.do("rm", "-f", container) },
	}
}
