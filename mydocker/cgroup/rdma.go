package cgroup

import (
	"fmt"
	"maps"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// rdmaSettings limits handles and objects of RDMA adapters, by the adapters' names.
func rdmaSettings(devices map[string]specs.LinuxRdma) (list []setting) {
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		line := name
		if n := devices[name].HcaHandles; n != nil {
			line += fmt.Sprintf(" hca_handle=%d", *n)
		}
		if n := devices[name].HcaObjects; n != nil {
			line += fmt.Sprintf(" hca_object=%d", *n)
		}
		if line != name {
			list = append(list, setting{v1: entry{"rdma.max", line}, v2: entry{"rdma.max", line}})
		}
	}
	return list
}
