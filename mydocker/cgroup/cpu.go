package cgroup

import (
	"errors"
	"fmt"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpu limits CPU time: by a weight among groups that compete, and by a quota of
// microseconds in each period.
func cpu(version int, res *specs.LinuxResources) ([]setting, error) {
	c := res.CPU
	if c == nil {
		return nil, nil
	}
	if version == 2 {
		return cpuV2(c)
	}
	var list []setting
	if c.Shares != nil && *c.Shares != 0 {
		list = append(list, setting{file: "cpu.shares", value: fmt.Sprint(*c.Shares)})
	}
	if c.Period != nil && *c.Period != 0 {
		list = append(list, setting{file: "cpu.cfs_period_us", value: fmt.Sprint(*c.Period)})
	}
	if c.Quota != nil && *c.Quota != 0 {
		list = append(list, setting{file: "cpu.cfs_quota_us", value: fmt.Sprint(*c.Quota)})
	}
	if c.Burst != nil {
		list = append(list, setting{file: "cpu.cfs_burst_us", value: fmt.Sprint(*c.Burst)})
	}
	// The runtime is checked against the period, so the period goes first.
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
		list = append(list, setting{file: "cpu.rt_period_us", value: fmt.Sprint(*c.RealtimePeriod)})
	}
	if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 {
		list = append(list, setting{file: "cpu.rt_runtime_us", value: fmt.Sprint(*c.RealtimeRuntime)})
	}
	if c.Idle != nil {
		list = append(list, setting{file: "cpu.idle", value: fmt.Sprint(*c.Idle)})
	}
	return list, nil
}

func cpuV2(c *specs.LinuxCPU) ([]setting, error) {
	var list []setting
	if value(c.RealtimeRuntime) != 0 || value(c.RealtimePeriod) != 0 {
		return nil, errors.New("limit realtime CPU time: cgroup v2 cannot")
	}
	// An idle group has no weight: setting one is EINVAL while it is idle.
	if c.Idle != nil {
		list = append(list, setting{file: "cpu.idle", value: fmt.Sprint(*c.Idle)})
	}
	if weight := weightOfShares(value(c.Shares)); weight != 0 && value(c.Idle) == 0 {
		list = append(list, setting{file: "cpu.weight", value: fmt.Sprint(weight)})
	}
	if quota, period := value(c.Quota), value(c.Period); quota != 0 || period != 0 {
		limit := "max"
		if quota > 0 {
			limit = strconv.FormatInt(quota, 10)
		}
		if period == 0 {
			period = 100_000 // the kernel's default, in both versions
		}
		list = append(list, setting{file: "cpu.max", value: fmt.Sprintf("%s %d", limit, period)})
	}
	if c.Burst != nil {
		list = append(list, setting{file: "cpu.max.burst", value: fmt.Sprint(*c.Burst)})
	}
	return list, nil
}

// weightOfShares maps version 1's shares (2 to 262144, default 1024) linearly to
// version 2's weight (1 to 10000), the mapping of runc up to 1.3 and of crun, given in
// Kubernetes' KEP-2254. The default 1024 becomes 39, not version 2's default
// 100; runc 1.4 has a curve through that point, but most hosts show this number.
func weightOfShares(shares uint64) uint64 {
	if shares == 0 {
		return 0
	}
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}

// value returns what p points to, the zero value for nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
