package incident

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const worker = "worker.pid"

var cgroupCases = []Case{
	{
		Lab: 3, Cause: "memory-limit", Title: "its memory limit is below what its work needs: the kernel kills it (OOM)",
		Start: func(c *Container) error {
			limit := int64(12+c.Number) << 20
			err := c.limited(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}},
				`: >"$1/ready"; while :; do busybox dd if=/dev/zero of=/dev/null bs=40M count=1 2>/dev/null && echo done >>"$1/done"; sleep 0.3; done`)
			if err != nil {
				return err
			}
			return poll("the first kill", func() error {
				if kills, err := c.group.OOMKills(); err != nil || kills == 0 {
					return errors.Join(err, errors.New("none yet"))
				}
				return nil
			})
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Container %s (process %d) never finishes a piece of its work, for which it needs 40 MB:", c.Name, c.Pid),
				fmt.Sprintf("%s/done stays empty. It says nothing, and has no error of its own.", c.Dir),
				"Repaired is: pieces get done, by the same container.",
			}
		},
		Repaired: func(c *Container) error { return c.worksOn("done") },
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("cat /proc/%d/cgroup; cat CGROUP/memory.events    # oom_kill grows (version 1: memory.oom_control)", c.Pid),
				"echo 64M >CGROUP/memory.max                  # version 1: memory.memsw.limit_in_bytes first, then memory.limit_in_bytes",
			}
		},
	},
	{
		Lab: 3, Cause: "cpu-quota", Title: "its cpu quota is a small part of a processor: it is throttled",
		Start: func(c *Container) error {
			quota, period := int64(1000+100*c.Number), uint64(100000)
			return c.limited(specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}},
				`: >"$1/ready"; while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done >>"$1/done"; done`)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Container %s (process %d) crawls: a line in %s/done takes it seconds; the same", c.Name, c.Pid, c.Dir),
				"program outside takes a moment. The machine is idle.",
				"Repaired is: the container may use half a processor or more.",
			}
		},
		Repaired: func(c *Container) error {
			quota, period := c.quota()
			if quota > 0 && quota*2 < period {
				return fmt.Errorf("it may use %d of each %d microseconds", quota, period)
			}
			return c.worksOn("done")
		},
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("cat /proc/%d/cgroup; cat CGROUP/cpu.stat         # nr_throttled grows with nr_periods", c.Pid),
				"echo max >CGROUP/cpu.max                     # version 1: echo -1 >cpu.cfs_quota_us",
			}
		},
	},
	{
		Lab: 3, Cause: "pids-limit", Title: "its limit on processes is reached: fork is refused",
		Start: func(c *Container) error {
			limit := int64(2)
			work := filepath.Join(c.Dir, "work")
			if err := os.WriteFile(work, fmt.Appendf(nil, "#!/bin/busybox sh\necho done >>%s/done\n", c.Dir), 0o755); err != nil {
				return err
			}
			// watch goes on where a shell ends when it cannot fork.
			return c.limited(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}},
				`busybox sleep 100000 & : >"$1/ready"; exec busybox watch -n 1 "$1/work" "$0" >/dev/null`)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Container %s (process %d) runs a program each second, and does not get it started any more. The", c.Name, c.Pid),
				"host has memory and process numbers in plenty.",
				fmt.Sprintf("Repaired is: programs start in it again (%s/done grows), without ending what runs in it.", c.Dir),
			}
		},
		Repaired: func(c *Container) error { return c.worksOn("done") },
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("cat /proc/%d/cgroup; cat CGROUP/pids.max CGROUP/pids.current CGROUP/pids.events", c.Pid),
				"echo 20 >CGROUP/pids.max",
			}
		},
	},
	{
		Lab: 3, Cause: "frozen", Title: "its cgroup is frozen",
		Start: func(c *Container) error {
			if err := c.limited(specs.LinuxResources{}, `: >"$1/ready"; while :; do echo done >>"$1/done"; sleep 0.2; done`); err != nil {
				return err
			}
			return c.group.Freeze()
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Container %s (process %d) does nothing any more, %s/done does not grow. Its processes are", c.Name, c.Pid, c.Dir),
				"not stopped (ps does not show a T), and SIGCONT does not help.",
				"Repaired is: the same process goes on with its work.",
			}
		},
		Repaired: func(c *Container) error { return c.worksOn("done") },
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("cat /proc/%d/cgroup; cat CGROUP/cgroup.events     # in the version 2 tree: frozen 1", c.Pid),
				"echo 0 >CGROUP/cgroup.freeze",
			}
		},
	},
	{
		Lab: 3, Cause: "joined-late", Title: "its worker was forked before the container was put into its cgroup, and is outside",
		Start: func(c *Container) error {
			limit := int64(32) << 20
			if err := c.group.Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}}); err != nil {
				return err
			}
			err := c.start(isolated, false, `sh -c 'while :; do sleep 100; done' "$0" & : >"$1/ready"; while :; do sleep 100; done`)
			if err != nil {
				return err
			}
			if err := c.group.Add(c.Pid); err != nil {
				return err
			}
			return poll("the worker", func() error {
				for _, pid := range children(c.Pid) {
					if c.alive(pid) {
						return os.WriteFile(filepath.Join(c.Dir, worker), fmt.Append(nil, pid), 0o644)
					}
				}
				return errors.New("none yet")
			})
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Container %s (process %d) is limited to 32 MB, and the limit does not bite: its worker takes as", c.Name, c.Pid),
				"much as it likes, and the accounts of the container show none of it.",
				"Repaired is: every process of the container is limited and accounted for.",
			}
		},
		Repaired: func(c *Container) error {
			data, err := os.ReadFile(filepath.Join(c.Dir, worker))
			if err != nil {
				return err
			}
			pid, _ := strconv.Atoi(string(data))
			if !c.alive(pid) || !c.alive(c.Pid) {
				return errors.New("a process of the container is gone: they were to go on")
			}
			if !c.limits(pid) || !c.limits(c.Pid) {
				return fmt.Errorf("process %d is not in the cgroup that has the limit", pid)
			}
			return nil
		},
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("cat /proc/%d/cgroup; for p in $(pgrep -P %d); do cat /proc/$p/cgroup; done    # not the same", c.Pid, c.Pid),
				"echo WORKER >CGROUP/cgroup.procs             # what it has allocated already stays where it was",
			}
		},
	},
}

// limited starts the script as process 1 of a container born in its cgroup.
func (c *Container) limited(limits specs.LinuxResources, script string) error {
	if err := c.group.Create(&limits); err != nil {
		return err
	}
	if err := c.start(isolated, true, script); err != nil {
		return err
	}
	return c.group.LimitPids(&limits)
}

func (c *Container) worksOn(file string) error {
	if !c.alive(c.Pid) {
		return fmt.Errorf("process %d is gone: it was to be repaired while it runs", c.Pid)
	}
	return c.grows(file)
}

// quota is what the container's cgroup may use of each period, in microseconds; 0: all.
func (c *Container) quota() (quota, period int64) {
	read := func(tree, file string) []string {
		data, _ := os.ReadFile(filepath.Join(tree, file))
		return strings.Fields(string(data))
	}
	for _, dir := range c.group.Paths() {
		fields := read(dir, "cpu.max")
		if len(fields) == 0 {
			fields = append(read(dir, "cpu.cfs_quota_us"), read(dir, "cpu.cfs_period_us")...)
		}
		if len(fields) == 2 {
			quota, _ = strconv.ParseInt(fields[0], 10, 64) // "max" and -1 are no limit
			period, _ = strconv.ParseInt(fields[1], 10, 64)
			return max(quota, 0), period
		}
	}
	return 0, 0
}

// limits tells whether pid is in the container's cgroup, in the tree that has memory.
func (c *Container) limits(pid int) bool {
	for name, dir := range c.group.Paths() {
		if _, err := os.Stat(filepath.Join(dir, "memory.max")); err != nil && !slices.Contains(strings.Split(name, ","), "memory") {
			continue
		}
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		return slices.Contains(strings.Fields(string(data)), strconv.Itoa(pid))
	}
	return false
}
