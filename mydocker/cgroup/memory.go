package cgroup

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// memorySettings limits memory in bytes; -1 lifts a limit, 0 leaves it as it is.
// Swap is memory and swap together, as version 1 has it; version 2 limits it alone,
// and has neither swappiness nor the OOM switch, which Docker ignores there too.
func memorySettings(m specs.LinuxMemory) ([]setting, error) {
	limit, total, low := value(m.Limit), value(m.Swap), value(m.Reservation)
	// Without memory's limit, swap's would be lower than memory's: lift both, as runc does.
	if limit == -1 && total == 0 {
		total = -1
	}
	swap := orMax(total)
	if total > 0 {
		if limit <= 0 || total < limit {
			return nil, fmt.Errorf("limit memory and swap together to %d: needs a limit of memory, not above that: %d", total, limit)
		}
		swap = fmt.Sprint(total - limit)
	}
	list := []setting{
		{v1: entry{"memory.limit_in_bytes", number(limit)}, v2: entry{"memory.max", orMax(limit)}},
		{v1: entry{"memory.memsw.limit_in_bytes", number(total)}, v2: entry{"memory.swap.max", swap}, or: &setting{}},
		{v1: entry{"memory.soft_limit_in_bytes", number(low)}, v2: entry{"memory.low", orMax(low)}},
	}
	if m.Swappiness != nil {
		list = append(list, setting{v1: entry{"memory.swappiness", fmt.Sprint(*m.Swappiness)}})
	}
	if value(m.DisableOOMKiller) {
		list = append(list, setting{v1: entry{"memory.oom_control", "1"}})
	}
	return list, nil
}

// memoryStats counts memory without the page cache the kernel would drop first,
// as docker does: `docker stats` would otherwise show every file once read.
func (g Group) memoryStats(s *Stats) (err error) {
	if s.Memory, err = g.table("memory.stat"); err != nil {
		return err
	}
	err = errors.Join(
		g.read(&s.MemoryUsage, "memory.usage_in_bytes", "memory.current"),
		g.read(&s.MemoryLimit, "memory.limit_in_bytes", "memory.max"),
	)
	s.MemoryUsage -= min(s.InactiveFile(), s.MemoryUsage)
	if s.MemoryLimit >= 1<<62 { // version 1's "unlimited" is the largest number of whole pages
		s.MemoryLimit = 0
	}
	return err
}

// InactiveFile is the page cache that MemoryUsage leaves out, in bytes.
func (s *Stats) InactiveFile() uint64 {
	if n, v1 := s.Memory["total_inactive_file"]; v1 { // with the groups below
		return n
	}
	return s.Memory["inactive_file"]
}

// OOMKills counts the processes which the kernel killed in the group because memory
// was at its limit, on version 2 also in the groups below.
func (g Group) OOMKills() (kills uint64, err error) {
	err = g.read(&kills, "memory.oom_control oom_kill", "memory.events oom_kill")
	return kills, err
}
