package cgroup

import (
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// cpusetSettings says which CPUs and memory nodes may be used, as lists such as "0-2,7".
func cpusetSettings(c specs.LinuxCPU) []setting {
	cpus, mems := entry{"cpuset.cpus", c.Cpus}, entry{"cpuset.mems", c.Mems}
	return []setting{{v1: cpus, v2: cpus}, {v1: mems, v2: mems}}
}

// fillCpuset gives a group of version 1 the lists of its parent where it has none: one
// that somebody made without cgroup.clone_children, whose children cloned nothing either.
func fillCpuset(mount, dir string) error {
	for _, name := range [...]string{"cpuset.cpus", "cpuset.mems"} {
		if own, err := readFields(dir, name); err != nil || len(own) > 0 || dir == mount {
			continue
		}
		parent := filepath.Dir(dir)
		if err := fillCpuset(mount, parent); err != nil {
			return err
		}
		above, err := os.ReadFile(filepath.Join(parent, name))
		if err == nil {
			err = write(filepath.Join(dir, name), string(above))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
