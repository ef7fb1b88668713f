package oci

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// everyCall are the system calls that Docker allows to all.
var everyCall = func() (names []string) {
	for _, rule := range moby.DefaultProfile().Syscalls {
		if rule.Includes == nil && rule.Excludes == nil && len(rule.Args) == 0 {
			names = append(names, rule.Names...)
		}
	}
	return append(names, "personality", "clone", "clone3", "arch_prctl")
}()

func chownTree(dir string, id int) {
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error { return os.Lchown(path, id, id) })
}

// TestResources is config-linux.md#control-groups; outside tells all settings of
// the container's cgroups.
func TestResources(t *testing.T) {
	t.Parallel()
	memory := func(m specs.LinuxMemory) func(*box) {
		return resources(func(r *specs.LinuxResources) { r.Memory = &m })
	}
	cpu := func(c specs.LinuxCPU) func(*box) {
		return resources(func(r *specs.LinuxResources) { r.CPU = &c })
	}
	blockIO := func(i specs.LinuxBlockIO) func(*box) {
		return resources(func(r *specs.LinuxResources) { r.BlockIO = &i })
	}
	pids := func(n int64) func(*box) {
		return resources(func(r *specs.LinuxResources) { r.Pids = &specs.LinuxPids{Limit: &n} })
	}
	rule := func(allow bool, kind string, major, minor int64, access string) func(*box) {
		return resources(func(r *specs.LinuxResources) {
			d := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
			if major >= 0 {
				d.Major = &major
			}
			if minor >= 0 {
				d.Minor = &minor
			}
			r.Devices = append(r.Devices, d)
		})
	}
	throttle := func(rate uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = disk()
		return []specs.LinuxThrottleDevice{d}
	}
	var m = int64(1 << 20)
	// What only version 1 has: on version 2 runc says nothing and does nothing.
	v2, absent, denied := pureV2(), map[string]string(nil), map[string]string(nil)
	kernelTCP := map[string]string{"host memory/memory.kmem.tcp": "runc 1.1 does not set it"}
	burst, unified := "host cpu/cpu.cfs_burst_us", "unified on version 1"
	if v2 {
		absent = map[string]string{"": "ours refuses it"}
		denied, kernelTCP = map[string]string{"": "runc cannot take one of many devices away"}, absent
		burst, unified = "host /cpu.max.burst", "unified"
	}
	for _, r := range []row{
		{name: "no resources", edit: linux(func(l *specs.Linux) { l.Resources = nil }), plain: true},
		{name: "cgroupsPath absolute", edit: func(b *box) { b.spec.Linux.CgroupsPath = "/" + b.id + "-a/b" }, differs: map[string]string{"host /": "runc has no controllers of version 2 below a path"}},
		{name: "cgroupsPath relative", edit: func(b *box) { b.spec.Linux.CgroupsPath = b.id + "-a" }},
		{name: "cgroupsPath up", edit: func(b *box) { b.spec.Linux.CgroupsPath = "../../" + b.id + "-up" }},
		{name: "memory limit", edit: memory(specs.LinuxMemory{Limit: pointer(64 * m)})},
		{name: "memory and swap", edit: memory(specs.LinuxMemory{Limit: pointer(64 * m), Swap: pointer(128 * m)})},
		{name: "memory swap unlimited", edit: memory(specs.LinuxMemory{Limit: pointer(64 * m), Swap: pointer(int64(-1))})},
		{name: "memory swap without limit", edit: memory(specs.LinuxMemory{Swap: pointer(128 * m)})},
		{name: "memory swap less than limit", edit: memory(specs.LinuxMemory{Limit: pointer(64 * m), Swap: pointer(32 * m)})},
		{name: "memory unlimited", edit: memory(specs.LinuxMemory{Limit: pointer(int64(-1))}), plain: true},
		{name: "memory reservation", edit: memory(specs.LinuxMemory{Reservation: pointer(32 * m)})},
		{name: "memory kernel", plain: v2, differs: absent, edit: memory(specs.LinuxMemory{Limit: pointer(64 * m), Kernel: pointer(32 * m)})},
		{name: "memory kernel TCP", edit: memory(specs.LinuxMemory{KernelTCP: pointer(32 * m)}), plain: true, differs: kernelTCP},
		{name: "memory swappiness", plain: v2, differs: absent, edit: memory(specs.LinuxMemory{Swappiness: pointer(uint64(10))})},
		{name: "memory swappiness too much", plain: v2, differs: absent, edit: memory(specs.LinuxMemory{Swappiness: pointer(uint64(200))})},
		{name: "memory OOM killer", plain: v2, differs: absent, edit: memory(specs.LinuxMemory{Limit: pointer(64 * m), DisableOOMKiller: pointer(true)})},
		{name: "memory hierarchy", edit: memory(specs.LinuxMemory{Limit: pointer(64 * m), UseHierarchy: pointer(true)})},
		{name: "memory check before update", edit: memory(specs.LinuxMemory{Limit: pointer(64 * m), CheckBeforeUpdate: pointer(true)})},
		{name: "cpu shares", edit: cpu(specs.LinuxCPU{Shares: pointer(uint64(512))})},
		{name: "cpu shares too few", edit: cpu(specs.LinuxCPU{Shares: pointer(uint64(1))}), differs: map[string]string{"": "the kernel makes it 2, which runc calls an error"}},
		{name: "cpu quota", edit: cpu(specs.LinuxCPU{Quota: pointer(int64(50000)), Period: pointer(uint64(100000))})},
		{name: "cpu quota alone", edit: cpu(specs.LinuxCPU{Quota: pointer(int64(20000))})},
		{name: "cpu quota none", edit: cpu(specs.LinuxCPU{Quota: pointer(int64(-1))}), plain: true},
		{name: "cpu period alone", edit: cpu(specs.LinuxCPU{Period: pointer(uint64(50000))})},
		{name: "cpu period too short", edit: cpu(specs.LinuxCPU{Period: pointer(uint64(5))})},
		{name: "cpu realtime", plain: v2, differs: absent, edit: cpu(specs.LinuxCPU{RealtimePeriod: pointer(uint64(100000)), RealtimeRuntime: pointer(int64(1000))})},
		{name: "cpuset", edit: cpu(specs.LinuxCPU{Cpus: "0", Mems: "0"})},
		{name: "cpuset nonsense", edit: cpu(specs.LinuxCPU{Cpus: "9000"})},
		{name: "cpu idle", oracle: &crun, only: []string{"create", "host cpu/cpu.idle", "host /cpu.idle"}, edit: cpu(specs.LinuxCPU{Idle: pointer(int64(1))})},
		{name: "cpu burst", oracle: none, edit: cpu(specs.LinuxCPU{Quota: pointer(int64(50000)), Period: pointer(uint64(100000)), Burst: pointer(uint64(10000))}), want: map[string]string{burst: "10000"}},
		{name: "pids", edit: pids(50)},
		{name: "pids none", edit: pids(-1), plain: true},
		{name: "pids zero", edit: pids(0), plain: true},
		{name: "pids few", edit: all(pids(2), command("sh", "-c", "true & true & true & true & wait; echo done"))},
		{name: "block weight", edit: blockIO(specs.LinuxBlockIO{Weight: pointer(uint16(200))})},
		{name: "block leaf weight", plain: v2, differs: absent, edit: blockIO(specs.LinuxBlockIO{LeafWeight: pointer(uint16(200))})},
		{name: "block throttle", edit: blockIO(specs.LinuxBlockIO{ThrottleReadBpsDevice: throttle(1 << 20), ThrottleWriteBpsDevice: throttle(2 << 20), ThrottleReadIOPSDevice: throttle(100), ThrottleWriteIOPSDevice: throttle(200)})},
		{name: "block throttle no such disk", edit: blockIO(specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{Rate: 5}}})},
		{name: "hugepages", differs: map[string]string{"": "on a hybrid host runc has no hierarchy for it"}, edit: resources(func(r *specs.LinuxResources) {
			r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
		})},
		{name: "network class", plain: v2, differs: absent, edit: resources(func(r *specs.LinuxResources) { r.Network = &specs.LinuxNetwork{ClassID: pointer(uint32(0x100001))} })},
		{name: "network priorities", plain: v2, differs: absent, edit: resources(func(r *specs.LinuxResources) {
			r.Network = &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 5}}}
		})},
		{name: "rdma", edit: resources(func(r *specs.LinuxResources) {
			r.Rdma = map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: pointer(uint32(3))}}
		})},
		{name: unified, edit: resources(func(r *specs.LinuxResources) { r.Unified = map[string]string{"memory.high": "100003840"} })},
		{name: "devices none", edit: resources(func(r *specs.LinuxResources) { r.Devices = nil }), plain: true},
		{name: "devices all", plain: v2, edit: resources(func(r *specs.LinuxResources) { r.Devices[0].Allow = true })},
		{name: "devices rules", plain: v2, edit: all(rule(true, "c", 10, 229, "rw"), rule(true, "b", 8, -1, "r"), rule(true, "c", 7, -1, "rwm"))},
		{name: "devices denied after", plain: v2, differs: denied, edit: all(rule(true, "c", 10, -1, "rwm"), rule(false, "c", 10, 229, "w"))},
		{name: "devices all but", plain: v2, edit: all(resources(func(r *specs.LinuxResources) { r.Devices[0].Allow = true }), rule(false, "c", 10, 229, "rwm"))},
		{name: "devices type a with numbers", plain: v2, edit: rule(true, "a", 1, 3, "rwm")},
		{name: "devices bad access", edit: rule(true, "c", 1, 3, "xyz"), plain: true, differs: map[string]string{"": "runc takes the rule as if it were none"}},
		{name: "devices bad type", edit: rule(true, "z", 1, 3, "r")},
	} {
		t.Run(r.name, r.compare)
	}
}

// pureV2 tells whether the host has cgroups of version 2 alone, whose device rules are a
// program that no file shows.
func pureV2() bool { return unix.Access("/sys/fs/cgroup/cgroup.controllers", unix.F_OK) == nil }

// disk is the number of a disk of this host.
func disk() (major, minor int64) {
	found, _ := filepath.Glob("/sys/block/*/dev")
	for _, path := range found {
		text, _ := os.ReadFile(path)
		if n, _ := fmt.Sscanf(string(text), "%d:%d", &major, &minor); n == 2 {
			return major, minor
		}
	}
	return 8, 0
}
