package cgroup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

// TestSettings checks for each limit what either version is told, as "file=value".
func TestSettings(t *testing.T) {
	type mem = specs.LinuxMemory
	type cpu = specs.LinuxCPU
	sda := specs.LinuxBlockIODevice{Major: 8, Minor: 16}
	weightOne := specs.LinuxWeightDevice{LinuxBlockIODevice: sda, Weight: ptr[uint16](1000)}
	tests := []struct {
		name   string
		res    *specs.LinuxResources
		v1, v2 string // "error: ..." for a part of the error
	}{
		{"nothing", nil, "", ""},
		{"empty", &specs.LinuxResources{Memory: &mem{}, CPU: &cpu{}, BlockIO: &specs.LinuxBlockIO{}}, "", ""},
		{"-m 64m", &specs.LinuxResources{Memory: &mem{Limit: ptr[int64](64 << 20), Swap: ptr[int64](128 << 20)}},
			"memory.limit_in_bytes=67108864 memory.memsw.limit_in_bytes=134217728", "memory.max=67108864 memory.swap.max=67108864"},
		{"no swap", &specs.LinuxResources{Memory: &mem{Limit: ptr[int64](4096), Swap: ptr[int64](4096)}},
			"memory.limit_in_bytes=4096 memory.memsw.limit_in_bytes=4096", "memory.max=4096 memory.swap.max=0"},
		{"swap unlimited", &specs.LinuxResources{Memory: &mem{Limit: ptr[int64](4096), Swap: ptr[int64](-1)}},
			"memory.limit_in_bytes=4096 memory.memsw.limit_in_bytes=-1", "memory.max=4096 memory.swap.max=max"},
		{"memory unlimited lifts swap", &specs.LinuxResources{Memory: &mem{Limit: ptr[int64](-1)}},
			"memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=-1", "memory.max=max memory.swap.max=max"},
		{"swap below memory", &specs.LinuxResources{Memory: &mem{Limit: ptr[int64](4096), Swap: ptr[int64](4095)}},
			"error: not above", "error: not above"},
		{"swap without memory", &specs.LinuxResources{Memory: &mem{Swap: ptr[int64](4096)}},
			"error: needs a limit of memory", "error: needs a limit of memory"},
		{"reservation, swappiness, OOM", &specs.LinuxResources{Memory: &mem{Reservation: ptr[int64](4096), Swappiness: ptr[uint64](0), DisableOOMKiller: ptr(true)}},
			"memory.soft_limit_in_bytes=4096 memory.swappiness=0 memory.oom_control=1", "memory.low=4096"},
		{"default shares", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](1024)}}, "cpu.shares=1024", "cpu.weight=39"},
		{"least shares", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](2)}}, "cpu.shares=2", "cpu.weight=1"},
		{"most shares", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](262144)}}, "cpu.shares=262144", "cpu.weight=10000"},
		{"shares out of range", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](1)}}, "cpu.shares=1", "cpu.weight=1"},
		{"--cpus 0.5", &specs.LinuxResources{CPU: &cpu{Quota: ptr[int64](50000), Period: ptr[uint64](100000)}},
			"cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000", "cpu.max=50000 100000"},
		{"quota alone", &specs.LinuxResources{CPU: &cpu{Quota: ptr[int64](50000)}}, "cpu.cfs_quota_us=50000", "cpu.max=50000 100000"},
		{"quota lifted", &specs.LinuxResources{CPU: &cpu{Quota: ptr[int64](-1)}}, "cpu.cfs_quota_us=-1", "cpu.max=max 100000"},
		{"cpuset", &specs.LinuxResources{CPU: &cpu{Cpus: "0-1,3", Mems: "0"}}, "cpuset.cpus=0-1,3 cpuset.mems=0", "cpuset.cpus=0-1,3 cpuset.mems=0"},
		{"I/O weight", &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](500), WeightDevice: []specs.LinuxWeightDevice{weightOne}}},
			"blkio.bfq.weight=500|blkio.weight=500 blkio.bfq.weight_device=8:16 1000|blkio.weight_device=8:16 1000",
			"io.bfq.weight=500|io.weight=4950 io.bfq.weight=8:16 1000|io.weight=8:16 10000"},
		{"I/O rates", &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
			ThrottleReadBpsDevice:   []specs.LinuxThrottleDevice{{LinuxBlockIODevice: sda, Rate: 1048576}},
			ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: sda}}}},
			"blkio.throttle.read_bps_device=8:16 1048576 blkio.throttle.write_iops_device=8:16 0", "io.max=8:16 rbps=1048576 io.max=8:16 wiops=max"},
	}
	for _, test := range tests {
		for version, want := range []string{1: test.v1, 2: test.v2} {
			if version == 0 {
				continue
			}
			list, err := settings(value(test.res))
			if message, isError := strings.CutPrefix(want, "error: "); isError {
				if err == nil || !strings.Contains(err.Error(), message) {
					t.Errorf("%s, version %d: error %v, want %q", test.name, version, err, message)
				}
				continue
			}
			var got []string
			for _, s := range list {
				e, or := s.v1, entry{}
				if s.or != nil {
					or = s.or.v1
				}
				if version == 2 {
					e = s.v2
					if s.or != nil {
						or = s.or.v2
					}
				}
				if e.value == "" {
					continue
				}
				text := e.file + "=" + e.value
				if or.value != "" {
					text += "|" + or.file + "=" + or.value
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(want, strings.Join(got, " ")); err != nil || diff != "" {
				t.Errorf("%s, version %d: error %v, -want +got:\n%s", test.name, version, err, diff)
			}
		}
	}
}

func TestPidsSetting(t *testing.T) {
	for limit, want := range map[int64]string{100: "100", 0: "max", -1: "max"} {
		got := pidsSettings(specs.LinuxPids{Limit: &limit})
		if len(got) != 1 || got[0].v1.value != want || got[0].v2.value != want {
			t.Errorf("pids %d: %v, want %s", limit, got, want)
		}
	}
	if got := pidsSettings(specs.LinuxPids{}); got != nil {
		t.Errorf("pids not given: %v, want nothing", got)
	}
}
