package cgroup

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// memorySettings limits memory in bytes; -1 lifts a limit, 0 leaves it as it is.
// Swap is memory and swap together, as version 1 has it; version 2 limits it alone.
func memorySettings(m specs.LinuxMemory, version int) ([]setting, error) {
	limit, total := value(m.Limit), value(m.Swap)
	// Without memory's limit, swap's would be lower than memory's: lift both, as runc does.
	if limit == -1 && total == 0 {
		total = -1
	}
	swap := orMax(total)
	if total > 0 {
		switch {
		case limit <= 0 && version == 2:
			return nil, errors.New("unable to set swap limit without memory limit")
		case limit > 0 && total < limit:
			return nil, fmt.Errorf("memory+swap limit should be >= memory limit: %d < %d", total, limit)
		}
		swap = fmt.Sprint(total - limit)
	}
	if s := value(m.Swappiness); s > 100 {
		return nil, fmt.Errorf("invalid memory swappiness value: %d (valid range is 0-100)", s)
	}
	list := []setting{
		{v1: entry{"memory.limit_in_bytes", number(limit)}, v2: entry{"memory.max", orMax(limit)}},
		{v1: entry{"memory.memsw.limit_in_bytes", number(total)}, v2: entry{"memory.swap.max", swap}},
		{v1: entry{"memory.soft_limit_in_bytes", number(value(m.Reservation))}, v2: entry{"memory.low", orMax(value(m.Reservation))}},
		// What a kernel does not have any more, or version 2 never had, is refused by name.
		onVersion1("memory.kmem.limit_in_bytes", number(value(m.Kernel))),
		onVersion1("memory.kmem.tcp.limit_in_bytes", number(value(m.KernelTCP))),
	}
	if total == -1 || swap == "0" {
		list[1].or = &setting{} // a kernel that does not count swap gives none, or does not limit it
	}
	if m.Swappiness != nil {
		list = append(list, onVersion1("memory.swappiness", fmt.Sprint(*m.Swappiness)))
	}
	if value(m.DisableOOMKiller) {
		list = append(list, onVersion1("memory.oom_control", "1"))
	}
	if value(m.UseHierarchy) { // as version 2 always does
		list = append(list, setting{v1: entry{"memory.use_hierarchy", "1"}})
	}
	return list, nil
}

// checkUsage is CheckBeforeUpdate: version 2 takes a limit below what is used, and kills
// for it; version 1 refuses by itself. Without a group there is nothing to check.
func (g Group) checkUsage(m specs.LinuxMemory) error {
	if !value(m.CheckBeforeUpdate) || g.host.Version != 2 {
		return nil
	}
	var used uint64
	if err := g.read(&used, "", "memory.current"); err != nil {
		return nil
	}
	for what, limit := range map[string]int64{"memory": value(m.Limit), "memory+swap": value(m.Swap)} {
		if limit > 0 && uint64(limit) <= used {
			return fmt.Errorf("rejecting %s limit %d <= usage %d", what, limit, used)
		}
	}
	return nil
}

// memoryStats counts memory without the page cache the kernel would drop first,
// as docker does: `docker stats` would otherwise show every file once read.
func (g Group) memoryStats(s *Stats) (err error) {
	if s.Memory, err = g.table("memory.stat"); err != nil {
		return err
	}
	err = g.read(&s.MemoryUsage, "memory.usage_in_bytes", "memory.current")
	s.MemoryUsage -= min(s.InactiveFile(), s.MemoryUsage)
	limit, err2 := g.MemoryLimit()
	s.MemoryLimit = limit
	return errors.Join(err, err2)
}

// MemoryLimit is the group's own limit of memory in bytes; 0: none.
func (g Group) MemoryLimit() (limit uint64, err error) {
	err = g.read(&limit, "memory.limit_in_bytes", "memory.max")
	if limit >= 1<<62 { // version 1's "unlimited" is the largest number of whole pages
		limit = 0
	}
	return limit, err
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
