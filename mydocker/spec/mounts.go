package spec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/volume"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Mounts lists what the user and the image want mounted, in Docker's types and
// in the order asked for: HostConfig.Binds, HostConfig.Mounts, and for the
// image's volumes that nothing else covers a volume without a name.
//
// A bind mount out of Binds has BindOptions.CreateMountpoint. The caller resolves
// each Source to an absolute path of the host and gives the list to Build.
func Mounts(config *api.Config, host *api.HostConfig) ([]mount.Mount, error) {
	var all []mount.Mount
	for _, raw := range host.Binds {
		m, err := parseBind(raw)
		if err != nil {
			return nil, fmt.Errorf("invalid volume specification: '%s': %w", raw, err)
		}
		all = append(all, m)
	}
	for _, m := range host.Mounts {
		if err := checkMount(m); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	taken := map[string]bool{}
	for target, options := range host.Tmpfs {
		if problem := cmp.Or(targetProblem(target), optionProblem(splitOptions(options))); problem != "" {
			return nil, errors.New(problem)
		}
		taken[path.Clean(target)] = true
	}
	for i := range all {
		target := path.Clean(all[i].Target)
		if taken[target] {
			return nil, fmt.Errorf("Duplicate mount point: %s", target)
		}
		all[i].Target, taken[target] = target, true
	}
	for _, target := range slices.Sorted(maps.Keys(config.Volumes)) {
		m := mount.Mount{Type: mount.TypeVolume, Target: target}
		if err := checkMount(m); err != nil {
			return nil, err
		}
		if target = path.Clean(target); !taken[target] {
			taken[target] = true
			m.Target = target
			all = append(all, m)
		}
	}
	return all, nil
}

// parseBind reads the argument of -v, "SOURCE:TARGET[:MODE]" or "TARGET". A
// SOURCE that is not an absolute path is the name of a volume.
func parseBind(raw string) (mount.Mount, error) {
	parts := strings.Split(raw, ":")
	m := mount.Mount{Type: mount.TypeVolume, Target: parts[0]}
	if len(parts) > 1 {
		m.Source, m.Target = parts[0], parts[1]
	}
	if len(parts) > 3 || parts[0] == "" {
		return m, errors.New("not SOURCE:TARGET[:MODE]")
	}
	if path.IsAbs(m.Source) {
		m.Type, m.Source = mount.TypeBind, path.Clean(m.Source)
		m.BindOptions = &mount.BindOptions{CreateMountpoint: true}
	}
	if len(parts) == 3 {
		if err := addMode(&m, parts[2]); err != nil {
			return m, err
		}
	}
	return m, checkMount(m)
}

// addMode applies a mode list, such as "ro,rslave"; each kind of word may stand
// in it once.
func addMode(m *mount.Mount, list string) error {
	seen := map[string]bool{}
	for word := range strings.SplitSeq(list, ",") {
		kind := word
		switch p := mount.Propagation(word); {
		case word == "ro" || word == "rw":
			kind, m.ReadOnly = "access", word == "ro"
		case slices.Contains(mount.Propagations, p) && m.BindOptions != nil:
			kind, m.BindOptions.Propagation = "propagation", p
		case word == "nocopy":
			m.VolumeOptions = &mount.VolumeOptions{NoCopy: true}
		case slices.Contains([]string{"z", "Z", "consistent", "cached", "delegated"}, word):
			kind = "without meaning here"
		default:
			kind = ""
		}
		if kind == "" || seen[kind] {
			return fmt.Errorf("invalid mode: %s", list)
		}
		seen[kind] = true
	}
	return nil
}

// mountError is an error about a mount in Docker's words.
func mountError(m mount.Mount, problem string) error {
	return fmt.Errorf("invalid mount config for type %q: %s", m.Type, problem)
}

// checkMount checks what can be checked without the host.
func checkMount(m mount.Mount) error {
	problem := targetProblem(m.Target)
	isBind, subpath := m.Type == mount.TypeBind, volume.Options(m).Subpath
	switch {
	case problem != "":
	case isBind && m.Source == "":
		problem = "field Source must not be empty"
	case isBind && !path.IsAbs(m.Source):
		problem = fmt.Sprintf("invalid mount path: '%s' mount path must be absolute", m.Source)
	case isBind && m.BindOptions != nil && m.BindOptions.Propagation != "" && !slices.Contains(mount.Propagations, m.BindOptions.Propagation):
		problem = fmt.Sprintf("invalid propagation mode: %s", m.BindOptions.Propagation)
	case isBind && m.VolumeOptions != nil:
		problem = "field VolumeOptions must not be specified"
	case m.Type == mount.TypeVolume && m.ReadOnly && m.Source == "":
		problem = "must not set ReadOnly mode when using anonymous volumes"
	case m.Type == mount.TypeVolume && subpath != "" && m.Source == "":
		problem = "must not set Subpath when using anonymous volumes"
	case m.Type == mount.TypeVolume && subpath != "" && !filepath.IsLocal(subpath):
		problem = "subpath must be a relative path within the volume"
	case isBind && m.VolumeOptions != nil:
		problem = "field VolumeOptions must not be specified"
	case m.Type == mount.TypeTmpfs && m.Source != "":
		problem = "field Source must not be specified"
	case !slices.Contains([]mount.Type{mount.TypeBind, mount.TypeVolume, mount.TypeTmpfs}, m.Type):
		problem = "mount type unknown"
	}
	if problem != "" {
		return mountError(m, problem)
	}
	return nil
}

// targetProblem says what is wrong with a place to mount something on, if anything.
func targetProblem(target string) string {
	switch {
	case target == "":
		return "field Target must not be empty"
	case path.Clean(target) == "/":
		return "invalid specification: destination can't be '/'"
	case !path.IsAbs(target):
		return fmt.Sprintf("invalid mount path: '%s' mount path must be absolute", target)
	}
	return ""
}

// optionProblem finds an option that a tmpfs may not have (mount(8), tmpfs(5)).
func optionProblem(options []string) string {
	const known = `defaults ro rw suid nosuid dev nodev exec noexec sync async dirsync mand nomand atime noatime diratime nodiratime
		relatime norelatime strictatime nostrictatime private rprivate shared rshared slave rslave unbindable runbindable
		size mode uid gid nr_inodes nr_blocks mpol`
	for _, option := range options {
		if words := strings.SplitN(option, "=", 2); !slices.Contains(strings.Fields(known), words[0]) {
			return fmt.Sprintf("invalid tmpfs option %q", words)
		}
	}
	return ""
}

func splitOptions(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// mounts are all of the container in the order they are made. One that is asked
// for replaces ours, and a /dev all of ours below it.
func mounts(host *api.HostConfig, facts Facts) []specs.Mount {
	asked := AskedMounts(host, facts)
	all := slices.DeleteFunc(defaultMounts(host, facts), func(m specs.Mount) bool {
		return mountsOn(asked, m.Destination) || strings.HasPrefix(m.Destination, "/dev/") && mountsOn(asked, "/dev")
	})
	return append(all, asked...)
}

func mountsOn(all []specs.Mount, target string) bool {
	return slices.ContainsFunc(all, func(m specs.Mount) bool { return m.Destination == target })
}

// defaultMounts are what every container has under /proc, /dev and /sys.
func defaultMounts(host *api.HostConfig, facts Facts) []specs.Mount {
	hardened := []string{"nosuid", "noexec", "nodev"}
	sys := append(hardened, "ro")
	if host.Privileged {
		sys = hardened
	}
	all := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: hardened},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: sys},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: sys},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: hardened},
	}
	switch {
	case host.IpcMode.IsNone():
		return all
	case host.IpcMode.IsHost():
		return append(all, bind("/dev/shm", "/dev/shm"))
	case host.IpcMode.IsContainer() && facts.ShmPath != "":
		return append(all, bind(facts.ShmPath, "/dev/shm"))
	}
	return append(all, specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
		Options: append(hardened, "mode=1777", fmt.Sprintf("size=%d", host.ShmSize))})
}

func bind(source, target string) specs.Mount {
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"rbind", "rprivate"}}
}

// tmpfs has Docker's options; the given ones follow, and so override them.
func tmpfs(target string, options []string) specs.Mount {
	options = append([]string{"noexec", "nosuid", "nodev", "rprivate"}, options...)
	return specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: options}
}

// AskedMounts are the mounts asked for and the three files of the network, outer
// before inner. A file that the user mounts himself replaces ours.
func AskedMounts(host *api.HostConfig, facts Facts) (all []specs.Mount) {
	for _, m := range facts.Mounts {
		all = append(all, askedMount(m))
	}
	for target, options := range host.Tmpfs {
		all = append(all, tmpfs(path.Clean(target), splitOptions(options)))
	}
	for _, file := range [...]struct{ source, target string }{
		{facts.ResolvConfPath, "/etc/resolv.conf"}, {facts.HostnamePath, "/etc/hostname"}, {facts.HostsPath, "/etc/hosts"},
	} {
		if file.source == "" || mountsOn(all, file.target) {
			continue
		}
		m := bind(file.source, file.target)
		if host.ReadonlyRootfs {
			m.Options = append(m.Options, "ro")
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b specs.Mount) int {
		return cmp.Or(strings.Count(a.Destination, "/")-strings.Count(b.Destination, "/"), strings.Compare(a.Destination, b.Destination))
	})
	return all
}

func askedMount(m mount.Mount) specs.Mount {
	var options []string
	if m.Type == mount.TypeTmpfs {
		if m.ReadOnly {
			options = append(options, "ro")
		}
		if t := m.TmpfsOptions; t != nil && t.Mode != 0 {
			options = append(options, fmt.Sprintf("mode=%o", t.Mode))
		}
		if t := m.TmpfsOptions; t != nil && t.SizeBytes != 0 {
			options = append(options, fmt.Sprintf("size=%d", t.SizeBytes))
		}
		return tmpfs(m.Target, options)
	}
	var o mount.BindOptions
	if m.BindOptions != nil {
		o = *m.BindOptions
	}
	converted := bind(m.Source, m.Target)
	if o.NonRecursive {
		converted.Options[0] = "bind"
	}
	if o.Propagation != "" {
		converted.Options[1] = string(o.Propagation)
	}
	// ro would leave what is mounted below the source writable; rro (Linux 5.12) does not.
	if m.ReadOnly && o.ReadOnlyNonRecursive {
		converted.Options = append(converted.Options, "ro")
	} else if m.ReadOnly {
		converted.Options = append(converted.Options, "rro")
	}
	return converted
}

// rootPropagation is what the root needs for the mounts: one passes nothing on,
// nor receives, below a private mount.
func rootPropagation(all []mount.Mount) (needed string) {
	for _, m := range all {
		switch {
		case m.BindOptions == nil:
		case strings.HasSuffix(string(m.BindOptions.Propagation), "shared"):
			return "shared"
		case strings.HasSuffix(string(m.BindOptions.Propagation), "slave"):
			needed = "rslave"
		}
	}
	return needed
}
