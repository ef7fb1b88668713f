package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"

	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"
)

// Sampler samples what containers use, straight from their cgroups: no monitor is
// asked, nothing runs between two samples.
type Sampler struct {
	engine *Engine
	ids    []string // nil: all there are at the time
	all    bool     // those that do not run, too
	last   map[string]api.StatsResponse
}

// Sampler samples the containers named, or without names those that run, with all
// also the others.
func (e *Engine) Sampler(refs []string, all bool) (*Sampler, error) {
	s := &Sampler{engine: e, all: all || len(refs) > 0}
	var errs []error
	for _, ref := range refs {
		id, err := e.find(ref)
		errs = append(errs, err)
		if !slices.Contains(s.ids, id) {
			s.ids = append(s.ids, id)
		}
	}
	return s, errors.Join(errs...)
}

// Next gives a sample of each container (Engine API, GET /containers/{id}/stats), with
// that of the call before in PreRead and PreCPUStats. One that does not run has its ID
// and name alone; one that was removed is left out.
func (s *Sampler) Next() ([]api.StatsResponse, error) {
	find := s.engine.snapshot
	if s.ids != nil {
		find = func() ([]known, error) { return s.engine.read(s.ids) }
	}
	found, err := find()
	host, err2 := cgroup.Host()
	system, cpus, err3 := systemCPU()
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	samples := make([]api.StatsResponse, 0, len(found))
	last := make(map[string]api.StatsResponse, len(found))
	for _, c := range found {
		sample := api.StatsResponse{ID: c.ID, Name: "/" + c.Name, OSType: "linux"}
		if c.State.Pid != 0 {
			if err := s.engine.sample(&sample, host, c); err != nil {
				return nil, err
			}
			sample.CPUStats.SystemUsage, sample.CPUStats.OnlineCPUs = system, cpus
		} else if !s.all {
			continue
		}
		before := s.last[c.ID]
		sample.PreRead, sample.PreCPUStats = before.Read, before.CPUStats
		last[c.ID] = sample
		samples = append(samples, sample)
	}
	s.last = last
	return samples, nil
}

// sample reads one container's cgroup and network namespace.
func (e *Engine) sample(to *api.StatsResponse, host *cgroup.Hierarchies, c known) error {
	group, err := host.Open(c.CgroupPath(e.config.Instance))
	if err != nil {
		return err
	}
	used, err := group.Stats()
	if err != nil {
		return fmt.Errorf("sample container %s: %w", c.ID, err)
	}
	to.Read = time.Now().UTC()
	throttled := used.Throttled["throttled_time"]
	if host.Version == 2 {
		throttled = used.Throttled["throttled_usec"] * uint64(time.Microsecond)
	}
	to.CPUStats = api.CPUStats{
		CPUUsage: api.CPUUsage{TotalUsage: used.CPUUsage, UsageInUsermode: used.CPUUser, UsageInKernelmode: used.CPUKernel},
		ThrottlingData: api.ThrottlingData{
			Periods: used.Throttled["nr_periods"], ThrottledPeriods: used.Throttled["nr_throttled"], ThrottledTime: throttled,
		},
	}
	to.MemoryStats = api.MemoryStats{Usage: used.MemoryUsage + used.InactiveFile(), Stats: used.Memory, Limit: used.MemoryLimit}
	if memory := hostMemory(); to.MemoryStats.Limit == 0 || to.MemoryStats.Limit > memory {
		to.MemoryStats.Limit = memory
	}
	to.PidsStats = api.PidsStats{Current: used.Pids, Limit: used.PidsLimit}
	to.BlkioStats.IoServiceBytesRecursive = []api.BlkioStatEntry{{Op: "read", Value: used.IORead}, {Op: "write", Value: used.IOWrite}}
	if !c.HostConfig.NetworkMode.IsHost() { // whose traffic is not the container's
		to.Networks = networkStats(c.State.Pid)
	}
	return nil
}

func hostMemory() uint64 {
	var info unix.Sysinfo_t
	unix.Sysinfo(&info)
	return uint64(info.Totalram) * uint64(info.Unit)
}

// systemCPU adds up the time of all CPUs in nanoseconds, and counts them:
// proc_stat(5). Guest time, after the first eight columns, is part of user time.
func systemCPU() (total uint64, cpus uint32, err error) {
	data, err := os.ReadFile("/proc/stat")
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 9 || !strings.HasPrefix(fields[0], "cpu") {
			break
		}
		if fields[0] != "cpu" {
			cpus++
			continue
		}
		for _, field := range fields[1:9] {
			ticks, _ := strconv.ParseUint(field, 10, 64)
			total += ticks * 1e7
		}
	}
	return total, cpus, err
}

// networkStats reads the interfaces of a process's network namespace but lo
// (proc_pid_net(5), dev); nil if there is none, or the process has ended.
func networkStats(pid int) map[string]api.NetworkStats {
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/dev")
	var all map[string]api.NetworkStats
	for line := range strings.Lines(string(data)) {
		name, numbers, ok := strings.Cut(strings.TrimSpace(line), ":")
		fields := strings.Fields(numbers)
		if !ok || name == "lo" || len(fields) < 16 {
			continue
		}
		var n [16]uint64
		for i := range n {
			n[i], _ = strconv.ParseUint(fields[i], 10, 64)
		}
		if all == nil {
			all = map[string]api.NetworkStats{}
		}
		all[name] = api.NetworkStats{RxBytes: n[0], RxPackets: n[1], RxErrors: n[2], RxDropped: n[3],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11]}
	}
	return all
}
