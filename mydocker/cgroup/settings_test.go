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
			"error: should be >=", "error: should be >="},
		{"swap without memory", &specs.LinuxResources{Memory: &mem{Swap: ptr[int64](4096)}},
			"memory.memsw.limit_in_bytes=4096", "error: without memory limit"},
		{"reservation, swappiness, OOM", &specs.LinuxResources{Memory: &mem{Reservation: ptr[int64](4096), Swappiness: ptr[uint64](0), DisableOOMKiller: ptr(true)}},
			"memory.soft_limit_in_bytes=4096 memory.swappiness=0 memory.oom_control=1", "memory.low=4096 memory.swappiness=0 memory.oom_control=1"},
		{"swappiness out of range", &specs.LinuxResources{Memory: &mem{Swappiness: ptr[uint64](101)}}, "error: invalid memory swappiness", "error: invalid memory swappiness"},
		{"kernel memory", &specs.LinuxResources{Memory: &mem{Kernel: ptr[int64](1), KernelTCP: ptr[int64](-1), UseHierarchy: ptr(true)}},
			"memory.kmem.limit_in_bytes=1 memory.kmem.tcp.limit_in_bytes=-1 memory.use_hierarchy=1", "memory.kmem.limit_in_bytes=1 memory.kmem.tcp.limit_in_bytes=-1"},
		{"burst, idle, realtime", &specs.LinuxResources{CPU: &cpu{Burst: ptr[uint64](0), Idle: ptr[int64](1), RealtimePeriod: ptr[uint64](9), RealtimeRuntime: ptr[int64](5)}},
			"cpu.idle=1 cpu.cfs_burst_us=0 cpu.rt_period_us=9 cpu.rt_runtime_us=5", "cpu.idle=1 cpu.max.burst=0 cpu.rt_period_us=9 cpu.rt_runtime_us=5"},
		{"huge pages", &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 7}}},
			"hugetlb.2MB.limit_in_bytes=7 hugetlb.2MB.rsvd.limit_in_bytes=7", "hugetlb.2MB.max=7 hugetlb.2MB.rsvd.max=7"},
		{"huge pages of no size", &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "../x"}}}, "error: hugepage size", "error: hugepage size"},
		{"RDMA", &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx1": {}, "mlx0": {HcaHandles: ptr[uint32](0), HcaObjects: ptr[uint32](5)}}},
			"rdma.max=mlx0 hca_handle=0 hca_object=5", "rdma.max=mlx0 hca_handle=0 hca_object=5"},
		{"network", &specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr[uint32](16), Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 3}}}},
			"net_cls.classid=16 net_prio.ifpriomap=lo 3", "net_cls.classid=16 net_prio.ifpriomap=lo 3"},
		{"unified", &specs.LinuxResources{Unified: map[string]string{"memory.high": "5", "io.max": "8:0 rbps=1\n8:16 rbps=2\n"}},
			"error: cannot use unified on cgroup v1", "io.max=8:0 rbps=1 io.max=8:16 rbps=2 memory.high=5"},
		{"unified with a path", &specs.LinuxResources{Unified: map[string]string{"../x": ""}}, "error: unified", "error: no slashes"},
		{"leaf weight", &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr[uint16](9)}}, "blkio.leaf_weight=9", "blkio.leaf_weight=9"},
		{"default shares", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](1024)}}, "cpu.shares=1024", "cpu.weight=39"},
		{"least shares", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](2)}}, "cpu.shares=2", "cpu.weight=1"},
		{"most shares", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](262144)}}, "cpu.shares=262144", "cpu.weight=10000"},
		{"shares out of range", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](1)}}, "error: the minimum allowed cpu-shares is 2", "cpu.weight=1"},
		{"too many shares", &specs.LinuxResources{CPU: &cpu{Shares: ptr[uint64](262145)}}, "error: the maximum allowed cpu-shares is 262144", "cpu.weight=10000"},
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
			list, err := settings(value(test.res), version)
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
	for limit, want := range map[int64]string{100: "100", 0: "", -1: "max", -7: "max"} {
		got := pidsSettings(specs.LinuxPids{Limit: &limit})
		if len(got) != 1 || got[0].v1.value != want || got[0].v2.value != want {
			t.Errorf("pids %d: %v, want %s", limit, got, want)
		}
	}
}
