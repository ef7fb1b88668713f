package cgroup

import (
	"cmp"
	"fmt"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpuSettings limits CPU time: by a weight among groups that compete, and by a
// quota of microseconds in each period.
func cpuSettings(c specs.LinuxCPU) []setting {
	shares, quota, period := value(c.Shares), value(c.Quota), value(c.Period)
	limit := "" // version 2's "quota period"
	if quota != 0 || period != 0 {
		limit = fmt.Sprintf("%s %d", cmp.Or(number(max(quota, 0)), "max"), cmp.Or(period, 100_000)) // the kernel's default
	}
	return []setting{
		{v1: entry{"cpu.shares", number(shares)}, v2: entry{"cpu.weight", number(weightOfShares(shares))}},
		{v1: entry{"cpu.cfs_period_us", number(period)}},
		{v1: entry{"cpu.cfs_quota_us", number(quota)}, v2: entry{"cpu.max", limit}},
	}
}

// weightOfShares maps version 1's shares (2 to 262144, default 1024) linearly to version
// 2's weight (1 to 10000, default 100), as runc up to 1.3, crun and Kubernetes' KEP-2254:
// 1024 becomes 39. runc 1.4 has a curve with 100, but most hosts show this number.
func weightOfShares(shares uint64) uint64 {
	if shares == 0 {
		return 0
	}
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}

func (g Group) cpuStats(s *Stats) error {
	err := g.read(&s.CPUUsage, "cpuacct.usage", "cpu.stat usage_usec")
	if g.host.Version == 2 {
		s.CPUUsage *= uint64(time.Microsecond)
	}
	return err
}
