// Package spec turns what a user and an image ask for into an OCI runtime
// specification: Docker's configuration types in, specs.Spec out, equal in
// effect to what dockerd writes for runc.
//
// It is pure. It owns nothing on the host and a crash leaves nothing; whatever
// must be looked up, on the host or in the image, arrives as Facts. (What touches
// the host is in host.go and source.go, for the caller; Build does not use it.)
//
// The order of use:
//
//	Merge      the user's configuration with the image's
//	Validate   what was asked for
//	Default    fill in what the user left open, as inspect shows it
//	Mounts     what is to be mounted; the engine makes missing sources, resolves volumes
//	Build      at each start
//	Exec       for each further process
package spec

import (
	"fmt"
	"maps"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Facts is what Build must know about host, image and container.
type Facts struct {
	ID         string // full container ID; its first 12 characters are the default host name
	Hostname   string // the host's name, for containers that share its network or UTS namespace
	Rootfs     string // path of the mounted root file system
	CgroupPath string // cgroup, relative to the mount points
	CgroupV2   bool

	User specs.User // who runs the command, and
	Home string     // that user's home directory: both from ResolveUser

	// Files mounted over their namesakes in /etc; "" leaves the image's.
	HostnamePath, HostsPath, ResolvConfPath string

	// Mounts is what Mounts returned, each Source now an absolute path on the host.
	Mounts []mount.Mount

	// Namespaces are paths of those to join, for the modes "container:ID".
	Namespaces map[specs.LinuxNamespaceType]string
	ShmPath    string // host path for /dev/shm of a joined IPC namespace

	Capabilities []string // what the host can give: security.AvailableCapabilities
	CPUs         string   // CPUs online, as "0-3,8"; "": not checked

	// Devices maps the paths in HostConfig.Devices and Blkio* to the device
	// nodes there (a directory stands for all below it), and HostDevices are all
	// of the host, needed by a privileged container only.
	Devices     map[string][]specs.LinuxDevice
	HostDevices []specs.LinuxDevice

	// MaskedPaths are hidden beside the default ones, such as the
	// thermal_throttle directories of the CPUs.
	MaskedPaths []string

	InitPath string // host path of the program for HostConfig.Init
}

// Build makes the specification of a container. config is merged with the
// image's, host completed by Default; neither is changed.
func Build(config *api.Config, host *api.HostConfig, facts Facts) (*specs.Spec, error) {
	if err := validate(config, host, facts); err != nil {
		return nil, err
	}
	command, err := Command(config)
	if err != nil {
		return nil, err
	}
	security, err := parseSecurityOptions(host.SecurityOpt)
	if err != nil {
		return nil, err
	}
	capabilities, err := capabilities(host, facts.User, facts.Capabilities)
	if err != nil {
		return nil, err
	}
	oomScoreAdj := host.OomScoreAdj
	process := &specs.Process{
		Terminal:        config.Tty,
		User:            facts.User,
		Args:            command,
		Env:             Environment(config, hostname(config, host, facts), facts.Home, config.Tty, nil),
		Cwd:             workingDirectory(config.WorkingDir),
		Capabilities:    capabilities,
		Rlimits:         rlimits(host.Ulimits),
		NoNewPrivileges: security.noNewPrivileges,
		OOMScoreAdj:     &oomScoreAdj,
	}
	if host.Umask != nil {
		umask := *host.Umask
		process.User.Umask = &umask
	}
	if config.Tty && host.ConsoleSize != [2]uint{} {
		process.ConsoleSize = &specs.Box{Height: host.ConsoleSize[0], Width: host.ConsoleSize[1]}
	}

	s := &specs.Spec{
		Version:     specs.Version,
		Process:     process,
		Root:        &specs.Root{Path: facts.Rootfs, Readonly: host.ReadonlyRootfs},
		Hostname:    hostname(config, host, facts),
		Annotations: maps.Clone(host.Annotations),
		Linux: &specs.Linux{
			CgroupsPath:   facts.CgroupPath,
			Sysctl:        sysctls(config, host),
			MaskedPaths:   maskedPaths(host, facts),
			ReadonlyPaths: readonlyPaths(host),
		},
	}
	if host.UTSMode.IsHost() {
		s.Hostname = "" // sethostname would rename the host
	}
	if s.Linux.Namespaces, err = namespaces(host, facts); err != nil {
		return nil, err
	}
	if s.Linux.Resources, err = resources(host, facts); err != nil {
		return nil, err
	}
	if s.Linux.Devices, s.Linux.Resources.Devices, err = devices(host, facts); err != nil {
		return nil, err
	}
	if s.Mounts, s.Linux.RootfsPropagation, err = mounts(host, facts, security.writableCgroups); err != nil {
		return nil, err
	}
	if s.Linux.Seccomp, err = security.profile(host.Privileged, s); err != nil {
		return nil, err
	}
	if err := addInit(s, host, facts); err != nil {
		return nil, err
	}
	return s, nil
}

// addInit runs the command as the child of a small init, if the container has a
// pid namespace of its own for it to be the init of.
func addInit(s *specs.Spec, host *api.HostConfig, facts Facts) error {
	if host.Init == nil || !*host.Init || !host.PidMode.IsPrivate() {
		return nil
	}
	if facts.InitPath == "" {
		return fmt.Errorf("--init: this version has no init program")
	}
	const path = "/sbin/docker-init"
	s.Process.Args = append([]string{path, "--"}, s.Process.Args...)
	s.Mounts = append(s.Mounts, specs.Mount{Destination: path, Type: "bind", Source: facts.InitPath, Options: []string{"bind", "ro"}})
	return nil
}

// hostname is what the container sees as its host's name.
func hostname(config *api.Config, host *api.HostConfig, facts Facts) string {
	switch {
	case config.Hostname != "":
		return config.Hostname
	case host.NetworkMode.IsHost() || host.UTSMode.IsHost():
		return facts.Hostname
	case len(facts.ID) > 12:
		return facts.ID[:12]
	}
	return facts.ID
}

func rlimits(ulimits []*api.Ulimit) (limits []specs.POSIXRlimit) {
	for _, u := range ulimits {
		limits = append(limits, specs.POSIXRlimit{ // -1, unlimited, becomes RLIM_INFINITY
			Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard),
		})
	}
	return limits
}
