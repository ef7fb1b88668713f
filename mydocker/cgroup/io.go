package cgroup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// blockIO limits reading and writing of block devices: by a weight among groups
// that compete, and by rates.
func blockIO(version int, res *specs.LinuxResources) ([]setting, error) {
	b := res.BlockIO
	if b == nil {
		return nil, nil
	}
	if value(b.LeafWeight) != 0 {
		return nil, errors.New("set block I/O leaf weight: the kernel dropped it with the CFQ scheduler in 5.0")
	}
	var list []setting
	if weight := value(b.Weight); weight != 0 {
		list = append(list, weightSetting(version, "", weight))
	}
	for _, d := range b.WeightDevice {
		if weight := value(d.Weight); weight != 0 {
			list = append(list, weightSetting(version, device(d.LinuxBlockIODevice)+" ", weight))
		}
	}
	for _, t := range [...]struct {
		v1, v2  string
		devices []specs.LinuxThrottleDevice
	}{
		{"blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	} {
		for _, d := range t.devices {
			s := setting{file: t.v1, value: fmt.Sprintf("%s %d", device(d.LinuxBlockIODevice), d.Rate)}
			if version == 2 {
				rate := strconv.FormatUint(d.Rate, 10)
				if d.Rate == 0 { // version 1's word for no limit
					rate = "max"
				}
				s = setting{file: "io.max", value: fmt.Sprintf("%s %s=%s", device(d.LinuxBlockIODevice), t.v2, rate)}
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// weightSetting sets the weight (10 to 1000) for all devices, or for one when
// device names it. The BFQ scheduler has files of its own and the same range;
// version 2's io.weight goes from 1 to 10000, so the weight is mapped as runc maps it.
func weightSetting(version int, device string, weight uint16) setting {
	own := device + strconv.Itoa(int(weight))
	if version == 2 {
		scaled := 1 + (max(int(weight), 10)-10)*9999/990
		return setting{file: "io.bfq.weight", value: own, or: "io.weight", orValue: device + strconv.Itoa(scaled)}
	}
	suffix := ""
	if device != "" {
		suffix = "_device"
	}
	return setting{file: "blkio.bfq.weight" + suffix, value: own, or: "blkio.weight" + suffix, orValue: own}
}

func device(d specs.LinuxBlockIODevice) string { return fmt.Sprintf("%d:%d", d.Major, d.Minor) }

// ioStatsV1 reads lines such as "8:0 Read 4096".
func ioStatsV1(dir string, s *Stats) error {
	text, err := read(dir, "blkio.throttle.io_service_bytes_recursive")
	if err != nil && !gone(err) {
		return err
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 3 {
			addIO(s, f[1], f[2])
		}
	}
	return nil
}

// ioStatsV2 reads lines such as "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0".
func ioStatsV2(dir string, s *Stats) error {
	text, err := read(dir, "io.stat")
	if err != nil && !gone(err) {
		return err
	}
	for field := range strings.FieldsSeq(text) {
		if key, n, ok := strings.Cut(field, "="); ok {
			addIO(s, key, n)
		}
	}
	return nil
}

func addIO(s *Stats, key, number string) {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	switch key {
	case "Read", "rbytes":
		s.IORead += n
	case "Write", "wbytes":
		s.IOWrite += n
	}
}
