package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"minidocker/labs/check"
)

var memoryLimit = check.Check{
	Name:    "memory-limit",
	Title:   "--memory is the kernel's limit of memory, to the byte, and swap is no way around it",
	Needs:   needsGroup,
	Section: chapter + "#swap",
	Hints: []string{
		"Which file of the group says how much memory it may use? ls the directory: the kernel has filled it.",
		"memory.max (version 1: memory.limit_in_bytes). memory.high and memory.low, or memory.soft_limit_in_bytes, are no limits.",
		"Bytes, as a decimal number: 64m is 67108864. And memory.swap.max (version 1: memory.memsw.limit_in_bytes, memory and swap together), where the kernel counts swap.",
	},
	Explain: []string{
		"G=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$PID/cgroup); cat $G/memory.max $G/memory.swap.max     # version 2",
		"G=/sys/fs/cgroup/memory$(sed -n 's/.*:memory://p' /proc/$PID/cgroup); cat $G/memory.limit_in_bytes $G/memory.memsw.limit_in_bytes     # version 1",
	},
	Run: func(t *check.Trial) error {
		megabytes := t.Number(37, 61)
		for _, value := range []string{fmt.Sprintf("%dm", megabytes), fmt.Sprintf("%dk", (megabytes+3)*1024), fmt.Sprint((megabytes + 5) << 20)} {
			c, err := start(t, []string{"--memory", value}, "wait")
			if err != nil {
				return err
			}
			if err := hasMemory(t, c, value); err != nil {
				return err
			}
			if err := finish(c); err != nil {
				return err
			}
		}
		return nil
	},
}

// hasMemory fails unless the kernel has the limit that value asks for.
func hasMemory(t *check.Trial, c *check.Container, value string) error {
	g, err := groupOf(t, c.Process, "memory")
	if err != nil {
		return err
	}
	want, err := bytes(value)
	if err != nil {
		return err
	}
	file := g.pick("memory.limit_in_bytes", "memory.max")
	limit, err := g.read(file)
	expected := fmt.Sprintf("--memory %s: %d in %s/%s", value, want, g.dir, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return check.Fail(expected, "no such file", "the directory above does not give its groups the controller: cgroup.subtree_control")
	case err != nil:
		return err
	case unlimited(limit):
		return check.Fail(expected, limit+", which is no limit", "it was not written, or to another file: memory.high, memory.low and soft limits do not hold at the end")
	case limit != fmt.Sprint(want):
		return check.Fail(expected, limit, "the unit was taken for another: k, m and g are 1024, 1024² and 1024³ bytes")
	}
	file = g.pick("memory.memsw.limit_in_bytes", "memory.swap.max")
	if swap, err := g.read(file); err == nil && unlimited(swap) {
		return check.Fail(fmt.Sprintf("%s/%s is a limit, too", g.dir, file), swap, "what does not fit is swapped out, and the limit slows down what it should stop")
	}
	return nil
}

// bytes is what a value such as 41m means.
func bytes(value string) (int64, error) {
	number, unit := strings.TrimRight(value, "bkmg"), int64(1)
	switch value[len(value)-1] {
	case 'k':
		unit = 1 << 10
	case 'm':
		unit = 1 << 20
	case 'g':
		unit = 1 << 30
	}
	n, err := strconv.ParseInt(number, 10, 64)
	return n * unit, err
}

var cpuLimit = check.Check{
	Name:    "cpu-limit",
	Title:   "--cpus is the kernel's quota of CPU time, and who uses more is made to wait",
	Needs:   needsGroup,
	Section: chapter + "#processor-time",
	Hints: []string{
		"A quota is so many microseconds in a period of so many. What is half a processor in a period of 100000?",
		"cpu.max takes both, \"50000 100000\" (version 1: cpu.cfs_quota_us and cpu.cfs_period_us). cpu.weight and cpu.shares are no limits: they say who comes first.",
		"quota = cpus × period, as whole numbers. Then cpu.stat counts in nr_throttled how often the kernel made the group wait.",
	},
	Explain: []string{
		"G=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$PID/cgroup); cat $G/cpu.max $G/cpu.stat     # version 2",
		"G=/sys/fs/cgroup/cpu$(grep -E ':(cpuacct,)?cpu(,cpuacct)?:' /proc/$PID/cgroup | cut -d: -f3); cat $G/cpu.cfs_quota_us $G/cpu.cfs_period_us $G/cpu.stat     # version 1",
	},
	Run: func(t *check.Trial) error {
		value := fmt.Sprintf("0.%02d", t.Number(13, 37))
		c, err := start(t, []string{"--cpus", value}, "burn")
		if err != nil {
			return err
		}
		g, err := groupOf(t, c.Process, "cpu")
		if err != nil {
			return err
		}
		if err := hasQuota(g, value); err != nil {
			return err
		}
		var throttled int64
		if !t.Poll(func() bool {
			throttled, err = g.count("cpu.stat", "nr_throttled")
			return throttled > 2 || err != nil
		}) {
			return check.Fail("a process that uses all the time it gets is throttled: nr_throttled in cpu.stat grows", fmt.Sprintf("it is %d", throttled),
				"the process that works is in another group than the one with the quota")
		}
		if err != nil {
			return err
		}
		return finish(c)
	},
}

// hasQuota fails unless quota and period have the ratio that value asks for.
func hasQuota(g group, value string) error {
	want, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return err
	}
	text, err := g.read(g.pick("cpu.cfs_quota_us", "cpu.max"))
	file := g.pick("cpu.cfs_quota_us and cpu.cfs_period_us", "cpu.max")
	if errors.Is(err, fs.ErrNotExist) {
		if g.version == 1 {
			return check.CannotCheck("this kernel has no quota of CPU time (CONFIG_CFS_BANDWIDTH)")
		}
		return check.Fail(g.dir+"/"+file, "no such file", "the directory above does not give its groups the controller: cgroup.subtree_control")
	}
	if err == nil && g.version == 1 {
		var period string
		period, err = g.read("cpu.cfs_period_us")
		text += " " + period
	}
	if err != nil {
		return err
	}
	expected := fmt.Sprintf("--cpus %s: quota divided by period is %s in %s/%s", value, value, g.dir, file)
	var quota, period float64
	if n, _ := fmt.Sscan(text, &quota, &period); n != 2 || quota < 0 {
		return check.Fail(expected, text+": no limit", "the quota was not written, or weights and shares instead of it")
	}
	if math.Abs(quota/period-want) > 0.005 {
		return check.Fail(expected, fmt.Sprintf("%s: %.3f", text, quota/period), "quota = cpus × period, both in microseconds")
	}
	return nil
}

var pidsLimit = check.Check{
	Name:    "pids-limit",
	Title:   "--pids-limit is the kernel's limit of processes, and the fork above it is refused",
	Needs:   needsGroup,
	Section: chapter + "#processes",
	Hints: []string{
		"One file, the same in both versions. A thread counts as much as a process.",
		"Is your init a Go program, with threads of its own, when the limit is set? Then set it late.",
		"pids.max. pids.events counts how often fork(2) was refused (EAGAIN).",
	},
	Explain: []string{
		"G=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$PID/cgroup); cat $G/pids.max $G/pids.current $G/pids.events     # version 2",
		"G=/sys/fs/cgroup/pids$(sed -n 's/.*:pids://p' /proc/$PID/cgroup); cat $G/pids.max $G/pids.current $G/pids.events     # version 1",
	},
	Run: func(t *check.Trial) error {
		limit := t.Number(23, 41)
		c, err := start(t, []string{"--pids-limit", strconv.Itoa(limit)}, "fork", strconv.Itoa(limit+20))
		if err != nil {
			return err
		}
		g, err := groupOf(t, c.Process, "pids")
		if err != nil {
			return err
		}
		got, err := g.read("pids.max")
		if errors.Is(err, fs.ErrNotExist) {
			got, err = "no such file", nil
		}
		if err != nil {
			return err
		}
		if got != strconv.Itoa(limit) {
			return check.Fail(fmt.Sprintf("--pids-limit %d: %d in %s/pids.max", limit, limit, g.dir), got, "it was not written, or to another group")
		}
		current, err := g.read("pids.current")
		if err != nil {
			return err
		}
		if made, _ := strconv.Atoi(c.Result()); made >= limit {
			return check.Fail(fmt.Sprintf("fewer than %d children can be forked", limit), fmt.Sprintf("the command has forked %d, and %s are in the group", made, current),
				"the limit was set after they were forked, or they are in another group")
		}
		if refused, err := g.count("pids.events", "max"); err != nil || refused == 0 {
			return check.Fail("pids.events counts a fork that was refused", fmt.Sprintf("max %d (%v)", refused, err), "something else than the group's limit stopped the forks")
		}
		return finish(c)
	},
}

var noLimit = check.Check{
	Name:    "no-limit",
	Title:   "without the flags there are no limits",
	Needs:   needsGroup,
	Section: chapter + "#the-order-of-the-steps",
	Hints: []string{
		"What does your engine write if a flag is not given? A limit of 0 is a limit.",
		"What is not asked for is not written: a new group begins with \"max\" (version 1: -1, or a very large number).",
		"Keep apart \"not given\" and 0: in Go a pointer, or 0 for \"not given\" where 0 is no valid value.",
	},
	Explain: []string{
		"G=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$PID/cgroup); cat $G/memory.max $G/cpu.max $G/pids.max     # version 2: max",
	},
	Run: func(t *check.Trial) error {
		c, err := start(t, nil, "wait")
		if err != nil {
			return err
		}
		for _, limit := range []struct{ controller, v1, v2 string }{
			{"memory", "memory.limit_in_bytes", "memory.max"}, {"cpu", "cpu.cfs_quota_us", "cpu.max"}, {"pids", "pids.max", "pids.max"},
		} {
			g, err := groupOf(t, c.Process, limit.controller)
			if err != nil {
				return err
			}
			text, err := g.read(g.pick(limit.v1, limit.v2))
			if errors.Is(err, fs.ErrNotExist) {
				continue // and so no limit
			}
			if err != nil {
				return err
			}
			if first, _, _ := strings.Cut(text, " "); !unlimited(first) {
				return check.Fail(fmt.Sprintf("%s in %s is no limit", g.pick(limit.v1, limit.v2), g.dir), text, "a default of the engine's was written though the flag was not given")
			}
		}
		return finish(c)
	},
}
