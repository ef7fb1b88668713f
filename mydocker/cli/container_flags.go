package cli

import (
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/urfave/cli/v2"
)

// containerOptions are the flags that run and create share, as given.
type containerOptions struct {
	name, cidfile string

	attach                     []string
	interactive, tty, remove   bool
	env, envFiles              []string
	labels, labelFiles         []string
	hostname, user, workdir    string
	entrypoint                 *string // nil: not given; "": reset that of the image
	groups                     []string
	volumes                    []string
	mounts                     []mount.Mount
	tmpfs                      []string
	readOnly, privileged       bool
	shmSize                    int64
	stopSignal                 string
	stopTimeout                *int
	memory, swap               int64
	cpus, cpuShares, pidsLimit int64
	cpuset                     string
	capAdd, capDrop, security  []string
	ulimits                    map[string]*units.Ulimit
	sysctls                    map[string]string
	network                    string
}

func (o *containerOptions) flags() []cli.Flag {
	net := func(v string) error { return o.setNetwork(v) }
	flags := []cli.Flag{
		parsed("list", "a", "attach", "Attach to STDIN, STDOUT or STDERR", o.setAttach),
		list(&o.capAdd, "", "cap-add", "Add Linux capabilities"),
		list(&o.capDrop, "", "cap-drop", "Drop Linux capabilities"),
		text(&o.cidfile, "", "cidfile", "Write the container ID to the file"),
		integer(&o.cpuShares, "c", "cpu-shares", "CPU shares (relative weight)"),
		parsed("decimal", "", "cpus", "Number of CPUs", o.setCPUs),
		text(&o.cpuset, "", "cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
		parsed("string", "", "entrypoint", "Overwrite the default ENTRYPOINT of the image", func(v string) error {
			o.entrypoint = &v
			return nil
		}),
		environment(&o.env),
		list(&o.envFiles, "", "env-file", "Read in a file of environment variables"),
		list(&o.groups, "", "group-add", "Add additional groups to join"),
		text(&o.hostname, "h", "hostname", "Container host name"),
		boolean(&o.interactive, "i", "interactive", "Keep STDIN open even if not attached"),
		parsed("list", "l", "label", "Set meta data on a container", o.addLabel),
		list(&o.labelFiles, "", "label-file", "Read in a line delimited file of labels"),
		byteSize(&o.memory, "m", "memory", "Memory limit"),
		parsed("bytes", "", "memory-swap", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", o.setSwap),
		parsed("mount", "", "mount", "Attach a filesystem mount to the container", o.addMount),
		text(&o.name, "", "name", "Assign a name to the container"),
		parsed("network", "", "net", "", net).hide(),
		parsed("network", "", "network", "Connect a container to a network: none (default) or host", net),
		integer(&o.pidsLimit, "", "pids-limit", "Tune container pids limit (set -1 for unlimited)"),
		boolean(&o.privileged, "", "privileged", "Give extended privileges to this container"),
		boolean(&o.readOnly, "", "read-only", "Mount the container's root filesystem as read only"),
		boolean(&o.remove, "", "rm", "Automatically remove the container when it exits"),
		list(&o.security, "", "security-opt", "Security options: no-new-privileges, seccomp=FILE|unconfined"),
		byteSize(&o.shmSize, "", "shm-size", "Size of /dev/shm"),
		text(&o.stopSignal, "", "stop-signal", "Signal to stop the container"),
		parsed("int", "", "stop-timeout", "Timeout (in seconds) to stop a container", func(v string) error {
			n, err := strconv.ParseInt(v, 0, 0)
			seconds := int(n)
			o.stopTimeout = &seconds
			return err
		}),
		parsed("map", "", "sysctl", "Sysctl options", o.addSysctl),
		list(&o.tmpfs, "", "tmpfs", "Mount a tmpfs directory"),
		boolean(&o.tty, "t", "tty", "Allocate a pseudo-TTY"),
		parsed("ulimit", "", "ulimit", "Ulimit options", o.addUlimit),
		text(&o.user, "u", "user", "Username or UID (format: <name|uid>[:<group|gid>])"),
		list(&o.volumes, "v", "volume", "Bind mount a directory or file of the host"),
		text(&o.workdir, "w", "workdir", "Working directory inside the container"),
	}
	for _, name := range strings.Fields(unsupportedContainerFlags) {
		flags = append(flags, unsupported("", name))
	}
	return append(flags, unsupported("p", "publish"), unsupported("P", "publish-all"), unsupported("q", "quiet"))
}

// unsupportedContainerFlags are Docker's further flags of run and create.
const unsupportedContainerFlags = `add-host annotation blkio-weight blkio-weight-device cgroup-parent cgroupns
cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpuset-mems device device-cgroup-rule
device-read-bps device-read-iops device-write-bps device-write-iops disable-content-trust dns dns-opt dns-option
dns-search domainname expose gpus health-cmd health-interval health-retries health-start-interval
health-start-period health-timeout init io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory link
link-local-ip log-driver log-opt mac-address memory-reservation memory-swappiness net-alias network-alias
no-healthcheck oom-kill-disable oom-score-adj pid platform pull restart runtime storage-opt use-api-socket userns
uts volume-driver volumes-from`

// environment is -e: a variable without a value has that of the client's
// environment, and is left out if it has none there.
func environment(to *[]string) *option {
	return parsed("list", "e", "env", "Set environment variables", func(v string) error {
		key, _, assigned := strings.Cut(v, "=")
		if key == "" {
			return fmt.Errorf("invalid environment variable: %s", v)
		}
		if value, ok := os.LookupEnv(key); ok && !assigned {
			v = key + "=" + value
		}
		*to = append(*to, v)
		return nil
	})
}

// byteSize is a size such as 64m, in powers of 1024.
func byteSize(to *int64, letter, name, usage string) *option {
	return parsed("bytes", letter, name, usage, func(v string) (err error) {
		*to, err = units.RAMInBytes(v)
		return err
	})
}

func (o *containerOptions) setSwap(v string) (err error) {
	if v == "-1" {
		o.swap = -1
		return nil
	}
	o.swap, err = units.RAMInBytes(v)
	return err
}

// setCPUs computes with rationals: 0.1 is not a binary fraction.
func (o *containerOptions) setCPUs(v string) error {
	cpus, ok := new(big.Rat).SetString(v)
	if !ok {
		return fmt.Errorf("failed to parse %s as a rational number", v)
	}
	nano := cpus.Mul(cpus, big.NewRat(1e9, 1))
	if !nano.IsInt() {
		return errors.New("value is too precise")
	}
	o.cpus = nano.Num().Int64()
	return nil
}

func (o *containerOptions) setAttach(v string) error {
	stream := strings.ToLower(v)
	if !slices.Contains([]string{"stdin", "stdout", "stderr"}, stream) {
		return errors.New("valid streams are STDIN, STDOUT and STDERR")
	}
	o.attach = append(o.attach, stream)
	return nil
}

func (o *containerOptions) setNetwork(v string) error {
	if v != "none" && v != "host" {
		return fmt.Errorf("this version of %s has the networks none and host only", name)
	}
	o.network = v
	return nil
}

func (o *containerOptions) addLabel(v string) error {
	key, _, _ := strings.Cut(v, "=")
	switch key = strings.TrimLeft(key, " \t"); {
	case key == "":
		return fmt.Errorf("invalid label '%s': empty name", v)
	case strings.ContainsAny(key, " \t"):
		return fmt.Errorf("label '%s' contains whitespaces", key)
	}
	o.labels = append(o.labels, v)
	return nil
}

func (o *containerOptions) addUlimit(v string) error {
	u, err := units.ParseUlimit(v)
	if err != nil {
		return err
	}
	if o.ulimits == nil {
		o.ulimits = map[string]*units.Ulimit{}
	}
	o.ulimits[u.Name] = u
	return nil
}

// addSysctl takes only what belongs to a namespace of the container's; the rest
// would change the host.
func (o *containerOptions) addSysctl(v string) error {
	key, value, _ := strings.Cut(v, "=")
	const ipc = " kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced "
	if !strings.Contains(ipc, " "+key+" ") && !strings.HasPrefix(key, "net.") && !strings.HasPrefix(key, "fs.mqueue.") {
		return fmt.Errorf("sysctl '%s' is not allowed", v)
	}
	if o.sysctls == nil {
		o.sysctls = map[string]string{}
	}
	o.sysctls[key] = value
	return nil
}

// ulimitList is in the order of names, so that the same flags give the same record.
func (o *containerOptions) ulimitList() (all []*api.Ulimit) {
	for _, u := range o.ulimits {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *api.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	return all
}
