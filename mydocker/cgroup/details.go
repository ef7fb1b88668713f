package cgroup

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Details is all that the kernel counts for a group, in the form of `runc events`. Times
// are in nanoseconds, sizes in bytes; no limit of version 2 is the largest number.
type Details struct {
	CPU               CPUDetails                `json:"cpu"`
	CPUSet            CPUSetDetails             `json:"cpuset"`
	Memory            MemoryDetails             `json:"memory"`
	Pids              PidsDetails               `json:"pids"`
	Blkio             BlkioDetails              `json:"blkio"`
	Hugetlb           map[string]HugetlbDetails `json:"hugetlb"`
	IntelRdt          struct{}                  `json:"intel_rdt"`
	NetworkInterfaces []struct{}                `json:"network_interfaces"` // never any, as in runc for a network that others have made
}

type CPUDetails struct {
	Usage struct {
		Total        uint64   `json:"total,omitempty"`
		Percpu       []uint64 `json:"percpu,omitempty"`
		PercpuKernel []uint64 `json:"percpu_kernel,omitempty"`
		PercpuUser   []uint64 `json:"percpu_user,omitempty"`
		Kernel       uint64   `json:"kernel"`
		User         uint64   `json:"user"`
	} `json:"usage,omitempty"`
	Throttling struct {
		Periods          uint64 `json:"periods,omitempty"`
		ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
		ThrottledTime    uint64 `json:"throttledTime,omitempty"`
	} `json:"throttling,omitempty"`
	PSI *Pressure `json:"psi,omitempty"`
}

// CPUSetDetails are version 1's; version 2 has the two lists.
type CPUSetDetails struct {
	CPUs                  []uint16 `json:"cpus,omitempty"`
	CPUExclusive          uint64   `json:"cpu_exclusive"`
	Mems                  []uint16 `json:"mems,omitempty"`
	MemHardwall           uint64   `json:"mem_hardwall"`
	MemExclusive          uint64   `json:"mem_exclusive"`
	MemoryMigrate         uint64   `json:"memory_migrate"`
	MemorySpreadPage      uint64   `json:"memory_spread_page"`
	MemorySpreadSlab      uint64   `json:"memory_spread_slab"`
	MemoryPressure        uint64   `json:"memory_pressure"`
	SchedLoadBalance      uint64   `json:"sched_load_balance"`
	SchedRelaxDomainLevel int64    `json:"sched_relax_domain_level"`
}

type MemoryDetails struct {
	Cache     uint64            `json:"cache,omitempty"`
	Usage     MemoryEntry       `json:"usage,omitempty"`
	Swap      MemoryEntry       `json:"swap,omitempty"` // with memory
	Kernel    MemoryEntry       `json:"kernel,omitempty"`
	KernelTCP MemoryEntry       `json:"kernelTCP,omitempty"`
	Raw       map[string]uint64 `json:"raw,omitempty"` // memory.stat
	PSI       *Pressure         `json:"psi,omitempty"`
}

type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

type PidsDetails struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

type HugetlbDetails struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// Pressure is how much time was lost for want of something (Documentation/accounting/psi.rst),
// by some of the processes, and by all.
type Pressure struct {
	Some PressureData `json:"some,omitempty"`
	Full PressureData `json:"full,omitempty"`
}

type PressureData struct {
	Avg10  float64 `json:"avg10"` // percent of the last ten seconds
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"` // microseconds
}

// Details reads all counters. What this host does not count is zero.
func (g Group) Details() (*Details, error) {
	d := &Details{Hugetlb: map[string]HugetlbDetails{}}
	err := errors.Join(g.cpuDetails(&d.CPU), g.cpusetDetails(&d.CPUSet), g.memoryDetails(&d.Memory), g.blkioDetails(&d.Blkio),
		g.read(&d.Pids.Current, "pids.current", "pids.current"), g.read(&d.Pids.Limit, "pids.max", "pids.max"))
	g.hugetlbDetails(d.Hugetlb)
	if g.host.Version == 2 {
		d.CPU.PSI, d.Memory.PSI, d.Blkio.PSI = g.pressure("cpu.pressure"), g.pressure("memory.pressure"), g.pressure("io.pressure")
	}
	if err != nil {
		return nil, fmt.Errorf("read statistics of cgroup %s: %w", g.path, err)
	}
	return d, nil
}

func (g Group) cpuDetails(d *CPUDetails) error {
	s := &Stats{}
	if err := g.cpuStats(s); err != nil {
		return err
	}
	d.Usage.Total, d.Usage.Kernel, d.Usage.User = s.CPUUsage, s.CPUKernel, s.CPUUser
	d.Throttling.Periods, d.Throttling.ThrottledPeriods = s.Throttled["nr_periods"], s.Throttled["nr_throttled"]
	d.Throttling.ThrottledTime = s.Throttled["throttled_time"] + s.Throttled["throttled_usec"]*1000
	d.Usage.Percpu = g.column("cpuacct.usage_percpu")
	d.Usage.PercpuKernel, d.Usage.PercpuUser = g.column("cpuacct.usage_percpu_sys"), g.column("cpuacct.usage_percpu_user")
	return nil
}

// column reads a file of numbers.
func (g Group) column(name string) (list []uint64) {
	file, err := g.file(name)
	if err != nil {
		return nil
	}
	fields, _ := readFields(filepath.Split(file))
	for _, field := range fields {
		if n, err := strconv.ParseUint(field, 10, 64); err == nil {
			list = append(list, n)
		}
	}
	return list
}

func (g Group) cpusetDetails(d *CPUSetDetails) (err error) {
	cpus, mems := "cpuset.cpus", "cpuset.mems"
	if g.host.Version == 2 {
		cpus, mems = "cpuset.cpus.effective", "cpuset.mems.effective"
	}
	for name, list := range map[string]*[]uint16{cpus: &d.CPUs, mems: &d.Mems} {
		if file, err := g.file(name); err == nil {
			data, _ := os.ReadFile(file)
			numbers, err := parseList(string(data))
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			for _, n := range numbers {
				*list = append(*list, uint16(n))
			}
		}
	}
	if g.host.Version == 2 {
		return nil
	}
	for name, to := range map[string]*uint64{"cpu_exclusive": &d.CPUExclusive, "mem_hardwall": &d.MemHardwall, "mem_exclusive": &d.MemExclusive,
		"memory_migrate": &d.MemoryMigrate, "memory_spread_page": &d.MemorySpreadPage, "memory_spread_slab": &d.MemorySpreadSlab,
		"memory_pressure": &d.MemoryPressure, "sched_load_balance": &d.SchedLoadBalance} {
		err = errors.Join(err, g.read(to, "cpuset."+name, ""))
	}
	if file, err := g.file("cpuset.sched_relax_domain_level"); err == nil {
		text, _ := os.ReadFile(file)
		d.SchedRelaxDomainLevel, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	return err
}

// parseList reads a list such as "0-2,7".
func parseList(text string) (list []int, err error) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if part == "" {
			continue
		}
		first, last, ok := strings.Cut(strings.TrimSpace(part), "-")
		if !ok {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err := errors.Join(err, err2); err != nil || from > to {
			return nil, fmt.Errorf("%q is not a list of numbers", text)
		}
		for n := from; n <= to; n++ {
			list = append(list, int(n))
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func (g Group) memoryDetails(d *MemoryDetails) (err error) {
	if d.Raw, err = g.table("memory.stat"); err != nil {
		return err
	}
	if g.host.Version == 1 {
		d.Cache = d.Raw["cache"]
		for name, to := range map[string]*MemoryEntry{"memory": &d.Usage, "memory.memsw": &d.Swap, "memory.kmem": &d.Kernel, "memory.kmem.tcp": &d.KernelTCP} {
			err = errors.Join(err, g.read(&to.Limit, name+".limit_in_bytes", ""), g.read(&to.Usage, name+".usage_in_bytes", ""),
				g.read(&to.Max, name+".max_usage_in_bytes", ""), g.read(&to.Failcnt, name+".failcnt", ""))
		}
		return err
	}
	d.Cache = d.Raw["file"]
	err = errors.Join(g.read(&d.Usage.Usage, "", "memory.current"), g.read(&d.Usage.Max, "", "memory.peak"), g.read(&d.Swap.Usage, "", "memory.swap.current"),
		g.limit(&d.Usage.Limit, "memory.max"), g.limit(&d.Swap.Limit, "memory.swap.max"))
	// With memory, as version 1 has it.
	d.Swap.Usage += d.Usage.Usage
	if d.Swap.Limit != math.MaxUint64 {
		d.Swap.Limit += min(d.Usage.Limit, math.MaxUint64-d.Swap.Limit)
	}
	return err
}

// limit reads a limit of version 2, where there may be none.
func (g Group) limit(to *uint64, name string) error {
	fields, err := readFields(g.Paths()[""], name)
	if len(fields) == 1 && fields[0] == "max" {
		*to = math.MaxUint64
		return nil
	}
	if gone(err) {
		return nil
	}
	return errors.Join(err, g.read(to, "", name))
}

func (g Group) hugetlbDetails(sizes map[string]HugetlbDetails) {
	usage, failcnt := ".usage_in_bytes", ".failcnt"
	any, err := g.file("hugetlb.*" + usage)
	if g.host.Version == 2 {
		usage, failcnt = ".current", ".events max"
		any, err = g.file("hugetlb.*" + usage)
	}
	found, _ := filepath.Glob(any)
	for _, file := range found {
		name := strings.TrimSuffix(filepath.Base(file), usage) // "hugetlb.2MB"
		size := strings.TrimPrefix(name, "hugetlb.")
		if err != nil || strings.HasSuffix(size, ".rsvd") {
			continue
		}
		var d HugetlbDetails
		g.read(&d.Usage, name+usage, name+usage)
		g.read(&d.Max, name+".max_usage_in_bytes", "")
		g.read(&d.Failcnt, name+failcnt, name+failcnt)
		sizes[size] = d
	}
}

// pressure reads "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the same for full;
// nil without PSI.
func (g Group) pressure(name string) *Pressure {
	fields, err := readFields(g.Paths()[""], name)
	if err != nil {
		return nil
	}
	p := &Pressure{}
	for ; len(fields) >= 9; fields = fields[9:] {
		to := map[string]*PressureData{"some": &p.Some, "full": &p.Full}[fields[0]]
		if to == nil {
			break
		}
		for i, average := range []*float64{&to.Avg10, &to.Avg60, &to.Avg300} {
			*average, _ = strconv.ParseFloat(fields[2+2*i], 64)
		}
		to.Total, _ = strconv.ParseUint(fields[8], 10, 64)
	}
	return p
}
