package spec

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/security"
)

// What is hidden in a container because it tells about the host or changes it,
// and what can be read but not written.
var (
	maskedPaths = [...]string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
		"/sys/firmware", "/sys/devices/virtual/powercap",
	}
	readonlyPaths = [...]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// Default fills in what the user left open, as Docker does at create, so that
// inspect shows it. Paths are nil by default; --security-opt
// systempaths=unconfined makes them empty.
func Default(host *api.HostConfig, cgroupV2 bool) {
	host.MemorySwap = cmp.Or(host.MemorySwap, 2*host.Memory) // both together; -1: no limit
	host.ShmSize = cmp.Or(host.ShmSize, 64<<20)
	host.IpcMode = cmp.Or(host.IpcMode, api.IPCModePrivate)
	host.CgroupnsMode = cmp.Or(host.CgroupnsMode, api.CgroupnsModePrivate)
	host.RestartPolicy.Name = cmp.Or(host.RestartPolicy.Name, api.RestartPolicyDisabled)
	if host.OomKillDisable == nil && !cgroupV2 {
		host.OomKillDisable = new(false)
	}
	if host.MaskedPaths == nil && !host.Privileged {
		host.MaskedPaths = slices.Clone(maskedPaths[:])
	}
	if host.ReadonlyPaths == nil && !host.Privileged {
		host.ReadonlyPaths = slices.Clone(readonlyPaths[:])
	}
}

// Validate finds what cannot be, in Docker's words, before the container is
// made. Of facts it uses what is known about the host: Capabilities and CPUs.
// What the command line has checked, such as ulimits, is not checked again.
func Validate(config *api.Config, host *api.HostConfig, facts Facts) error {
	_, capabilityErr := security.SelectCapabilities(host.CapAdd, host.CapDrop, host.Privileged, facts.Capabilities)
	_, _, securityErr := securityOptions(host.SecurityOpt)
	_, mountErr := Mounts(config, host)
	err := cmp.Or(capabilityErr, securityErr, mountErr, checkSysctls(host), api.ValidateRestartPolicy(host.RestartPolicy),
		checkSettings(config, host), checkHealth(config.Healthcheck), checkCPUs(host, facts))
	for _, text := range host.DeviceCgroupRules {
		_, ruleErr := parseDeviceRule(text)
		err = cmp.Or(err, ruleErr)
	}
	return err
}

func checkSettings(config *api.Config, host *api.HostConfig) error {
	const least = 6 << 20 // of memory: less is not enough to start a process
	swappiness := int64(-1)
	if host.MemorySwappiness != nil {
		swappiness = *host.MemorySwappiness
	}
	for _, check := range [...]struct {
		wrong bool
		words string
	}{
		{config.WorkingDir != "" && !path.IsAbs(config.WorkingDir),
			fmt.Sprintf("the working directory '%s' is invalid, it needs to be an absolute path", config.WorkingDir)},
		{config.Hostname != "" && host.UTSMode.IsHost(), "conflicting options: hostname and the UTS mode"},
		{!host.IpcMode.Valid(), fmt.Sprintf("invalid IPC mode: %v", host.IpcMode)},
		{!host.PidMode.Valid(), fmt.Sprintf("invalid PID mode: %v", host.PidMode)},
		{!host.UTSMode.Valid(), fmt.Sprintf("invalid UTS mode: %v", host.UTSMode)},
		{!host.CgroupnsMode.Valid(), fmt.Sprintf("invalid cgroup namespace mode: %v", host.CgroupnsMode)},
		{host.ShmSize < 0, "SHM size can not be less than 0"},
		{host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000, fmt.Sprintf("Invalid value %d, range for oom score adj is [-1000, 1000]", host.OomScoreAdj)},
		{host.AutoRemove && !host.RestartPolicy.IsNone(), "can't create 'AutoRemove' container with restart policy"},
		{host.Memory != 0 && host.Memory < least, "Minimum memory limit allowed is 6MB"},
		{host.Memory > 0 && host.MemorySwap > 0 && host.MemorySwap < host.Memory, "Minimum memoryswap limit should be larger than memory limit, see usage"},
		{host.Memory == 0 && host.MemorySwap > 0, "You should always set the Memory limit when using Memoryswap limit, see usage"},
		{swappiness < -1 || swappiness > 100, fmt.Sprintf("Invalid value: %v, valid memory swappiness range is 0-100", swappiness)},
		{host.MemoryReservation > 0 && host.MemoryReservation < least, "Minimum memory reservation allowed is 6MB"},
		{host.Memory > 0 && host.MemoryReservation > host.Memory, "Minimum memory limit can not be less than memory reservation limit, see usage"},
		{host.CPUShares < 0, fmt.Sprintf("invalid CPU shares (%d): value must be a positive integer", host.CPUShares)},
		{host.NanoCPUs > 0 && host.CPUPeriod > 0, "Conflicting options: Nano CPUs and CPU Period cannot both be set"},
		{host.NanoCPUs > 0 && host.CPUQuota > 0, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"},
		{host.CPUPeriod != 0 && (host.CPUPeriod < 1000 || host.CPUPeriod > 1000000),
			"CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"},
		{host.CPUQuota > 0 && host.CPUQuota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)"},
		{host.BlkioWeight > 0 && (host.BlkioWeight < 10 || host.BlkioWeight > 1000), "Range of blkio weight is from 10 to 1000"},
	} {
		if check.wrong {
			return errors.New(check.words)
		}
	}
	return nil
}

func checkHealth(check *api.HealthConfig) error {
	if check == nil {
		return nil
	}
	for _, one := range [...]struct {
		name  string
		value time.Duration
	}{{"Interval", check.Interval}, {"Timeout", check.Timeout}, {"StartPeriod", check.StartPeriod}, {"StartInterval", check.StartInterval}} {
		if one.value != 0 && one.value < api.MinimumDuration {
			return fmt.Errorf("%s in Healthcheck cannot be less than %v", one.name, api.MinimumDuration)
		}
	}
	if check.Retries < 0 {
		return errors.New("Retries in Healthcheck cannot be negative")
	}
	return nil
}

func checkCPUs(host *api.HostConfig, facts Facts) error {
	for _, set := range [...]struct{ kind, file, wanted, available string }{
		{"CPUs", "cpus", host.CpusetCpus, facts.CPUs}, {"memory nodes", "mems", host.CpusetMems, facts.MemoryNodes},
	} {
		wanted, err := parseCPUs(set.wanted)
		if err != nil {
			return fmt.Errorf("Invalid value %s for cpuset %s: %w", set.wanted, set.file, err)
		}
		online, err := parseCPUs(set.available)
		if err != nil {
			return err
		}
		for n := range wanted {
			if !online[n] && set.available != "" {
				return fmt.Errorf("Requested %s are not available - requested %s, available: %s", set.kind, set.wanted, set.available)
			}
		}
	}
	online, err := parseCPUs(facts.CPUs)
	if err != nil || len(online) == 0 {
		return err
	}
	if host.NanoCPUs < 0 || host.NanoCPUs > int64(len(online))*1e9 {
		return fmt.Errorf("range of CPUs is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available", len(online))
	}
	return nil
}

// parseCPUs reads a list of CPUs or memory nodes as "0-3,8" (cpuset(7), "List format").
func parseCPUs(list string) (map[uint64]bool, error) {
	cpus := map[uint64]bool{}
	if list == "" {
		return cpus, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, 13) // 8192 is the most a kernel is built for
		to, err2 := strconv.ParseUint(last, 10, 13)
		if err1 != nil || err2 != nil || to < from {
			return nil, fmt.Errorf("invalid format: %s", list)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus[cpu] = true
		}
	}
	return cpus, nil
}
