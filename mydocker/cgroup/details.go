package cgroup

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Details is all that the kernel counts for a group, as the JSON of `runc events`: times
// in nanoseconds, sizes in bytes. What this host does not count is left out.
type Details map[string]any

// Details reads all counters.
func (g Group) Details() (*Details, error) {
	d, used := Details{"hugetlb": Details{}, "intel_rdt": Details{}, "network_interfaces": nil}, Stats{}
	err := g.cpuStats(&used)
	d.put("cpu.usage.total", used.CPUUsage)
	d.put("cpu.usage.kernel", used.CPUKernel)
	d.put("cpu.usage.user", used.CPUUser)
	d.put("cpu.throttling.periods", used.Throttled["nr_periods"])
	d.put("cpu.throttling.throttledPeriods", used.Throttled["nr_throttled"])
	d.put("cpu.throttling.throttledTime", used.Throttled["throttled_time"]+used.Throttled["throttled_usec"]*1000)
	raw, err2 := g.table("memory.stat")
	d.put("memory.raw", raw)
	d.put("pids.current", g.numbers("pids.current"))
	d.put("pids.limit", g.numbers("pids.max")) // 0: none
	if g.host.Version == 2 {
		d.put("memory.cache", raw["file"])
		g.detailsV2(d)
	} else {
		d.put("memory.cache", raw["cache"])
		g.detailsV1(d)
	}
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("read statistics of cgroup %s: %w", g.path, err)
	}
	return &d, nil
}

// put sets a value at a path such as cpu.usage.total, unless it is nil.
func (d Details) put(path string, value any) {
	if value == nil {
		return
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok {
		d[first] = value
		return
	}
	if d[first] == nil {
		d[first] = Details{}
	}
	d[first].(Details).put(rest, value)
}

// words reads a file; not ok without it.
func (g Group) words(name string) (fields []string, ok bool) {
	file, err := g.file(name)
	if err == nil {
		fields, err = readFields(filepath.Split(file))
	}
	return fields, err == nil
}

// numbers reads a file of one number, which may be negative, or, as a list, of several;
// nil without the file.
func (g Group) numbers(name string) any {
	fields, ok := g.words(name)
	var list []json.Number
	for _, field := range fields {
		if _, err := strconv.ParseFloat(field, 64); err == nil {
			list = append(list, json.Number(field))
		}
	}
	switch {
	case !ok || len(fields) == 0:
		return nil
	case len(list) == 0: // "max"
		return 0
	case len(list) == 1 && !strings.Contains(name, "percpu"):
		return list[0]
	}
	return list
}

// listed reads a file of a list such as "0-2,7"; nil without it.
func (g Group) listed(name string) any {
	fields, ok := g.words(name)
	list, err := parseList(strings.Join(fields, ""))
	if !ok || err != nil {
		return nil
	}
	return list
}

func (g Group) detailsV1(d Details) {
	for key, name := range map[string]string{"percpu": "usage_percpu", "percpu_kernel": "usage_percpu_sys", "percpu_user": "usage_percpu_user"} {
		d.put("cpu.usage."+key, g.numbers("cpuacct."+name))
	}
	for key, name := range map[string]string{"usage": "memory.", "swap": "memory.memsw.", "kernel": "memory.kmem.", "kernelTCP": "memory.kmem.tcp."} {
		for key2, name2 := range map[string]string{"limit": "limit_in_bytes", "usage": "usage_in_bytes", "max": "max_usage_in_bytes", "failcnt": "failcnt"} {
			d.put("memory."+key+"."+key2, g.numbers(name+name2))
		}
	}
	d.put("cpuset.cpus", g.listed("cpuset.cpus"))
	d.put("cpuset.mems", g.listed("cpuset.mems"))
	for _, name := range [...]string{"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
		"memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"} {
		d.put("cpuset."+name, g.numbers("cpuset."+name))
	}
	g.hugetlbDetails(d, ".usage_in_bytes", map[string]string{"usage": ".usage_in_bytes", "max": ".max_usage_in_bytes", "failcnt": ".failcnt"})
	for key, name := range map[string]string{"ioServiceBytes": "io_service_bytes", "ioServiced": "io_serviced", "ioQueue": "io_queued",
		"ioServiceTime": "io_service_time", "ioWaitTime": "io_wait_time", "ioMerged": "io_merged"} {
		// The BFQ scheduler counts for the devices that have it; throttling counts for all.
		for _, prefix := range [...]string{"blkio.throttle.", "blkio.bfq."} {
			var list []blkioEntry
			fields, _ := g.words(prefix + name + "_recursive")
			for ; len(fields) > 2; fields = fields[3:] { // "8:0 Read 4096", at last "Total 4096"
				list = append(list, newBlkioEntry(fields[0], fields[1], fields[2]))
			}
			if list != nil {
				d.put("blkio."+key+"Recursive", list)
			}
		}
	}
}

func (g Group) detailsV2(d Details) {
	d.put("cpuset.cpus", g.listed("cpuset.cpus.effective"))
	d.put("cpuset.mems", g.listed("cpuset.mems.effective"))
	var usage, swap, limit, swapLimit uint64 // 0: no limit
	for name, to := range map[string]*uint64{"memory.current": &usage, "memory.swap.current": &swap, "memory.max": &limit, "memory.swap.max": &swapLimit} {
		g.read(to, "", name)
	}
	const none = ^uint64(0) // as runc shows it
	d.put("memory.usage", Details{"usage": usage, "limit": cmp.Or(limit, none)})
	d.put("memory.usage.max", g.numbers("memory.peak"))
	// With memory, as version 1 has it.
	d.put("memory.swap", Details{"usage": usage + swap, "limit": none})
	if limit != 0 && g.numbers("memory.swap.max") != any(0) {
		d.put("memory.swap.limit", limit+swapLimit)
	}
	for key, name := range map[string]string{"cpu": "cpu.pressure", "memory": "memory.pressure", "blkio": "io.pressure"} {
		fields, _ := g.words(name)
		// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and the same for full (accounting/psi.rst)
		for ; len(fields) >= 9; fields = fields[9:] {
			for i := 1; i < 9; i += 2 {
				d.put(key+".psi."+fields[0]+"."+fields[i], json.Number(fields[i+1]))
			}
		}
	}
	g.hugetlbDetails(d, ".current", map[string]string{"usage": ".current", "failcnt": ".events"})
	fields, _ := g.words("io.stat")
	// "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0"
	lists, device := map[bool][]blkioEntry{}, ""
	for i, field := range fields {
		switch op := map[byte]string{'r': "Read", 'w': "Write"}[field[0]]; {
		case strings.Contains(field, ":"):
			device = field
		case op != "" && i+1 < len(fields):
			operations := strings.HasSuffix(field, "ios")
			lists[operations] = append(lists[operations], newBlkioEntry(device, op, fields[i+1]))
		}
	}
	d.put("blkio.ioServiceBytesRecursive", lists[false])
	d.put("blkio.ioServicedRecursive", lists[true])
}

// hugetlbDetails finds the sizes by a file, and reads files of each by the keys of runc.
func (g Group) hugetlbDetails(d Details, usage string, files map[string]string) {
	pattern, _ := g.file("hugetlb.*B" + usage) // without the controller it is empty
	found, _ := filepath.Glob(pattern)
	for _, file := range found {
		size := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "hugetlb."), usage)
		for key, name := range files {
			d.put("hugetlb."+size+"."+key, g.numbers("hugetlb."+size+name))
		}
	}
}

// blkioEntry counts for a device, and one kind of operation: Read, Write, on version 1
// also Sync, Async, Discard and their Total.
type blkioEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value"`
}

func newBlkioEntry(device, op, value string) blkioEntry {
	e := blkioEntry{Op: op}
	fmt.Sscanf(device, "%d:%d", &e.Major, &e.Minor)
	e.Value, _ = strconv.ParseUint(value, 10, 64)
	return e
}
