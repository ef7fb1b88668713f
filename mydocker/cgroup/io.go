package cgroup

import (
	"cmp"
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ioSettings limits reading and writing of block devices: by a weight among
// groups that compete, and by rates.
func ioSettings(b specs.LinuxBlockIO) []setting {
	list := []setting{ioWeight("", "", b.Weight), leafWeight("", "", b.LeafWeight)}
	for _, d := range b.WeightDevice {
		device := fmt.Sprintf("%d:%d ", d.Major, d.Minor)
		list = append(list, ioWeight("_device", device, d.Weight), leafWeight("_device", device, d.LeafWeight))
	}
	for _, limit := range [...]struct {
		v1, v2  string
		devices []specs.LinuxThrottleDevice
	}{
		{"blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range limit.devices {
			rate := cmp.Or(number(d.Rate), "max") // 0: no limit
			list = append(list, setting{
				v1: entry{limit.v1, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate)},
				v2: entry{"io.max", fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, limit.v2, rate)},
			})
		}
	}
	return list
}

// ioWeight sets the weight (10 to 1000) for all devices or the one named. The BFQ
// scheduler has files of its own with that range; version 2's io.weight goes from 1 to
// 10000, mapped as by runc.
func ioWeight(suffix, device string, weight *uint16) setting {
	if value(weight) == 0 {
		return setting{}
	}
	own, scaled := device+fmt.Sprint(*weight), device+fmt.Sprint(1+(max(int(*weight), 10)-10)*9999/990)
	return setting{
		v1: entry{"blkio.bfq.weight" + suffix, own}, v2: entry{"io.bfq.weight", own},
		or: &setting{v1: entry{"blkio.weight" + suffix, own}, v2: entry{"io.weight", scaled}},
	}
}

// leafWeight is how a group's own processes compete with the groups below it: of the CFQ
// scheduler, which Linux 5.0 removed.
func leafWeight(suffix, device string, weight *uint16) setting {
	if value(weight) == 0 {
		return setting{}
	}
	return onVersion1("blkio.leaf_weight"+suffix, device+fmt.Sprint(*weight))
}

func (g Group) ioStats(s *Stats) error {
	return errors.Join(
		g.read(&s.IORead, "blkio.throttle.io_service_bytes_recursive Read", "io.stat rbytes"),
		g.read(&s.IOWrite, "blkio.throttle.io_service_bytes_recursive Write", "io.stat wbytes"),
	)
}
