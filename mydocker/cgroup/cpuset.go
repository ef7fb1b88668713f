package cgroup

import (
	"fmt"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpuset says which CPUs and memory nodes may be used, as lists such as "0-2,7".
func cpuset(_ int, res *specs.LinuxResources) ([]setting, error) {
	var list []setting
	if res.CPU != nil && res.CPU.Cpus != "" {
		list = append(list, setting{file: "cpuset.cpus", value: res.CPU.Cpus})
	}
	if res.CPU != nil && res.CPU.Mems != "" {
		list = append(list, setting{file: "cpuset.mems", value: res.CPU.Mems})
	}
	return list, nil
}

// inheritCpuset fills a new group of version 1 from its parent. A new cpuset
// there has no CPUs and no memory nodes, and adding a process to it is ENOSPC;
// version 2 takes an empty list as "all of the parent's".
func inheritCpuset(dir string) error {
	for _, file := range [...]string{"cpuset.cpus", "cpuset.mems"} {
		own, err := read(dir, file)
		if err != nil {
			return fmt.Errorf("set up cpuset: %w", err)
		}
		if own != "" {
			continue
		}
		parent, err := read(filepath.Dir(dir), file)
		if err != nil {
			return fmt.Errorf("set up cpuset: %w", err)
		}
		if err := write(filepath.Join(dir, file), parent); err != nil {
			return err
		}
	}
	return nil
}
