package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"
	"minidocker/mydocker/network"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
	"golang.org/x/sys/unix"
)

// Info tells about the engine and its host what `docker info` tells (Engine API,
// GET /info). What the host's kernel lacks is in Warnings.
func (e *Engine) Info() (system.Info, error) {
	images, err := e.images.List()
	host, err2 := cgroup.Host()
	containers, err3 := e.snapshot()
	if err := errors.Join(err, err2, err3); err != nil {
		return system.Info{}, err
	}
	node, release, machine := uname()
	forward, _ := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	info := system.Info{
		ID: engineID(e.config.Root), Name: node, ServerVersion: Version, SystemTime: time.Now().Format(time.RFC3339Nano),
		Containers: len(containers), Images: len(images), DockerRootDir: e.config.Root,
		Driver: "overlay2", DriverStatus: [][2]string{
			{"Backing Filesystem", fileSystem(e.config.Root)}, {"Using metacopy", "false"}, {"Native Overlay Diff", "true"}, {"userxattr", "false"},
		},
		LoggingDriver: "json-file", CgroupDriver: "cgroupfs", CgroupVersion: strconv.Itoa(host.Version),
		Plugins:         system.PluginsInfo{Volume: []string{"local"}, Network: []string{"bridge", "host", "null"}, Log: []string{"json-file"}},
		SecurityOptions: []string{"name=seccomp,profile=builtin", "name=cgroupns"},
		Swarm:           swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive}, Labels: []string{},
		OperatingSystem: osRelease("PRETTY_NAME", "Linux"), OSVersion: osRelease("VERSION_ID", ""), OSType: goruntime.GOOS,
		KernelVersion: release, Architecture: machine, NCPU: goruntime.NumCPU(), NGoroutines: goruntime.NumGoroutine(),
		MemTotal: int64(hostMemory()), IPv4Forwarding: string(forward) == "1\n",
	}
	if u, err := e.settleUsers(&api.HostConfig{}); err == nil && u.Mode == container.Private {
		info.SecurityOptions = slices.Insert(info.SecurityOptions, 1, "name=userns")
	}
	e.describeRegistries(&info)
	for _, pool := range e.config.AddressPools {
		info.DefaultAddressPools = append(info.DefaultAddressPools, system.NetworkAddressPool(pool))
	}
	for _, c := range containers {
		switch c.State.Status {
		case api.StateRunning:
			info.ContainersRunning++
		case api.StatePaused:
			info.ContainersPaused++
		default: // restarting, too, as Docker counts
			info.ContainersStopped++
		}
	}
	describeLimits(&info, host)
	if network.TurnedForwardingOn() {
		info.Warnings = append(info.Warnings, "WARNING: IPv4 forwarding was off and is on since a network was first used: this host passes packets on between its interfaces")
	}
	return info, nil
}

// describeRegistries tells how registries are reached.
func (e *Engine) describeRegistries(info *system.Info) {
	hub := &registry.IndexInfo{Name: "docker.io", Mirrors: append([]string{}, e.config.RegistryMirrors...), Secure: true, Official: true}
	c := &registry.ServiceConfig{Mirrors: hub.Mirrors, IndexConfigs: map[string]*registry.IndexInfo{hub.Name: hub}}
	for _, insecure := range append(slices.Clone(e.config.InsecureRegistries), "::1/128", "127.0.0.0/8") {
		if prefix, err := netip.ParsePrefix(insecure); err == nil {
			c.InsecureRegistryCIDRs = append(c.InsecureRegistryCIDRs, prefix)
		} else {
			c.IndexConfigs[insecure] = &registry.IndexInfo{Name: insecure, Mirrors: []string{}}
		}
	}
	info.RegistryConfig = c
}

// Version tells the versions, as `docker version` does (Engine API, GET /version).
// There is no API version while no API is served.
func (e *Engine) Version() (system.VersionResponse, error) {
	_, release, _ := uname()
	return system.VersionResponse{
		Platform: system.PlatformInfo{Name: "mydocker"}, Version: Version, GoVersion: goruntime.Version(),
		Os: goruntime.GOOS, Arch: goruntime.GOARCH, KernelVersion: release,
		Components: []system.ComponentVersion{{Name: "Engine", Version: Version, Details: map[string]string{
			"Arch": goruntime.GOARCH, "GoVersion": goruntime.Version(), "KernelVersion": release, "Os": goruntime.GOOS,
		}}},
	}, nil
}

// engineID is the same for as long as this machine has this root: a UUID (RFC 9562,
// version 8) made of both, since machine-id(5) is to be told to nobody.
func engineID(root string) string {
	machine, _ := os.ReadFile("/etc/machine-id")
	b := sha256.Sum256(append(machine, root...))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func uname() (node, release, machine string) {
	var names unix.Utsname
	unix.Uname(&names)
	return unix.ByteSliceToString(names.Nodename[:]), unix.ByteSliceToString(names.Release[:]), unix.ByteSliceToString(names.Machine[:])
}

// osRelease is what the distribution says of itself, os-release(5).
func osRelease(key, otherwise string) string {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		text, _ = os.ReadFile("/usr/lib/os-release")
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return strings.Trim(value, "\"'\n")
		}
	}
	return otherwise
}

// describeLimits tells which limits this host's cgroups can enforce, and warns of
// the others in Docker's words.
func describeLimits(info *system.Info, host *cgroup.Hierarchies) {
	controllers := host.Controllers()
	has := func(name string) bool { return slices.Contains(controllers, name) }
	info.MemoryLimit, info.CPUShares, info.CPUSet, info.PidsLimit = has("memory"), has("cpu"), has("cpuset"), has("pids")
	info.SwapLimit = info.MemoryLimit && host.LimitsSwap()
	info.OomKillDisable = info.MemoryLimit && host.Version == 1
	// A kernel without CONFIG_CFS_BANDWIDTH has the controller cpu, but no quotas.
	quota, _ := filepath.Glob("/sys/fs/cgroup/cpu*/cpu.cfs_quota_us")
	info.CPUCfsQuota = info.CPUShares && (host.Version == 2 || len(quota) > 0)
	info.CPUCfsPeriod = info.CPUCfsQuota
	for _, limit := range []struct {
		name string
		has  bool
	}{
		{"memory limit", info.MemoryLimit}, {"swap limit", info.SwapLimit || !info.MemoryLimit},
		{"cpu cfs quota", info.CPUCfsQuota}, {"cpu cfs period", info.CPUCfsPeriod}, {"cpu shares", info.CPUShares},
		{"cpuset", info.CPUSet}, {"pids limit", info.PidsLimit},
	} {
		if !limit.has {
			info.Warnings = append(info.Warnings, "WARNING: No "+limit.name+" support")
		}
	}
}
