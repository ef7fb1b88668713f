package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/blkiodev"
	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// resources are the limits of the container's cgroup. host is completed by Default.
func resources(host *api.HostConfig, facts Facts) *specs.LinuxResources {
	r := &specs.LinuxResources{
		Devices: deviceRules(host, facts),
		Memory: &specs.LinuxMemory{
			Limit:       positive[int64](host.Memory),
			Reservation: positive[int64](host.MemoryReservation),
			Swap:        positive[int64](host.MemorySwap),
		},
		CPU: &specs.LinuxCPU{
			Cpus:   host.CpusetCpus,
			Mems:   host.CpusetMems,
			Shares: positive[uint64](host.CPUShares),
			Period: positive[uint64](host.CPUPeriod),
		},
		BlockIO: blockIO(host.Resources, facts),
	}
	if !facts.CgroupV2 { // version 2 has neither of the two
		r.Memory.DisableOOMKiller = host.OomKillDisable
		if s := host.MemorySwappiness; s != nil && *s >= 0 {
			r.Memory.Swappiness = new(uint64(*s))
		}
	}
	if host.CPUQuota != 0 { // less than 0 is no limit
		r.CPU.Quota = &host.CPUQuota
	}
	if host.NanoCPUs > 0 {
		const period = 100_000 // microseconds, the kernel's default (sched-bwc)
		quota := host.NanoCPUs * period / 1e9
		r.CPU.Quota, r.CPU.Period = &quota, positive[uint64](period)
	}
	if limit := host.PidsLimit; limit != nil {
		r.Pids = &specs.LinuxPids{Limit: positive[int64](*limit)}
		if r.Pids.Limit == nil {
			r.Pids.Limit = new(int64(-1)) // no limit
		} else if hasInit(host) {
			*r.Pids.Limit += initThreads
		}
	}
	return r
}

// initThreads is how many threads the small init may have beside one. They are not
// taken from what the user gives the container.
const initThreads = 8

// positive is nil where nothing is asked for.
func positive[T int64 | uint64](n int64) *T {
	if n <= 0 {
		return nil
	}
	return new(T(n))
}

func blockIO(host api.Resources, facts Facts) *specs.LinuxBlockIO {
	r := &specs.LinuxBlockIO{}
	if host.BlkioWeight != 0 {
		r.Weight = &host.BlkioWeight
	}
	for _, d := range host.BlkioWeightDevice {
		for _, node := range facts.Devices[d.Path] {
			w := specs.LinuxWeightDevice{Weight: &d.Weight}
			w.Major, w.Minor = node.Major, node.Minor
			r.WeightDevice = append(r.WeightDevice, w)
		}
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
			for _, node := range facts.Devices[d.Path] {
				t := specs.LinuxThrottleDevice{Rate: d.Rate}
				t.Major, t.Minor = node.Major, node.Minor
				*list.to = append(*list.to, t)
			}
		}
	}
	return r
}

// deviceNodes are the nodes to make in /dev beside those every container has.
func deviceNodes(host *api.HostConfig, facts Facts) (nodes []specs.LinuxDevice) {
	if host.Privileged {
		nodes = append(nodes, facts.HostDevices...)
	}
	for _, mapping := range host.Devices {
		if host.Privileged && mapping.PathOnHost == mapping.PathInContainer {
			continue // it is among the host's
		}
		for _, node := range facts.Devices[mapping.PathOnHost] { // one, or those in a directory
			node.Path = mapping.PathInContainer + strings.TrimPrefix(node.Path, mapping.PathOnHost)
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// deviceRules are those of the device cgroup; the last that matches decides.
func deviceRules(host *api.HostConfig, facts Facts) []specs.LinuxDeviceCgroup {
	if host.Privileged {
		return []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	}
	// dockerd's defaults and, from the third line of devices on, what runc adds to
	// any: every node may be made, as only opening it is dangerous.
	rules := []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		deviceRule("c", 1, 3, "rwm"), deviceRule("c", 1, 5, "rwm"), deviceRule("c", 1, 8, "rwm"), deviceRule("c", 1, 9, "rwm"), // null zero random urandom
		deviceRule("c", 5, 0, "rwm"), deviceRule("c", 5, 1, "rwm"), // tty console
		deviceRule("c", anyNumber, anyNumber, "m"), deviceRule("b", anyNumber, anyNumber, "m"),
		deviceRule("c", 1, 7, "rwm"), deviceRule("c", 5, 2, "rwm"), deviceRule("c", 136, anyNumber, "rwm"), // full ptmx pts
	}
	for _, mapping := range host.Devices {
		for _, node := range facts.Devices[mapping.PathOnHost] {
			rules = append(rules, deviceRule(node.Type, node.Major, node.Minor, mapping.CgroupPermissions))
		}
	}
	for _, text := range host.DeviceCgroupRules {
		if rule, err := parseDeviceRule(text); err == nil { // Validate has refused others
			rules = append(rules, rule)
		}
	}
	return rules
}

const anyNumber = -1

func deviceRule(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access}
}

// parseDeviceRule reads "c 1:3 rwm" (cgroup v1, devices.rst); "*" is any number.
func parseDeviceRule(text string) (specs.LinuxDeviceCgroup, error) {
	words := regexp.MustCompile(`^([abc]) (\d{1,9}|\*):(\d{1,9}|\*) ([rwm]{1,3})$`).FindStringSubmatch(text)
	if words == nil {
		return specs.LinuxDeviceCgroup{}, fmt.Errorf("invalid device cgroup rule format: '%s'", text)
	}
	number := func(word string) int64 {
		if word == "*" {
			return anyNumber
		}
		n, _ := strconv.ParseInt(word, 10, 64) // nine digits always fit
		return n
	}
	return deviceRule(words[1], number(words[2]), number(words[3]), words[4]), nil
}
