package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpuSettings limits CPU time: by a weight among groups that compete, and by a
// quota of microseconds in each period. A burst is what of a quota may be saved up.
func cpuSettings(c specs.LinuxCPU, version int) ([]setting, error) {
	shares, quota, period := value(c.Shares), value(c.Quota), value(c.Period)
	if version == 1 && shares == 1 { // the kernel would take another number
		return nil, errors.New("the minimum allowed cpu-shares is 2")
	} else if version == 1 && shares > maxShares {
		return nil, fmt.Errorf("the maximum allowed cpu-shares is %d", maxShares)
	}
	limit := "" // version 2's "quota period"
	if quota != 0 || period != 0 {
		limit = fmt.Sprintf("%s %d", cmp.Or(number(max(quota, 0)), "max"), cmp.Or(period, 100_000)) // the kernel's default
	}
	return []setting{
		{v1: entry{"cpu.shares", number(shares)}, v2: entry{"cpu.weight", number(weightOfShares(shares))}},
		{v1: entry{"cpu.idle", pointed(c.Idle)}, v2: entry{"cpu.idle", pointed(c.Idle)}},
		{v1: entry{"cpu.cfs_period_us", number(period)}},
		{v1: entry{"cpu.cfs_quota_us", number(quota)}, v2: entry{"cpu.max", limit}},
		{v1: entry{"cpu.cfs_burst_us", pointed(c.Burst)}, v2: entry{"cpu.max.burst", pointed(c.Burst)}},
		onVersion1("cpu.rt_period_us", number(value(c.RealtimePeriod))),
		onVersion1("cpu.rt_runtime_us", number(value(c.RealtimeRuntime))),
	}, nil
}

const maxShares = 262144

// weightOfShares maps version 1's shares (2 to 262144, default 1024) linearly to version
// 2's weight (1 to 10000, default 100), as runc up to 1.3, crun and Kubernetes' KEP-2254:
// 1024 becomes 39. runc 1.4 has a curve with 100, but most hosts show this number.
func weightOfShares(shares uint64) uint64 {
	if shares == 0 {
		return 0
	}
	shares = min(max(shares, 2), maxShares)
	return 1 + (shares-2)*9999/262142
}

// withPeriod completes a period without quota, or a quota without period, by what is in
// force: version 2 has both in one file, cpu.max, and systemd in one property, so that
// the missing one would be lost.
func (g Group) withPeriod(res specs.LinuxResources) specs.LinuxResources {
	cpu := value(res.CPU)
	if g.host.Version != 2 && g.manager == nil || (value(cpu.Quota) == 0) == (value(cpu.Period) == 0) {
		return res
	}
	quota, period := g.bandwidth()
	if cpu.Quota == nil {
		cpu.Quota = &quota
	}
	if cpu.Period == nil {
		cpu.Period = &period
	}
	res.CPU = &cpu
	return res
}

// bandwidth reads the quota (-1: none) and the period; 0 is what cannot be read.
func (g Group) bandwidth() (quota int64, period uint64) {
	names := []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"}
	if g.host.Version == 2 {
		names = []string{"cpu.max"}
	}
	var now []string
	for _, name := range names {
		if file, err := g.file(name); err == nil {
			fields, _ := readFields(filepath.Split(file))
			now = append(now, fields...)
		}
	}
	if len(now) == 2 {
		quota, _ = strconv.ParseInt(strings.Replace(now[0], "max", "-1", 1), 10, 64)
		period, _ = strconv.ParseUint(now[1], 10, 64)
	}
	return quota, period
}

func (g Group) cpuStats(s *Stats) (err error) {
	if s.Throttled, err = g.table("cpu.stat"); err != nil {
		return err
	}
	if g.host.Version == 2 {
		const unit = uint64(time.Microsecond)
		s.CPUUsage, s.CPUUser, s.CPUKernel = s.Throttled["usage_usec"]*unit, s.Throttled["user_usec"]*unit, s.Throttled["system_usec"]*unit
		return nil
	}
	ticks, err := g.table("cpuacct.stat") // of USER_HZ, which is 100 on every architecture
	s.CPUUser, s.CPUKernel = ticks["user"]*1e7, ticks["system"]*1e7
	return errors.Join(err, g.read(&s.CPUUsage, "cpuacct.usage", ""))
}
