package cli

import (
	"fmt"
	"strings"
	"sync"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

func updateCommand(s *session) *command {
	o, given := &containerOptions{}, false
	h := &o.host
	options := []*option{
		integer16(&h.BlkioWeight, "blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)"),
		integer(&h.CPUPeriod, "cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
		integer(&h.CPUQuota, "cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
		integer(&h.CPUShares, "c,cpu-shares", "CPU shares (relative weight)"),
		parsed("decimal", "cpus", "Number of CPUs", o.setCPUs),
		text(&h.CpusetCpus, "cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
		text(&h.CpusetMems, "cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
		byteSize(&h.Memory, "m,memory", "Memory limit"),
		byteSize(&h.MemoryReservation, "memory-reservation", "Memory soft limit"),
		swapSize(&h.MemorySwap),
		optional(&h.PidsLimit, "pids-limit", "Tune container pids limit (set -1 for unlimited)"),
		parsed("string", "restart", "Restart policy to apply when a container exits", func(v string) (err error) {
			if h.RestartPolicy, err = parseRestart(v); err != nil {
				err = exit(1, "%w", err)
			}
			return err
		}),
	}
	for _, option := range options {
		assign := option.assign
		option.assign = func(v string) error {
			given = true
			return assign(v)
		}
	}
	return &command{
		Usage: "Update configuration of one or more containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker update --cpus 0.5 --restart unless-stopped web",
		Flags:       flags("cpu-rt-period cpu-rt-runtime kernel-memory", options...),
		Action: s.action(func(e *engine.Engine, refs []string) error {
			if !given {
				return exit(1, "you must provide one or more flags when using this command")
			}
			if h.PidsLimit != nil && *h.PidsLimit == 0 {
				h.PidsLimit = nil // as it is
			}
			var mu sync.Mutex
			var warnings []string
			err := each(func(e *engine.Engine, ref string) (string, error) {
				response, err := e.Update(ref, api.UpdateConfig{Resources: h.Resources, RestartPolicy: h.RestartPolicy})
				mu.Lock()
				warnings = append(warnings, response.Warnings...)
				mu.Unlock()
				return ref, err
			})(e, refs)
			if len(warnings) > 0 {
				fmt.Println(strings.Join(warnings, "\n"))
			}
			return err
		}),
	}
}
