package cgroup

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// pids limits processes and threads together. Zero and less is no limit, as
// Docker has it. The file is the same in both versions.
func pids(res *specs.LinuxResources) []setting {
	if res == nil || res.Pids == nil || res.Pids.Limit == nil {
		return nil
	}
	s := setting{file: "pids.max", value: "max"}
	if *res.Pids.Limit > 0 {
		s.value = fmt.Sprint(*res.Pids.Limit)
	}
	return []setting{s}
}

func pidsStats(dir string, s *Stats) (err error) {
	if s.Pids, err = readNumber(dir, "pids.current"); err != nil {
		return err
	}
	s.PidsLimit, err = readNumber(dir, "pids.max")
	return err
}
