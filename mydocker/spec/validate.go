package spec

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/security"
)

const (
	defaultShmSize = 64 << 20
	minimalMemory  = 6 << 20 // less is not enough to start a process
)

// Default fills in what the user left open, as Docker does at create, so that
// inspect shows it.
func Default(host *api.HostConfig, cgroupV2 bool) {
	host.MemorySwap = memorySwap(host)
	orDefault(&host.ShmSize, defaultShmSize)
	orDefault(&host.IpcMode, api.IPCModePrivate)
	orDefault(&host.CgroupnsMode, api.CgroupnsModePrivate)
	orDefault(&host.RestartPolicy.Name, api.RestartPolicyDisabled)
	if host.OomKillDisable == nil && !cgroupV2 {
		host.OomKillDisable = new(bool)
	}
	if !host.Privileged {
		if host.MaskedPaths == nil {
			host.MaskedPaths = DefaultMaskedPaths()
		}
		if host.ReadonlyPaths == nil {
			host.ReadonlyPaths = DefaultReadonlyPaths()
		}
	}
}

// Validate finds what cannot be, in Docker's words, before the container is
// made. Of facts it uses what is known about the host: Capabilities and CPUs.
func Validate(config *api.Config, host *api.HostConfig, facts Facts) error {
	// Only here: once made, a container has the host name it has in its record.
	switch {
	case config.Hostname != "" && host.UTSMode.IsHost():
		return errors.New("conflicting options: hostname and the UTS mode")
	case config.Hostname != "" && host.NetworkMode.IsContainer():
		return errors.New("conflicting options: hostname and the network mode")
	}
	return validate(config, host, facts)
}

func validate(config *api.Config, host *api.HostConfig, facts Facts) error {
	if config.WorkingDir != "" && !path.IsAbs(config.WorkingDir) {
		return fmt.Errorf("the working directory '%s' is invalid, it needs to be an absolute path", config.WorkingDir)
	}
	for _, variable := range config.Env {
		if variable == "" || variable[0] == '=' {
			return fmt.Errorf("invalid environment variable: %s", variable)
		}
	}
	if _, err := security.SelectCapabilities(host.CapAdd, host.CapDrop, host.Privileged, facts.Capabilities); err != nil {
		return err
	}
	if _, err := parseSecurityOptions(host.SecurityOpt); err != nil {
		return err
	}
	for _, u := range host.Ulimits {
		if err := security.CheckRlimit("RLIMIT_" + u.Name); err != nil {
			return fmt.Errorf("invalid ulimit type: %s", u.Name)
		}
		if u.Hard != -1 && (u.Soft == -1 || u.Soft > u.Hard) {
			return fmt.Errorf("ulimit soft limit must be less than or equal to hard limit: %d > %d", u.Soft, u.Hard)
		}
	}
	for target, options := range host.Tmpfs {
		if err := checkTarget(target); err != nil {
			return err
		}
		if _, err := mergeOptions(strings.Split(options, ",")); err != nil {
			return err
		}
	}
	if _, err := Mounts(config, host); err != nil {
		return err
	}
	if err := errors.Join(validateModes(host), checkSysctls(host)); err != nil {
		return err
	}
	return validateResources(host, facts)
}

func validateModes(host *api.HostConfig) error {
	switch {
	case !host.IpcMode.Valid():
		return fmt.Errorf("invalid IPC mode: %v", host.IpcMode)
	case !host.PidMode.Valid():
		return fmt.Errorf("invalid PID mode: %v", host.PidMode)
	case !host.UTSMode.Valid():
		return fmt.Errorf("invalid UTS mode: %v", host.UTSMode)
	case !host.CgroupnsMode.Valid():
		return fmt.Errorf("invalid cgroup namespace mode: %v", host.CgroupnsMode)
	case host.ShmSize < 0:
		return errors.New("SHM size can not be less than 0")
	case host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000:
		return fmt.Errorf("Invalid value %d, range for oom score adj is [-1000, 1000]", host.OomScoreAdj)
	case host.AutoRemove && !host.RestartPolicy.IsNone():
		return errors.New("can't create 'AutoRemove' container with restart policy")
	}
	return api.ValidateRestartPolicy(host.RestartPolicy)
}

func validateResources(host *api.HostConfig, facts Facts) error {
	swappiness := int64(-1)
	if host.MemorySwappiness != nil {
		swappiness = *host.MemorySwappiness
	}
	switch {
	case host.Memory != 0 && host.Memory < minimalMemory:
		return errors.New("Minimum memory limit allowed is 6MB")
	case host.Memory > 0 && host.MemorySwap > 0 && host.MemorySwap < host.Memory:
		return errors.New("Minimum memoryswap limit should be larger than memory limit, see usage")
	case host.Memory == 0 && host.MemorySwap > 0:
		return errors.New("You should always set the Memory limit when using Memoryswap limit, see usage")
	case swappiness < -1 || swappiness > 100:
		return fmt.Errorf("Invalid value: %v, valid memory swappiness range is 0-100", swappiness)
	case host.MemoryReservation > 0 && host.MemoryReservation < minimalMemory:
		return errors.New("Minimum memory reservation allowed is 6MB")
	case host.Memory > 0 && host.MemoryReservation > host.Memory:
		return errors.New("Minimum memory limit can not be less than memory reservation limit, see usage")
	case host.CPUShares < 0:
		return fmt.Errorf("invalid CPU shares (%d): value must be a positive integer", host.CPUShares)
	case host.NanoCPUs > 0 && host.CPUPeriod > 0:
		return errors.New("Conflicting options: Nano CPUs and CPU Period cannot both be set")
	case host.NanoCPUs > 0 && host.CPUQuota > 0:
		return errors.New("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
	case host.CPUPeriod != 0 && (host.CPUPeriod < 1000 || host.CPUPeriod > 1000000):
		return errors.New("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
	case host.CPUQuota > 0 && host.CPUQuota < 1000:
		return errors.New("CPU cfs quota can not be less than 1ms (i.e. 1000)")
	case host.BlkioWeight > 0 && (host.BlkioWeight < 10 || host.BlkioWeight > 1000):
		return errors.New("Range of blkio weight is from 10 to 1000")
	}
	return validateCPUs(host, facts.CPUs)
}

func validateCPUs(host *api.HostConfig, available string) error {
	wanted, err := parseCPUs(host.CpusetCpus)
	if err != nil {
		return fmt.Errorf("Invalid value %s for cpuset cpus: %w", host.CpusetCpus, err)
	}
	if _, err := parseCPUs(host.CpusetMems); err != nil {
		return fmt.Errorf("Invalid value %s for cpuset mems: %w", host.CpusetMems, err)
	}
	if available == "" {
		return nil
	}
	online, err := parseCPUs(available)
	if err != nil {
		return fmt.Errorf("CPUs of the host: %w", err)
	}
	for cpu := range wanted {
		if !online[cpu] {
			return fmt.Errorf("Requested CPUs are not available - requested %s, available: %s", host.CpusetCpus, available)
		}
	}
	if host.NanoCPUs < 0 || host.NanoCPUs > int64(len(online))*1e9 {
		return fmt.Errorf("range of CPUs is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available", len(online))
	}
	return nil
}

// parseCPUs reads a list of CPUs as "0-3,8" (cpuset(7), "List format").
func parseCPUs(list string) (map[int]bool, error) {
	cpus := map[int]bool{}
	if list == "" {
		return cpus, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseUint(first, 10, 13) // 8192 is the most a kernel is built for
		if err != nil {
			return nil, fmt.Errorf("%q is no CPU", first)
		}
		to := from
		if isRange {
			if to, err = strconv.ParseUint(last, 10, 13); err != nil || to < from {
				return nil, fmt.Errorf("%q is no range of CPUs", part)
			}
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus[int(cpu)] = true
		}
	}
	return cpus, nil
}
