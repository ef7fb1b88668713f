package cgroup

import specs "github.com/opencontainers/runtime-spec/specs-go"

// cpusetSettings says which CPUs and memory nodes may be used, as lists such as "0-2,7".
func cpusetSettings(c specs.LinuxCPU) []setting {
	cpus, mems := entry{"cpuset.cpus", c.Cpus}, entry{"cpuset.mems", c.Mems}
	return []setting{{v1: cpus, v2: cpus}, {v1: mems, v2: mems}}
}
