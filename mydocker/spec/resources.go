package spec

import (
	"fmt"

	"github.com/moby/moby/api/types/blkiodev"
	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// resources are the limits of the container's cgroup, without devices.
func resources(host *api.HostConfig, facts Facts) (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{
		Memory: memory(host, facts.CgroupV2),
		CPU:    cpu(host.Resources),
	}
	if limit := host.PidsLimit; limit != nil {
		pids := *limit
		if pids <= 0 {
			pids = -1 // no limit
		}
		r.Pids = &specs.LinuxPids{Limit: &pids}
	}
	var err error
	r.BlockIO, err = blockIO(host.Resources, facts)
	return r, err
}

func memory(host *api.HostConfig, v2 bool) *specs.LinuxMemory {
	r := specs.LinuxMemory{
		Limit:       positive(host.Memory),
		Reservation: positive(host.MemoryReservation),
		Swap:        positive(memorySwap(host)),
	}
	if !v2 { // version 2 has neither of the two
		if s := host.MemorySwappiness; s != nil && *s >= 0 {
			swappiness := uint64(*s)
			r.Swappiness = &swappiness
		}
		if d := host.OomKillDisable; d != nil {
			disable := *d
			r.DisableOOMKiller = &disable
		}
	}
	if r == (specs.LinuxMemory{}) {
		return nil
	}
	return &r
}

// memorySwap is the limit of memory and swap together: by default, and Docker's,
// as much swap as memory. -1 is none.
func memorySwap(host *api.HostConfig) int64 {
	if host.Memory > 0 && host.MemorySwap == 0 {
		return 2 * host.Memory
	}
	return host.MemorySwap
}

func positive(n int64) *int64 {
	if n <= 0 {
		return nil
	}
	return &n
}

func cpu(host api.Resources) *specs.LinuxCPU {
	r := specs.LinuxCPU{Cpus: host.CpusetCpus, Mems: host.CpusetMems, Quota: positive(host.CPUQuota), RealtimeRuntime: positive(host.CPURealtimeRuntime)}
	unsigned := func(n int64) *uint64 {
		if n <= 0 {
			return nil
		}
		u := uint64(n)
		return &u
	}
	r.Shares = unsigned(host.CPUShares)
	r.Period = unsigned(host.CPUPeriod)
	r.RealtimePeriod = unsigned(host.CPURealtimePeriod)
	if host.CPUQuota < 0 { // no quota
		quota := host.CPUQuota
		r.Quota = &quota
	}
	if host.NanoCPUs > 0 {
		const period = 100_000 // microseconds, the kernel's default (sched-bwc)
		quota := host.NanoCPUs * period / 1e9
		r.Quota, r.Period = &quota, unsigned(period)
	}
	if r == (specs.LinuxCPU{}) {
		return nil
	}
	return &r
}

func blockIO(host api.Resources, facts Facts) (*specs.LinuxBlockIO, error) {
	r := &specs.LinuxBlockIO{}
	if host.BlkioWeight != 0 {
		weight := host.BlkioWeight
		r.Weight = &weight
	}
	for _, d := range host.BlkioWeightDevice {
		node, err := blockDevice(d.Path, facts)
		if err != nil {
			return nil, err
		}
		weight := d.Weight
		w := specs.LinuxWeightDevice{Weight: &weight}
		w.Major, w.Minor = node.Major, node.Minor
		r.WeightDevice = append(r.WeightDevice, w)
	}
	for _, list := range []struct {
		from []*blkiodev.ThrottleDevice
		to   *[]specs.LinuxThrottleDevice
	}{
		{host.BlkioDeviceReadBps, &r.ThrottleReadBpsDevice},
		{host.BlkioDeviceWriteBps, &r.ThrottleWriteBpsDevice},
		{host.BlkioDeviceReadIOps, &r.ThrottleReadIOPSDevice},
		{host.BlkioDeviceWriteIOps, &r.ThrottleWriteIOPSDevice},
	} {
		for _, d := range list.from {
			node, err := blockDevice(d.Path, facts)
			if err != nil {
				return nil, err
			}
			t := specs.LinuxThrottleDevice{Rate: d.Rate}
			t.Major, t.Minor = node.Major, node.Minor
			*list.to = append(*list.to, t)
		}
	}
	return r, nil
}

func blockDevice(path string, facts Facts) (specs.LinuxDevice, error) {
	nodes := facts.Devices[path]
	if len(nodes) != 1 {
		return specs.LinuxDevice{}, fmt.Errorf("limit block I/O of %s: no such device", path)
	}
	return nodes[0], nil
}
