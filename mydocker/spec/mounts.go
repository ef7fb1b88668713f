package spec

import (
	"path"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mounts are all of the container in the order they are made, and the
// propagation that its root must have for them.
func mounts(host *api.HostConfig, facts Facts, writableCgroups *bool) ([]specs.Mount, string, error) {
	asked, propagation, err := userMounts(host, facts)
	if err != nil {
		return nil, "", err
	}
	isAsked := func(target string) bool {
		return slices.ContainsFunc(asked, func(m specs.Mount) bool { return m.Destination == target })
	}
	ownDev := isAsked("/dev")

	var all []specs.Mount
	for _, m := range defaultMounts(host, facts) {
		if isAsked(m.Destination) || ownDev && strings.HasPrefix(m.Destination, "/dev/") {
			continue
		}
		readOnly := slices.Contains(m.Options, "ro")
		switch m.Type {
		case "sysfs":
			readOnly = !host.Privileged
		case "cgroup":
			readOnly = !host.Privileged
			if writableCgroups != nil {
				readOnly = !*writableCgroups
			}
		}
		m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" && !readOnly })
		all = append(all, m)
	}
	return append(all, asked...), propagation, nil
}

// defaultMounts are what every container has under /proc, /dev and /sys.
func defaultMounts(host *api.HostConfig, facts Facts) []specs.Mount {
	all := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	}
	switch {
	case host.IpcMode.IsNone():
	case host.IpcMode.IsHost():
		all = append(all, bind("/dev/shm", "/dev/shm"))
	case host.IpcMode.IsContainer() && facts.ShmPath != "":
		all = append(all, bind(facts.ShmPath, "/dev/shm"))
	default:
		size := host.ShmSize
		if size == 0 {
			size = defaultShmSize
		}
		all = append(all, specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
			Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(size, 10)}})
	}
	return all
}

func bind(source, target string) specs.Mount {
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"rbind", "rprivate"}}
}

// userMounts are the mounts asked for and the three files of the network, outer
// before inner. A file that the user mounts himself replaces ours.
func userMounts(host *api.HostConfig, facts Facts) (all []specs.Mount, rootPropagation string, err error) {
	for _, m := range facts.Mounts {
		converted, err := userMount(m)
		if err != nil {
			return nil, "", err
		}
		all = append(all, converted)
		if converted.Type == "bind" {
			rootPropagation = neededPropagation(rootPropagation, propagationOf(m))
		}
	}
	for target, options := range host.Tmpfs {
		m, err := tmpfs(path.Clean(target), strings.Split(options, ","))
		if err != nil {
			return nil, "", err
		}
		all = append(all, m)
	}
	for _, file := range [...]struct{ source, target string }{
		{facts.ResolvConfPath, "/etc/resolv.conf"}, {facts.HostnamePath, "/etc/hostname"}, {facts.HostsPath, "/etc/hosts"},
	} {
		taken := slices.ContainsFunc(all, func(m specs.Mount) bool { return m.Destination == file.target })
		if file.source == "" || taken {
			continue
		}
		m := bind(file.source, file.target)
		if host.ReadonlyRootfs {
			m.Options = append(m.Options, "ro")
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b specs.Mount) int {
		if n := strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/"); n != 0 {
			return n
		}
		return strings.Compare(a.Destination, b.Destination)
	})
	return all, rootPropagation, nil
}

func userMount(m mount.Mount) (specs.Mount, error) {
	if m.Type == mount.TypeTmpfs {
		options, err := tmpfsOptions(m)
		if err != nil {
			return specs.Mount{}, MountError(m, err)
		}
		return tmpfs(m.Target, options)
	}
	options := []string{"rbind"}
	o := m.BindOptions
	if o != nil && o.NonRecursive {
		options = []string{"bind"}
	}
	if m.ReadOnly {
		// ro would leave what is mounted below the source writable; rro (Linux 5.12) does not.
		if o != nil && o.ReadOnlyNonRecursive {
			options = append(options, "ro")
		} else {
			options = append(options, "rro")
		}
	}
	options = append(options, string(propagationOf(m)))
	return specs.Mount{Destination: m.Target, Type: "bind", Source: m.Source, Options: options}, nil
}

func propagationOf(m mount.Mount) mount.Propagation {
	if m.BindOptions == nil || m.BindOptions.Propagation == "" {
		return mount.PropagationRPrivate
	}
	return m.BindOptions.Propagation
}

// neededPropagation is that of the root: a mount passes nothing on, nor receives,
// below a private one.
func neededPropagation(root string, of mount.Propagation) string {
	switch of {
	case mount.PropagationShared, mount.PropagationRShared:
		return "shared"
	case mount.PropagationSlave, mount.PropagationRSlave:
		if root != "shared" {
			return "rslave"
		}
	}
	return root
}
