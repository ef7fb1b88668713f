package spec

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	profiles "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"minidocker/mydocker/security"
)

// securityOptions reads HostConfig.SecurityOpt. seccomp is "" or "builtin" for the
// default profile, "unconfined" for none, otherwise JSON.
func securityOptions(options []string) (noNewPrivileges bool, seccomp string, err error) {
	for _, option := range options {
		name, value := option, ""
		if i := strings.IndexAny(option, "=:"); i >= 0 { // the colon is the form of Docker 1.10
			name, value = option[:i], option[i+1:]
		}
		switch {
		case name == "no-new-privileges" && value == "":
			noNewPrivileges = true
		case name == "no-new-privileges":
			noNewPrivileges, err = strconv.ParseBool(value)
		case name == "seccomp" && value != "":
			seccomp = value
		case name == "label" && value == "disable", name == "apparmor" && value == "unconfined":
			// as it is
		case name == "label", name == "apparmor":
			return false, "", fmt.Errorf("--security-opt %s: SELinux labels and AppArmor profiles are not supported", option)
		default:
			err = strconv.ErrSyntax
		}
		if err != nil {
			return false, "", fmt.Errorf("invalid --security-opt 2: %q", option)
		}
	}
	return noNewPrivileges, seccomp, nil
}

// seccompProfile is nil for none. It depends on the capabilities that s has by
// now: with CAP_SYS_ADMIN one may mount. A privileged container has a profile
// only if it is named.
func seccompProfile(named string, privileged bool, s *specs.Spec) (profile *specs.LinuxSeccomp, err error) {
	switch {
	case named == "unconfined", named == "" && privileged:
		return nil, nil
	case named == "", named == "builtin":
		return profiles.GetDefaultProfile(s)
	}
	if profile, err = profiles.LoadProfile(named, s); err != nil {
		return nil, fmt.Errorf("--security-opt seccomp: %w", err)
	}
	return profile, nil
}

// capabilitySets are those of a process run by user. A user other than 0 starts
// without any, as execve would leave it, but may gain those in the bounding set
// from files. They are taken away before execve already, lest CAP_DAC_OVERRIDE
// open a program to a user who may not execute it.
func capabilitySets(bounding []string, user specs.User) *specs.LinuxCapabilities {
	sets := &specs.LinuxCapabilities{Bounding: bounding}
	if user.UID == 0 {
		sets.Permitted, sets.Effective = slices.Clone(bounding), slices.Clone(bounding)
	}
	return sets
}

// sysctls are the container's kernel parameters. In a network namespace of its
// own Docker lets every user ping and open ports below 1024: neither guards
// anything there. In a user namespace the kernel takes only groups that are in it, and
// lets nobody write the domain name.
func sysctls(config *api.Config, host *api.HostConfig, ids security.IDRange) map[string]string {
	all, last := map[string]string{}, uint32(math.MaxInt32)
	if ids.Size > 0 {
		last = ids.Size - 1
	} else if config.Domainname != "" && !host.UTSMode.IsHost() {
		all["kernel.domainname"] = config.Domainname // the spec's field is younger than many runtimes
	}
	if host.NetworkMode.IsPrivate() {
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
		all["net.ipv4.ping_group_range"] = fmt.Sprintf("0 %d", last)
	}
	maps.Copy(all, host.Sysctls)
	return all
}

// checkSysctls refuses parameters that are the host's, not the container's.
func checkSysctls(host *api.HostConfig) error {
	ipc := []string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", // ipc_namespaces(7)
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}
	for name := range host.Sysctls {
		switch {
		case strings.HasPrefix(name, "net."):
			if host.NetworkMode.IsHost() {
				return fmt.Errorf("sysctl %q not allowed in host network namespace", name)
			}
		case strings.HasPrefix(name, "fs.mqueue."), slices.Contains(ipc, name):
			if host.IpcMode.IsHost() {
				return fmt.Errorf("sysctl %q is not allowed in the hosts ipc namespace", name)
			}
		default:
			return fmt.Errorf("sysctl '%s' is not allowed", name)
		}
	}
	return nil
}
