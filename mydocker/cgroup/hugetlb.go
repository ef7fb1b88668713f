package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// hugetlb limits huge pages of each size, in bytes: those used and, where the
// kernel counts them (5.7), those reserved, since a process that reserved a page it
// may not use gets SIGBUS.
func hugetlb(version int, res *specs.LinuxResources) ([]setting, error) {
	suffix := ".limit_in_bytes"
	if version == 2 {
		suffix = ".max"
	}
	var list []setting
	for _, h := range res.HugepageLimits {
		value := fmt.Sprint(h.Limit)
		list = append(list,
			setting{file: "hugetlb." + h.Pagesize + suffix, value: value},
			setting{file: "hugetlb." + h.Pagesize + ".rsvd" + suffix, value: value, optional: true})
	}
	return list, nil
}

// unified takes version 2's own files by name, and refuses what the spec can ask
// for but neither version here provides.
func unified(version int, res *specs.LinuxResources) ([]setting, error) {
	if res.Network != nil && (res.Network.ClassID != nil || len(res.Network.Priorities) > 0) {
		return nil, errors.New("set network class or priorities: not supported, cgroup v2 cannot")
	}
	if len(res.Rdma) > 0 {
		return nil, errors.New("limit RDMA: not supported")
	}
	if len(res.Unified) > 0 && version == 1 {
		return nil, errors.New("set unified cgroup files: this host has cgroup v1")
	}
	var list []setting
	for _, file := range slices.Sorted(maps.Keys(res.Unified)) {
		if strings.Contains(file, "/") || !strings.Contains(file, ".") {
			return nil, fmt.Errorf("set unified cgroup file %q: not a file of a controller", file)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(res.Unified[file]), "\n") {
			list = append(list, setting{file: file, value: line}) // io.max takes one device a write
		}
	}
	return list, nil
}
