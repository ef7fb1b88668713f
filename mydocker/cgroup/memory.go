package cgroup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	memoryV1 = "memory.limit_in_bytes"
	memswV1  = "memory.memsw.limit_in_bytes"
)

// memory limits memory in bytes; -1 lifts a limit, 0 leaves it as it is.
// res.Memory.Swap is memory and swap together, as version 1 has it.
func memory(version int, res *specs.LinuxResources) ([]setting, error) {
	m := res.Memory
	if m == nil {
		return nil, nil
	}
	limit, total, low := value(m.Limit), value(m.Swap), value(m.Reservation)
	// Without memory's limit, swap's would be lower than memory's: lift both, as runc does.
	if limit == -1 && total == 0 {
		total = -1
	}
	if limit > 0 && total > 0 && total < limit {
		return nil, fmt.Errorf("limit memory: memory and swap together (%d) are less than memory (%d)", total, limit)
	}
	var list []setting
	if version == 2 {
		list = number(list, "memory.max", limit)
		if total > 0 {
			if limit <= 0 {
				return nil, fmt.Errorf("limit swap: needs a memory limit, since cgroup v2 limits swap alone")
			}
			list = append(list, setting{file: "memory.swap.max", value: strconv.FormatInt(total-limit, 10), optional: true})
		} else if total < 0 {
			list = append(list, setting{file: "memory.swap.max", value: "max", optional: true})
		}
		// Swappiness, the OOM switch and kernel memory do not exist; Docker ignores them too.
		return number(list, "memory.low", low), nil
	}
	if limit != 0 {
		list = append(list, setting{file: memoryV1, value: strconv.FormatInt(limit, 10)})
	}
	if total != 0 {
		list = append(list, setting{file: memswV1, value: strconv.FormatInt(total, 10), optional: true})
	}
	if low != 0 {
		list = append(list, setting{file: "memory.soft_limit_in_bytes", value: strconv.FormatInt(low, 10)})
	}
	if m.Swappiness != nil {
		list = append(list, setting{file: "memory.swappiness", value: strconv.FormatUint(*m.Swappiness, 10)})
	}
	if value(m.DisableOOMKiller) {
		list = append(list, setting{file: "memory.oom_control", value: "1"})
	}
	return list, nil
}

// number adds a setting of version 2, where the word for -1 is "max".
func number(list []setting, file string, n int64) []setting {
	switch {
	case n > 0:
		return append(list, setting{file: file, value: strconv.FormatInt(n, 10)})
	case n < 0:
		return append(list, setting{file: file, value: "max"})
	}
	return list
}

// orderMemoryV1 puts the two limits of version 1 in the order in which the
// kernel takes them. At every moment memory's limit must be at most that of memory and
// swap together, else EINVAL: so when the new one is above the other's present
// value, the other is raised first.
func orderMemoryV1(dir string, list []setting) []setting {
	i := slices.IndexFunc(list, func(s setting) bool { return s.file == memoryV1 })
	j := slices.IndexFunc(list, func(s setting) bool { return s.file == memswV1 })
	if i < 0 || j < 0 {
		return list
	}
	present, err := readNumber(dir, memswV1)
	limit, _ := strconv.ParseInt(list[i].value, 10, 64)
	if err == nil && present > 0 && (limit < 0 || uint64(limit) > present) {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// checkMemory refuses a new limit below what is used now when the caller asked
// for that: version 2 would take it and kill.
func checkMemory(dir, file string, res *specs.LinuxResources) error {
	if res == nil || res.Memory == nil || !value(res.Memory.CheckBeforeUpdate) || value(res.Memory.Limit) <= 0 {
		return nil
	}
	used, err := readNumber(dir, file)
	if err != nil {
		return err
	}
	if limit := *res.Memory.Limit; uint64(limit) < used {
		return fmt.Errorf("limit memory: %d bytes are less than the %d in use", limit, used)
	}
	return nil
}

// memoryStats counts memory without the page cache the kernel would drop first,
// as docker does: `docker stats` would otherwise show every file once read.
func memoryStats(version int, dir string, s *Stats) (err error) {
	usage, limit, cache := "memory.current", "memory.max", "inactive_file"
	if version == 1 {
		usage, limit, cache = "memory.usage_in_bytes", memoryV1, "total_inactive_file"
	}
	if s.MemoryUsage, err = readNumber(dir, usage); err != nil {
		return err
	}
	inactive, err := readKey(dir, "memory.stat", cache)
	if err != nil {
		return err
	}
	s.MemoryUsage -= min(inactive, s.MemoryUsage)
	if s.MemoryLimit, err = readNumber(dir, limit); err != nil {
		return err
	}
	if s.MemoryLimit >= 1<<62 { // version 1's "unlimited" is the largest number of whole pages
		s.MemoryLimit = 0
	}
	return nil
}

// oomKillsV1 adds up the groups below: version 1 counts in the victim's group
// only, version 2's memory.events in all its parents too.
func oomKillsV1(dir string) (kills uint64, err error) {
	err = visit(filepath.Clean(dir), func(dir string) error {
		n, err := readKey(dir, "memory.oom_control", "oom_kill")
		kills += n
		return err
	})
	return kills, err
}
