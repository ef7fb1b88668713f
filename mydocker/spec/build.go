// Package spec turns what a user and an image ask for into an OCI runtime
// specification: Docker's configuration types in, specs.Spec out, equal in
// effect to what dockerd writes for runc. At create: Merge, Default, Validate,
// Mounts; at each start Build, which trusts what Validate has seen; Exec for each
// further process.
//
// It is pure, owns nothing on the host, and a crash leaves nothing: what must be
// looked up, on the host or in the image, arrives as Facts. (host.go and source.go
// touch the host, for the caller; Build does not use them.)
package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"minidocker/mydocker/security"
)

// Facts is what Build must know about host, image and container.
type Facts struct {
	ID         string // full container ID; its first 12 characters are the default host name
	Hostname   string // the host's name, for containers that share its network or UTS namespace
	Rootfs     string // path of the mounted root file system
	CgroupPath string // cgroup, relative to the mount points
	CgroupV2   bool

	IDs security.IDRange // of its user namespace; zero: it has none

	User specs.User // who runs the command, and
	Home string     // that user's home directory: both from ResolveUser

	// Files mounted over their namesakes in /etc; "" leaves the image's.
	HostnamePath, HostsPath, ResolvConfPath string

	Mounts     []mount.Mount                       // from Mounts, each Source now an absolute path on the host
	Namespaces map[specs.LinuxNamespaceType]string // paths of those to join, for the modes "container:ID"
	ShmPath    string                              // host path for /dev/shm of a joined IPC namespace

	Capabilities []string // what the host can give: security.AvailableCapabilities
	CPUs         string   // CPUs online, as "0-3,8"; "": not checked
	MemoryNodes  string   // and memory nodes (NUMA)

	Devices     map[string][]specs.LinuxDevice // DevicesAt for the paths in HostConfig.Devices and Blkio*
	HostDevices []specs.LinuxDevice            // for a privileged container only

	MaskedPaths []string // hidden beside the default ones: thermal_throttle of the CPUs
	InitPath    string   // host path of the program for HostConfig.Init
}

// Build makes the specification of a container. config is merged with the
// image's; neither it nor host is changed.
func Build(config *api.Config, host *api.HostConfig, facts Facts) (*specs.Spec, error) {
	completed := *host
	host = &completed
	Default(host, facts.CgroupV2)
	noNewPrivileges, seccomp, err := securityOptions(host.SecurityOpt)
	if err != nil {
		return nil, err
	}
	bounding, err := security.SelectCapabilities(host.CapAdd, host.CapDrop, host.Privileged, facts.Capabilities)
	if err != nil {
		return nil, err
	}
	joined, err := namespaces(host, facts)
	if err != nil {
		return nil, err
	}
	name := cmp.Or(config.Hostname, facts.ID[:min(12, len(facts.ID))])
	if config.Hostname == "" && (host.NetworkMode.IsHost() || host.UTSMode.IsHost()) {
		name = facts.Hostname
	}
	s := &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Terminal:        config.Tty,
			ConsoleSize:     consoleSize(&host.ConsoleSize),
			User:            facts.User,
			Args:            slices.Concat(config.Entrypoint, config.Cmd),
			Env:             environment(config, name, facts.Home, config.Tty, nil),
			Cwd:             workingDirectory(config.WorkingDir),
			Capabilities:    capabilitySets(bounding, facts.User),
			Rlimits:         rlimits(host.Ulimits),
			NoNewPrivileges: noNewPrivileges,
			OOMScoreAdj:     &host.OomScoreAdj,
		},
		Root:        &specs.Root{Path: facts.Rootfs, Readonly: host.ReadonlyRootfs},
		Hostname:    name,
		Mounts:      mounts(host, facts),
		Annotations: host.Annotations,
		Linux: &specs.Linux{
			Namespaces:        joined,
			CgroupsPath:       facts.CgroupPath,
			Resources:         resources(host, facts),
			Devices:           deviceNodes(host, facts),
			Sysctl:            sysctls(config, host, facts.IDs),
			RootfsPropagation: rootPropagation(facts.Mounts),
			MaskedPaths:       host.MaskedPaths,
			ReadonlyPaths:     host.ReadonlyPaths,
		},
	}
	if facts.IDs.Size > 0 {
		s.Linux.UIDMappings, s.Linux.GIDMappings = facts.IDs.Inside(), facts.IDs.Inside()
		s.Domainname = config.Domainname
	}
	if host.UTSMode.IsHost() {
		s.Hostname, s.Domainname = "", "" // sethostname would rename the host
	}
	if len(host.MaskedPaths) > 0 { // not systempaths=unconfined, nor privileged
		s.Linux.MaskedPaths = slices.Concat(host.MaskedPaths, facts.MaskedPaths)
	}
	if s.Linux.Seccomp, err = seccompProfile(seccomp, host.Privileged, s); err != nil {
		return nil, err
	}
	if hasInit(host) {
		const path = "/sbin/docker-init"
		s.Process.Args = append([]string{path, "--"}, s.Process.Args...)
		s.Mounts = append(s.Mounts, specs.Mount{Destination: path, Type: "bind", Source: facts.InitPath, Options: []string{"bind", "ro"}})
	}
	return s, nil
}

// hasInit tells whether the small init is process 1: only in a pid namespace of the
// container's own can it be.
func hasInit(host *api.HostConfig) bool {
	return host.Init != nil && *host.Init && host.PidMode.IsPrivate()
}

func consoleSize(size *[2]uint) *specs.Box {
	if size == nil || *size == [2]uint{} {
		return nil
	}
	return &specs.Box{Height: size[0], Width: size[1]}
}

func rlimits(ulimits []*api.Ulimit) (limits []specs.POSIXRlimit) {
	for _, u := range ulimits {
		limits = append(limits, specs.POSIXRlimit{ // -1, unlimited, becomes RLIM_INFINITY
			Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard),
		})
	}
	return limits
}

// namespaces lists the container's own and those it joins. One that is not
// listed is the host's.
func namespaces(host *api.HostConfig, facts Facts) ([]specs.LinuxNamespace, error) {
	list := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if facts.IDs.Size > 0 {
		list = append(list, specs.LinuxNamespace{Type: specs.UserNamespace})
	}
	for _, ns := range []struct {
		kind specs.LinuxNamespaceType
		mode string // "host", "container:ID", and others for one of its own
	}{
		{specs.NetworkNamespace, string(host.NetworkMode)},
		{specs.UTSNamespace, string(host.UTSMode)},
		{specs.PIDNamespace, string(host.PidMode)},
		{specs.IPCNamespace, string(host.IpcMode)},
		{specs.CgroupNamespace, string(host.CgroupnsMode)},
	} {
		if ns.mode == "host" {
			continue
		}
		path := facts.Namespaces[ns.kind]
		if strings.HasPrefix(ns.mode, "container:") && path == "" {
			return nil, fmt.Errorf("join the %s namespace of %s: it is not known", ns.kind, ns.mode)
		}
		list = append(list, specs.LinuxNamespace{Type: ns.kind, Path: path})
	}
	return list, nil
}
