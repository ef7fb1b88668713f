package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"minidocker/mydocker/security"
)

// securityOptions are HostConfig.SecurityOpt, read.
type securityOptions struct {
	noNewPrivileges bool
	writableCgroups *bool  // nil: as the container is privileged or not
	seccomp         string // "", "builtin": the default profile; "unconfined": none; otherwise JSON
}

func parseSecurityOptions(options []string) (parsed securityOptions, err error) {
	for _, option := range options {
		name, value, hasValue := strings.Cut(option, "=")
		if !hasValue {
			name, value, hasValue = strings.Cut(option, ":") // the form of Docker 1.10
		}
		boolean := func() bool {
			if !hasValue {
				return true
			}
			b, parseError := strconv.ParseBool(value)
			if parseError != nil {
				err = fmt.Errorf("invalid --security-opt 2: %q", option)
			}
			return b
		}
		switch {
		case name == "no-new-privileges":
			parsed.noNewPrivileges = boolean()
		case name == "writable-cgroups":
			b := boolean()
			parsed.writableCgroups = &b
		case name == "seccomp" && hasValue:
			parsed.seccomp = value
		case name == "label" && hasValue:
			if value != "disable" {
				err = fmt.Errorf("--security-opt %s: SELinux labels are not supported", option)
			}
		case name == "apparmor" && hasValue:
			if value != "unconfined" {
				err = fmt.Errorf("--security-opt %s: AppArmor profiles are not supported", option)
			}
		case !hasValue:
			err = fmt.Errorf("invalid --security-opt 1: %q", option)
		default:
			err = fmt.Errorf("invalid --security-opt 2: %q", option)
		}
		if err != nil {
			return parsed, err
		}
	}
	return parsed, nil
}

// profile is the seccomp profile, nil for none. It depends on the capabilities
// that s has by now. A privileged container has one only if it is named.
func (o securityOptions) profile(privileged bool, s *specs.Spec) (*specs.LinuxSeccomp, error) {
	switch {
	case o.seccomp == "unconfined", o.seccomp == "" && privileged:
		return nil, nil
	case o.seccomp == "", o.seccomp == "builtin":
		return security.DefaultProfile(s)
	}
	profile, err := security.LoadProfile([]byte(o.seccomp), s)
	if err != nil {
		return nil, fmt.Errorf("--security-opt seccomp: %w", err)
	}
	return profile, nil
}

// capabilities are those of a process run by user. A user other than 0 starts
// without any, as execve would leave it, but may gain those in the bounding set
// from files. They are taken away before execve already, lest CAP_DAC_OVERRIDE
// open a program to a user who may not execute it.
func capabilities(host *api.HostConfig, user specs.User, available []string) (*specs.LinuxCapabilities, error) {
	selected, err := security.SelectCapabilities(host.CapAdd, host.CapDrop, host.Privileged, available)
	if err != nil {
		return nil, err
	}
	return capabilitySets(selected, user), nil
}

func capabilitySets(selected []string, user specs.User) *specs.LinuxCapabilities {
	sets := &specs.LinuxCapabilities{Bounding: selected}
	if user.UID == 0 {
		sets.Permitted, sets.Effective = slices.Clone(selected), slices.Clone(selected)
	}
	return sets
}

// DefaultMaskedPaths are hidden in a container: they tell about the host, or
// change it.
func DefaultMaskedPaths() []string {
	return []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
		"/sys/firmware", "/sys/devices/virtual/powercap",
	}
}

// DefaultReadonlyPaths can be read but not written in a container.
func DefaultReadonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// maskedPaths and readonlyPaths: nil means the default, which is none for a
// privileged container. An empty list, as --security-opt systempaths=unconfined
// makes it, means none; any other gets what this host has to hide besides.
func maskedPaths(host *api.HostConfig, facts Facts) []string {
	paths := host.MaskedPaths
	if paths == nil && !host.Privileged {
		paths = DefaultMaskedPaths()
	}
	if len(paths) == 0 {
		return nil
	}
	return slices.Concat(paths, facts.MaskedPaths)
}

func readonlyPaths(host *api.HostConfig) []string {
	switch {
	case host.ReadonlyPaths != nil:
		return slices.Clone(host.ReadonlyPaths)
	case host.Privileged:
		return nil
	}
	return DefaultReadonlyPaths()
}
