package cli

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/urfave/cli/v2"
)

// containerOptions are what the flags of run and create fill in. What they mean
// package spec checks.
type containerOptions struct {
	config   api.Config
	host     api.HostConfig
	name     string
	attached bool // -a was given
	envFiles []string

	restart, pull        string
	swappiness           int64
	health               api.HealthConfig
	healthCommand        string
	noHealthcheck, quiet bool
	labelFiles           []string
	platform             string

	networks           []attachment // --network, in the order given
	first              attachment   // what other flags wish of the first of them
	published, exposed []string
	endpoints          map[string]*network.EndpointSettings // by network
}

// unsupportedContainerFlags are Docker's further flags of run and create.
const unsupportedContainerFlags = `cpu-count cpu-percent cpu-rt-period cpu-rt-runtime gpus io-maxbandwidth io-maxiops
isolation kernel-memory link-local-ip runtime storage-opt use-api-socket`

func (o *containerOptions) flags(more ...*option) []cli.Flag {
	c, h := &o.config, &o.host
	return flags(unsupportedContainerFlags, append(slices.Concat(more, o.resourceFlags(), o.policyFlags(), o.hostFlags(), o.networkFlags()),
		parsed("list", "a,attach", "Attach to STDIN, STDOUT or STDERR", o.attach),
		parsed("list", "cap-add", "Add Linux capabilities", capability(&h.CapAdd)),
		parsed("list", "cap-drop", "Drop Linux capabilities", capability(&h.CapDrop)),
		text(&h.ContainerIDFile, "cidfile", "Write the container ID to the file"),
		parsed("string", "entrypoint", "Overwrite the default ENTRYPOINT of the image", func(v string) error {
			c.Entrypoint = []string{v} // "": none, not even the image's
			return nil
		}),
		environment(&c.Env),
		list(&o.envFiles, "env-file", "Read in a file of environment variables"),
		list(&h.GroupAdd, "group-add", "Add additional groups to join"),
		text(&c.Hostname, "h,hostname", "Container host name"),
		boolean(&c.OpenStdin, "i,interactive", "Keep STDIN open even if not attached"),
		pairs(&c.Labels, "=", "l,label", "Set meta data on a container"),
		parsed("mount", "mount", "Attach a filesystem mount to the container", o.addMount),
		text(&o.name, "name", "Assign a name to the container"),
		boolean(&h.Privileged, "privileged", "Give extended privileges to this container"),
		boolean(&h.ReadonlyRootfs, "read-only", "Mount the container's root filesystem as read only"),
		boolean(&h.AutoRemove, "rm", "Automatically remove the container when it exits"),
		list(&h.SecurityOpt, "security-opt", "Security options: no-new-privileges, seccomp=FILE|unconfined"),
		byteSize(&h.ShmSize, "shm-size", "Size of /dev/shm"),
		text(&c.StopSignal, "stop-signal", "Signal to stop the container"),
		optional(&c.StopTimeout, integer[int], "stop-timeout", "Timeout (in seconds) to stop a container"),
		pairs(&h.Sysctls, "=", "sysctl", "Sysctl options"),
		pairs(&h.Tmpfs, ":", "tmpfs", "Mount a tmpfs directory"),
		boolean(&c.Tty, "t,tty", "Allocate a pseudo-TTY"),
		parsed("ulimit", "ulimit", "Ulimit options", o.addUlimit),
		text(&c.User, "u,user", "Username or UID (format: <name|uid>[:<group|gid>])"),
		parsed("list", "v,volume", "Mount a volume, or a directory or file of the host", o.addVolume),
		text(&h.VolumeDriver, "volume-driver", "Optional volume driver for the container"),
		text(&c.WorkingDir, "w,workdir", "Working directory inside the container"),
	)...)
}

// resourceFlags are the limits, which update can change later.
func (o *containerOptions) resourceFlags() []*option {
	h := &o.host
	return []*option{
		value(&h.BlkioWeight, "uint16", "blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)", func(v string) (uint16, error) {
			n, err := strconv.ParseUint(v, 0, 16)
			return uint16(n), err
		}),
		integer(&h.CPUPeriod, "cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period, in microseconds"),
		integer(&h.CPUQuota, "cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota, in microseconds"),
		integer(&h.CPUShares, "c,cpu-shares", "CPU shares (relative weight)"),
		parsed("decimal", "cpus", "Number of CPUs", o.setCPUs),
		text(&h.CpusetCpus, "cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
		text(&h.CpusetMems, "cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
		byteSize(&h.Memory, "m,memory", "Memory limit"),
		byteSize(&h.MemoryReservation, "memory-reservation", "Memory soft limit"),
		value(&h.MemorySwap, "bytes", "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", func(v string) (int64, error) {
			if v == "-1" {
				return -1, nil
			}
			return units.RAMInBytes(v)
		}),
		optional(&h.PidsLimit, integer[int64], "pids-limit", "Tune container pids limit (set -1 for unlimited)"),
	}
}

// capability brings names such as net_admin to CAP_NET_ADMIN.
func capability(to *[]string) func(string) error {
	return func(v string) error {
		if v = strings.ToUpper(v); v != "ALL" {
			v = "CAP_" + strings.TrimPrefix(v, "CAP_")
		}
		*to = append(*to, v)
		return nil
	}
}

// setCPUs computes with rationals: 0.1 is not a binary fraction.
func (o *containerOptions) setCPUs(v string) error {
	cpus, ok := new(big.Rat).SetString(v)
	if !ok {
		return fmt.Errorf("failed to parse %s as a rational number", v)
	}
	if cpus.Mul(cpus, big.NewRat(1e9, 1)); !cpus.IsInt() {
		return errors.New("value is too precise")
	}
	o.host.NanoCPUs = cpus.Num().Int64()
	return nil
}

func (o *containerOptions) attach(stream string) error {
	c := &o.config
	to := map[string]*bool{"stdin": &c.AttachStdin, "stdout": &c.AttachStdout, "stderr": &c.AttachStderr}[strings.ToLower(stream)]
	if to == nil {
		return errors.New("valid streams are STDIN, STDOUT and STDERR")
	}
	*to, o.attached = true, true
	return nil
}

func (o *containerOptions) addUlimit(v string) error {
	u, err := units.ParseUlimit(v)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(o.host.Ulimits, func(other *api.Ulimit) bool { return other.Name == u.Name })
	o.host.Ulimits = append(others, u)
	return nil
}

func (o *containerOptions) addVolume(v string) (err error) {
	if v == "" {
		return exit(125, "invalid empty volume spec")
	}
	source, rest, ok := strings.Cut(v, ":")
	if source, err = absolute(source); ok {
		source += ":" + rest
	} else if err == nil { // a volume without a name
		if filepath.Clean(source) == "/" {
			return exit(125, "invalid volume: path can't be '/'")
		}
		if o.config.Volumes == nil {
			o.config.Volumes = map[string]struct{}{}
		}
		o.config.Volumes[source] = struct{}{}
		return nil
	}
	if strings.HasPrefix(v, ":") || strings.HasSuffix(v, ":") || strings.Contains(v, "::") {
		return exit(125, "invalid spec: %s: empty section between colons", v)
	}
	if strings.Count(v, ":") > 2 {
		return exit(125, "invalid spec: %s: too many colons", v)
	}
	if !slices.Contains(o.host.Binds, source) {
		o.host.Binds = append(o.host.Binds, source)
	}
	return err
}

// absolute resolves ./x and ../x against the client's directory, which the engine
// cannot know, and leaves all else as it is.
func absolute(path string) (string, error) {
	if !strings.HasPrefix(path, ".") {
		return path, nil
	}
	return filepath.Abs(path)
}

// addMount is --mount type=bind,src=/a,dst=/b,...: a line of CSV, so that a value
// may be quoted.
func (o *containerOptions) addMount(v string) error {
	fields, err := csv.NewReader(strings.NewReader(v)).Read()
	if err != nil {
		return err
	}
	m := mount.Mount{Type: mount.TypeVolume}
	for _, field := range fields {
		if err := setMount(&m, field); err != nil {
			return err
		}
	}
	switch {
	case m.Target == "":
		return errors.New("target is required")
	case m.Type != mount.TypeBind && m.BindOptions != nil:
		return fmt.Errorf("cannot mix 'bind-*' options with mount type '%s'", m.Type)
	case m.Type != mount.TypeVolume && m.VolumeOptions != nil:
		return fmt.Errorf("cannot mix 'volume-*' options with mount type '%s'", m.Type)
	case m.Type != mount.TypeTmpfs && m.TmpfsOptions != nil:
		return fmt.Errorf("cannot mix 'tmpfs-*' options with mount type '%s'", m.Type)
	}
	o.host.Mounts = append(o.host.Mounts, m)
	return nil
}

func setMount(m *mount.Mount, field string) (err error) {
	key, value, assigned := strings.Cut(field, "=")
	switch key = strings.ToLower(key); {
	case !assigned && strings.Contains(" readonly ro bind-create-src bind-nonrecursive volume-nocopy ", " "+key+" "):
		value = "true"
	case !assigned:
		return fmt.Errorf("invalid field '%s' must be a key=value pair", field)
	}
	if strings.HasPrefix(key, "bind-") {
		m.BindOptions = cmp.Or(m.BindOptions, &mount.BindOptions{})
	}
	if strings.HasPrefix(key, "tmpfs-") {
		m.TmpfsOptions = cmp.Or(m.TmpfsOptions, &mount.TmpfsOptions{})
	}
	if strings.HasPrefix(key, "volume-") {
		m.VolumeOptions = cmp.Or(m.VolumeOptions, &mount.VolumeOptions{})
		if key == "volume-driver" || key == "volume-opt" {
			m.VolumeOptions.DriverConfig = cmp.Or(m.VolumeOptions.DriverConfig, &mount.Driver{})
		}
	}
	switch key {
	case "type":
		m.Type = mount.Type(strings.ToLower(value))
	case "source", "src":
		m.Source, err = absolute(value)
	case "target", "dst", "destination":
		m.Target = value
	case "consistency": // of Docker Desktop's shared directories: without meaning here
		m.Consistency = mount.Consistency(strings.ToLower(value))
	case "readonly", "ro":
		m.ReadOnly, err = strconv.ParseBool(value)
	case "bind-propagation":
		m.BindOptions.Propagation = mount.Propagation(value)
	case "bind-create-src":
		m.BindOptions.CreateMountpoint, err = strconv.ParseBool(value)
	case "bind-nonrecursive":
		m.BindOptions.NonRecursive, err = strconv.ParseBool(value)
	case "bind-recursive":
		b := m.BindOptions
		b.NonRecursive, b.ReadOnlyNonRecursive, b.ReadOnlyForceRecursive = value == "disabled", value == "writable", value == "readonly"
		if !strings.Contains(" enabled disabled writable readonly ", " "+value+" ") {
			return fmt.Errorf(`invalid value for bind-recursive: %s (must be "enabled", "disabled", "writable", or "readonly")`, value)
		}
	case "tmpfs-size":
		m.TmpfsOptions.SizeBytes, err = units.RAMInBytes(value)
	case "tmpfs-mode":
		var mode uint64
		mode, err = strconv.ParseUint(value, 8, 32)
		m.TmpfsOptions.Mode = os.FileMode(mode)
	case "volume-nocopy":
		m.VolumeOptions.NoCopy, err = strconv.ParseBool(value)
	case "volume-subpath":
		m.VolumeOptions.Subpath = value
	case "volume-driver":
		m.VolumeOptions.DriverConfig.Name = value
	case "volume-label":
		setPair(&m.VolumeOptions.Labels, value)
	case "volume-opt":
		setPair(&m.VolumeOptions.DriverConfig.Options, value)
	default:
		return fmt.Errorf("unexpected key '%s' in '%s'", key, field)
	}
	if err != nil {
		return fmt.Errorf("invalid value for %s: %s", key, value)
	}
	return nil
}

// setPair sets KEY=VALUE in a map that may not exist yet.
func setPair(m *map[string]string, pair string) {
	if *m == nil {
		*m = map[string]string{}
	}
	key, value, _ := strings.Cut(pair, "=")
	(*m)[key] = value
}
