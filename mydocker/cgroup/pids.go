package cgroup

import (
	"cmp"
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// pidsSettings limits processes and threads together. Zero and less is no limit,
// as Docker has it.
func pidsSettings(p specs.LinuxPids) []setting {
	if p.Limit == nil {
		return nil
	}
	limit := entry{"pids.max", cmp.Or(number(max(*p.Limit, 0)), "max")}
	return []setting{{v1: limit, v2: limit}}
}

func (g Group) pidsStats(s *Stats) error {
	return errors.Join(
		g.read(&s.Pids, "pids.current", "pids.current"),
		g.read(&s.PidsLimit, "pids.max", "pids.max"),
	)
}
