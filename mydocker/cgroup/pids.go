package cgroup

import (
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// pidsSettings limits processes and threads together. Less than zero is no limit; zero
// leaves it as it is, as runc 1.1 (version 1.3 of the specification would allow none).
func pidsSettings(p specs.LinuxPids) []setting {
	limit := entry{"pids.max", orMax(max(value(p.Limit), -1))}
	return []setting{{v1: limit, v2: limit}}
}

func (g Group) pidsStats(s *Stats) error {
	return errors.Join(
		g.read(&s.Pids, "pids.current", "pids.current"),
		g.read(&s.PidsLimit, "pids.max", "pids.max"),
	)
}
