package security

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/namespace"
)

// The names of the OCI runtime specification (config.md, "Linux Process";
// config-linux.md, "Memory policy") in the order of the kernel's numbers
// (linux/sched.h, linux/mempolicy.h); of flags a bit each.
var (
	policies       = [...]string{"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"}
	schedulerFlags = [...]string{"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY",
		"SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX"}
	ioClasses = [...]string{"", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"}

	memoryModes = [...]string{"MPOL_DEFAULT", "MPOL_PREFERRED", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE"}
	memoryFlags = [...]string{"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"} // from bit 13 on
)

// Properties writes down how the calling thread gets the personality and the memory
// policy that a specification asks for. What that does not allow is an error.
func Properties(linux *specs.Linux) ([]namespace.Call, error) {
	domain, err := personality(linux.Personality)
	policy, err2 := memoryPolicy(linux.MemoryPolicy)
	return append(domain, policy...), cmp.Or(err, err2)
}

// Scheduling writes down how a thread, 0 for the caller, gets the scheduler and the I/O
// priority that a specification asks for, by root, and not that of a user namespace.
func Scheduling(process *specs.Process, thread int) ([]namespace.Call, error) {
	scheduler, err := schedule(process.Scheduler, thread)
	priority, err2 := prioritize(process.IOPriority, thread)
	return append(scheduler, priority...), cmp.Or(err, err2)
}

func schedule(s *specs.Scheduler, thread int) ([]namespace.Call, error) {
	if s == nil {
		return nil, nil
	}
	policy := slices.Index(policies[:], string(s.Policy))
	switch {
	case s.Policy == "":
		return nil, errors.New("scheduler policy is required")
	case policy < 0:
		return nil, fmt.Errorf("invalid scheduler policy: %s", s.Policy)
	case s.Nice < -20 || s.Nice > 19:
		return nil, fmt.Errorf("invalid scheduler.nice: %d", s.Nice)
	case s.Priority != 0 && s.Policy != specs.SchedFIFO && s.Policy != specs.SchedRR:
		return nil, errors.New("scheduler.priority can only be specified for SchedFIFO or SchedRR policy")
	case (s.Runtime != 0 || s.Deadline != 0 || s.Period != 0) && s.Policy != specs.SchedDeadline:
		return nil, errors.New("scheduler runtime/deadline/period can only be specified for SchedDeadline policy")
	}
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: uint32(policy), Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
	for _, name := range s.Flags {
		bit := slices.Index(schedulerFlags[:], string(name))
		if bit < 0 {
			return nil, fmt.Errorf("invalid scheduler flag: %s", name)
		}
		attr.Flags |= 1 << bit
	}
	return []namespace.Call{namespace.NewCall(fmt.Sprintf("sched_setattr %s nice %d priority %d", s.Policy, s.Nice, s.Priority), unix.SYS_SCHED_SETATTR, thread, namespace.Pointer(attr), 0)}, nil
}

func prioritize(p *specs.LinuxIOPriority, thread int) ([]namespace.Call, error) {
	if p == nil {
		return nil, nil
	}
	class := slices.Index(ioClasses[:], string(p.Class))
	if class < 1 {
		return nil, fmt.Errorf("invalid ioPriority.Class: %q", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return nil, fmt.Errorf("invalid ioPriority.Priority: %d", p.Priority)
	}
	const who, classShift = 1, 13 // IOPRIO_WHO_PROCESS, which is a thread; IOPRIO_CLASS_SHIFT
	return []namespace.Call{namespace.NewCall(fmt.Sprintf("ioprio_set %s %d", p.Class, p.Priority), unix.SYS_IOPRIO_SET, who, thread, class<<classShift|p.Priority)}, nil
}

func personality(p *specs.LinuxPersonality) ([]namespace.Call, error) {
	if p == nil {
		return nil, nil
	}
	if len(p.Flags) > 0 {
		return nil, fmt.Errorf("personality flags %v are not supported", p.Flags)
	}
	number := 0
	switch p.Domain {
	case specs.PerLinux:
	case specs.PerLinux32:
		number = 8
	default:
		return nil, fmt.Errorf("invalid personality domain: %q", p.Domain)
	}
	return []namespace.Call{namespace.NewCall(fmt.Sprintf("personality %s", p.Domain), unix.SYS_PERSONALITY, number)}, nil
}

func memoryPolicy(p *specs.LinuxMemoryPolicy) ([]namespace.Call, error) {
	if p == nil {
		return nil, nil
	}
	mode := slices.Index(memoryModes[:], string(p.Mode))
	if mode < 0 {
		return nil, fmt.Errorf("invalid memory policy mode: %q", p.Mode)
	}
	for _, name := range p.Flags {
		bit := slices.Index(memoryFlags[:], string(name))
		if bit < 0 {
			return nil, fmt.Errorf("invalid memory policy flag: %q", name)
		}
		mode |= 1 << (13 + bit)
	}
	nodes, err := numbers(p.Nodes)
	if err != nil {
		return nil, fmt.Errorf("memory policy nodes %q: %w", p.Nodes, err)
	}
	length := len(nodes) * 64 // the kernel wants one bit more than are looked at
	if p.Nodes == "" {
		length = 1
	}
	return []namespace.Call{namespace.NewCall(fmt.Sprintf("set_mempolicy %s nodes %q", p.Mode, p.Nodes), unix.SYS_SET_MEMPOLICY, mode, namespace.Slice(nodes), length)}, nil
}

// Affinity is the call by which a thread binds itself to the CPUs of a list such
// as "0-3,7".
func Affinity(list string) (namespace.Call, error) {
	cpus, err := numbers(list)
	if err != nil {
		return namespace.Call{}, fmt.Errorf("execCPUAffinity %q: %w", list, err)
	}
	return namespace.NewCall("sched_setaffinity "+list, unix.SYS_SCHED_SETAFFINITY, 0, len(cpus)*8, namespace.Slice(cpus)), nil
}

// numbers reads a list of numbers and ranges as a mask.
func numbers(list string) ([]uint64, error) {
	mask := make([]uint64, 1024/64+1)
	if list == "" {
		return mask, nil
	}
	for _, part := range strings.Split(list, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 32)
		to, err2 := strconv.ParseUint(last, 10, 32)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		if from > to || to >= 1024 {
			return nil, fmt.Errorf("invalid range %q", part)
		}
		for n := from; n <= to; n++ {
			mask[n/64] |= 1 << (n % 64)
		}
	}
	return mask, nil
}

// UnknownCapabilities are the names that the process is not given because they are
// none, or this thread has not got them itself: a runtime says so and goes on.
func UnknownCapabilities(caps *specs.LinuxCapabilities) (unknown []string) {
	if caps == nil {
		return nil
	}
	available, err := AvailableCapabilities()
	if err != nil {
		return nil
	}
	for _, name := range slices.Concat(caps.Bounding, caps.Effective, caps.Permitted, caps.Inheritable, caps.Ambient) {
		if !slices.Contains(available, name) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
