package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// ErrNoController reports a limit for which this host has no controller or file.
var ErrNoController = errors.New("this host's cgroups have no such controller or file")

// setting is one limit as either version takes it.
type setting struct {
	v1, v2 entry
	or     *setting // instead, where the kernel has no such file; nil: that is an error

	unified bool // the user named the file
}

// onVersion1 is a limit which version 2 does not have: its file is not found there.
func onVersion1(file, value string) setting {
	e := entry{file, value}
	return setting{v1: e, v2: e}
}

// entry is a value for one file of a group; an empty value is not written.
type entry struct{ file, value string }

// Update is Set for a live group: what is refused changes nothing, and undo gives all
// files back what they held. (Limits of single devices are added to a file, and stay.)
func (g Group) Update(res *specs.LinuxResources) (undo func(), err error) {
	list, err := settings(g.withPeriod(value(res)), g.host.Version)
	if err != nil {
		return nil, err
	}
	before := map[string]string{}
	for _, first := range list {
		for s := &first; s != nil; s = s.or {
			file, text, err := g.target(*s)
			if old, err2 := os.ReadFile(file); err == nil && err2 == nil && text != "" {
				before[file] = string(old)
			}
		}
	}
	undo = func() {
		var old []setting
		for file, text := range before {
			e := entry{filepath.Base(file), strings.TrimSpace(text)}
			old = append(old, setting{v1: e, v2: e})
		}
		if g.manager != nil {
			g.manager.set(old)
		}
		g.writeAll(old)
	}
	if err = g.Set(res); err != nil {
		undo()
	}
	return undo, err
}

// Set changes the limits of a group: those that res names.
func (g Group) Set(res *specs.LinuxResources) error {
	list, err := settings(g.withPeriod(value(res)), g.host.Version)
	if err == nil {
		err = g.checkUsage(value(value(res).Memory))
	}
	if err == nil {
		err = g.writeAll(list)
	}
	if err == nil && g.manager != nil {
		// In this order a refusal leaves its books as they are; but systemd writes the
		// files too, and rounds a quota.
		if err = g.manager.set(list); err == nil {
			err = g.writeAll(list)
		}
	}
	return err
}

// writeAll writes the files, twice if anything was refused: version 1's limit of memory
// may never exceed that of memory and swap, nor a quota be less than its burst (EINVAL),
// so now one must be written first, now the other.
func (g Group) writeAll(list []setting) (err error) {
	for range 2 {
		err = nil
		for _, s := range list {
			err = errors.Join(err, g.write(s))
		}
		if err == nil {
			break
		}
	}
	return err
}

// LimitPids sets pids.max alone, just before execve: init is a Go program with about
// five threads, more than a container may be allowed.
func (g Group) LimitPids(res *specs.LinuxResources) error {
	return g.Set(&specs.LinuxResources{Pids: value(res).Pids})
}

func settings(res specs.LinuxResources, version int) ([]setting, error) {
	list, err := memorySettings(value(res.Memory), version)
	cpu, err2 := cpuSettings(value(res.CPU), version)
	huge, err3 := hugetlbSettings(res.HugepageLimits)
	unified, err4 := unifiedSettings(res.Unified, version)
	return slices.Concat(list, cpu, cpusetSettings(value(res.CPU)), ioSettings(value(res.BlockIO)),
		pidsSettings(value(res.Pids)), huge, rdmaSettings(res.Rdma), networkSettings(value(res.Network)), unified), errors.Join(err, err2, err3, err4)
}

// target is the file for a setting, and what to write; nothing if nothing is asked for.
func (g Group) target(s setting) (file, text string, err error) {
	e := s.v1
	if g.host.Version == 2 {
		e = s.v2
	}
	if e.value == "" {
		return "", "", nil
	}
	file, err = g.file(e.file)
	if err != nil && s.v2.value != "" {
		// A hybrid host may have a controller in its version 2 tree.
		other := filepath.Join(g.Paths()[""], s.v2.file)
		if unix.Access(other, unix.F_OK) == nil {
			return other, s.v2.value, nil
		}
	}
	return file, e.value, err
}

func (g Group) write(s setting) error {
	file, text, err := g.target(s)
	if text == "" {
		return nil
	}
	if err == nil {
		err = write(file, text)
	}
	switch {
	case err == nil:
		return nil
	case s.unified:
		return g.explainUnified(s.v2.file, err)
	case !errors.Is(err, unix.ENOENT):
		return err
	case s.or != nil:
		return g.write(*s.or)
	}
	return fmt.Errorf("%w: %w", ErrNoController, err)
}

// Stats is what a group uses with those below; a value is 0 without its controller.
type Stats struct {
	MemoryUsage uint64 // bytes, without the inactive page cache, as `docker stats` has it
	MemoryLimit uint64 // bytes; 0: none
	CPUUsage    uint64 // nanoseconds of CPU time since the group was made
	CPUUser     uint64 // of these, in user mode; version 1 counts ticks of 10 ms
	CPUKernel   uint64 // and in the kernel
	IORead      uint64 // bytes read from block devices
	IOWrite     uint64 // bytes written to block devices
	Pids        uint64 // processes and threads
	PidsLimit   uint64 // 0: none

	Memory    map[string]uint64 // memory.stat, with the kernel's keys for the version
	Throttled map[string]uint64 // cpu.stat: nr_periods, nr_throttled, and throttled_time (ns) or _usec
}

// Stats reads what the group uses now.
func (g Group) Stats() (*Stats, error) {
	s := &Stats{}
	return s, errors.Join(g.memoryStats(s), g.cpuStats(s), g.ioStats(s), g.pidsStats(s))
}

// file returns the path of one of the group's files, named after its controller.
func (g Group) file(name string) (string, error) {
	controller, _, _ := strings.Cut(name, ".")
	if g.host.Version == 2 || controller == "cgroup" {
		controller = ""
	}
	tree := g.host.find(controller)
	if tree == nil {
		return "", fmt.Errorf("%w: %s", ErrNoController, controller)
	}
	return filepath.Join(tree.mount, g.path, name), nil
}

// write writes value with a single write(2), which a cgroup file takes as one command.
// It never creates a file: ENOENT is a missing feature.
func write(file, value string) error {
	trace.Step("write", "%s < %s", file, value)
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		// A signal, as the Go runtime's own, ends the wait for memory to be reclaimed.
		for err = unix.EINTR; err == unix.EINTR; {
			_, err = unix.Write(fd, []byte(value))
		}
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, file, err)
	}
	return nil
}

// read reads a number from a file of either version, named "file" or, where it has
// several, "file key". It adds up what follows the key, as in "8:0 Read 4096" or "8:0
// rbytes=4096 wbytes=0" for each device. Missing controllers, files, keys: 0.
func (g Group) read(sum *uint64, v1, v2 string) error {
	source := v1
	if g.host.Version == 2 {
		source = v2
	}
	name, key, _ := strings.Cut(source, " ")
	file, err := g.file(name)
	if err != nil {
		return nil
	}
	fields, err := readFields(filepath.Split(file))
	previous := ""
	for _, field := range fields {
		if previous == key {
			n, _ := strconv.ParseUint(field, 10, 64) // 0 for "max"
			*sum += n
		}
		previous = field
	}
	if gone(err) {
		return nil
	}
	return err
}

// table reads a file of lines "key number"; a missing one is empty.
func (g Group) table(name string) (map[string]uint64, error) {
	file, err := g.file(name)
	if err != nil {
		return nil, nil
	}
	fields, err := readFields(filepath.Split(file))
	if gone(err) {
		return nil, nil
	}
	all := make(map[string]uint64, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		all[fields[i]], _ = strconv.ParseUint(fields[i+1], 10, 64)
	}
	return all, err
}

// readFields returns the words of a file, those on either side of a "=" too.
func readFields(dir, file string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	return strings.Fields(strings.ReplaceAll(string(data), "=", " ")), err
}

// gone reports that a group does not exist, or ceased to while being read (ENODEV).
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }

// number is how n is written: nothing for 0, which asks for no limit.
func number[N int64 | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// pointed is how a number is written for which 0 is not the same as nothing.
func pointed[N int64 | uint64](n *N) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

// orMax is number for version 2, which lifts a limit with "max", not -1.
func orMax(n int64) string { return strings.Replace(number(n), "-1", "max", 1) }

// value returns what p points to, the zero value for nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
