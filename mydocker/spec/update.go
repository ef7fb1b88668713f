package spec

import (
	"cmp"
	"errors"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// CheckUpdate finds what cannot be in a change of limits by itself, in Docker's words.
// Of facts it uses CPUs and MemoryNodes.
func CheckUpdate(u *api.UpdateConfig, facts Facts) error {
	host := &api.HostConfig{Resources: u.Resources, RestartPolicy: u.RestartPolicy}
	if host.Memory == 0 {
		host.MemorySwap = 0 // Update compares it with the limit of memory there is
	}
	return cmp.Or(api.ValidateRestartPolicy(u.RestartPolicy), checkSettings(&api.Config{}, host), checkCPUs(host, facts))
}

// Update returns the configuration with the change, as Docker merges the two: what is
// zero stays. It refuses what conflicts with what is set.
func Update(before *api.HostConfig, u *api.UpdateConfig) (*api.HostConfig, error) {
	host := *before
	for _, conflict := range [...]struct {
		wrong bool
		words string
	}{
		{u.NanoCPUs > 0 && host.CPUPeriod > 0, "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"},
		{u.NanoCPUs > 0 && host.CPUQuota > 0, "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"},
		{u.CPUPeriod > 0 && host.NanoCPUs > 0, "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"},
		{u.CPUQuota > 0 && host.NanoCPUs > 0, "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"},
		{u.Memory != 0 && u.Memory > host.MemorySwap && u.MemorySwap == 0,
			"Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"},
		{host.AutoRemove && u.RestartPolicy.Name != "" && !u.RestartPolicy.IsNone(),
			"Restart policy cannot be updated because AutoRemove is enabled for the container"},
	} {
		if conflict.wrong {
			return nil, errors.New(conflict.words)
		}
	}
	host.BlkioWeight = cmp.Or(u.BlkioWeight, host.BlkioWeight)
	host.CPUShares = cmp.Or(u.CPUShares, host.CPUShares)
	host.NanoCPUs = cmp.Or(u.NanoCPUs, host.NanoCPUs)
	host.CPUPeriod = cmp.Or(u.CPUPeriod, host.CPUPeriod)
	host.CPUQuota = cmp.Or(u.CPUQuota, host.CPUQuota)
	host.CpusetCpus = cmp.Or(u.CpusetCpus, host.CpusetCpus)
	host.CpusetMems = cmp.Or(u.CpusetMems, host.CpusetMems)
	host.Memory = cmp.Or(u.Memory, host.Memory)
	host.MemorySwap = cmp.Or(u.MemorySwap, host.MemorySwap)
	host.MemoryReservation = cmp.Or(u.MemoryReservation, host.MemoryReservation)
	if u.PidsLimit != nil {
		host.PidsLimit = new(max(*u.PidsLimit, 0)) // 0: no limit
	}
	if u.RestartPolicy.Name != "" {
		host.RestartPolicy = u.RestartPolicy
	}
	return &host, checkSettings(&api.Config{}, &host)
}

// Limits are the resources of a configuration without those of devices: what can be
// changed in a running container.
func Limits(host *api.HostConfig, cgroupV2 bool) *specs.LinuxResources {
	r := resources(host, Facts{CgroupV2: cgroupV2})
	r.Devices = nil
	return r
}
