package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/api/types/system"
	"golang.org/x/sys/unix"
)

// Info tells about the engine and its host what `docker info` tells (Engine API,
// GET /info). What a host without the feature lacks is in Warnings.
func (e *Engine) Info() (system.Info, error) {
	id, err := e.id()
	if err != nil {
		return system.Info{}, err
	}
	images, err := e.images.List()
	if err != nil {
		return system.Info{}, err
	}
	host, err := cgroup.Host()
	if err != nil {
		return system.Info{}, err
	}
	info := system.Info{
		ID: id, ServerVersion: Version, Driver: "overlay2", DriverStatus: storageStatus(e.config.Root), DockerRootDir: e.config.Root,
		Images: len(images), LoggingDriver: "json-file", CgroupDriver: "cgroupfs", CgroupVersion: strconv.Itoa(host.Version),
		Plugins:         system.PluginsInfo{Volume: []string{}, Network: []string{"host", "null"}, Log: []string{"json-file"}},
		SecurityOptions: []string{"name=seccomp,profile=builtin", "name=cgroupns"},
		Swarm:           swarm.Info{LocalNodeState: swarm.LocalNodeStateInactive},
		Labels:          []string{}, OSType: goruntime.GOOS, NCPU: goruntime.NumCPU(), NGoroutines: goruntime.NumGoroutine(),
		SystemTime: time.Now().Format(time.RFC3339Nano), IPv4Forwarding: firstLine("/proc/sys/net/ipv4/ip_forward") == "1",
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		info.NFd = len(fds)
	}
	if err := e.countContainers(&info); err != nil {
		return system.Info{}, err
	}
	describeHost(&info)
	describeLimits(&info, host)
	return info, nil
}

// Version tells the versions, as `docker version` does (Engine API, GET /version).
// There is no API version while no API is served.
func (e *Engine) Version() (system.VersionResponse, error) {
	var host system.Info
	describeHost(&host)
	v := system.VersionResponse{
		Platform: system.PlatformInfo{Name: "mydocker"}, Version: Version, GoVersion: goruntime.Version(),
		Os: goruntime.GOOS, Arch: goruntime.GOARCH, KernelVersion: host.KernelVersion,
	}
	v.Components = []system.ComponentVersion{{Name: "Engine", Version: Version, Details: map[string]string{
		"Arch": v.Arch, "GoVersion": v.GoVersion, "KernelVersion": v.KernelVersion, "Os": v.Os,
	}}}
	return v, nil
}

// id names the engine's root for good: a random UUID (RFC 9562, version 4),
// written when it is first asked for.
func (e *Engine) id() (string, error) {
	path := filepath.Join(e.config.Root, "engine-id")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		lock, err := e.lockStore(disk.Exclusive) // so that two who come first agree
		if err != nil {
			return "", err
		}
		defer lock.Release()
		if data, err = os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(data)), nil
		}
		var b [16]byte
		rand.Read(b[:]) // never fails (crypto/rand)
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		id := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		return id, disk.WriteFile(path, []byte(id+"\n"), 0o600, disk.Durable)
	}
	return strings.TrimSpace(string(data)), err
}

func (e *Engine) countContainers(info *system.Info) error {
	all, err := e.snapshot()
	if err != nil {
		return err
	}
	info.Containers = len(all)
	for _, c := range all {
		switch c.State.Status {
		case api.StateRunning, api.StateRestarting:
			info.ContainersRunning++
		case api.StatePaused:
			info.ContainersPaused++
		default:
			info.ContainersStopped++
		}
	}
	return nil
}

// describeHost fills in what uname(2), sysinfo(2) and os-release(5) tell.
func describeHost(info *system.Info) {
	var names unix.Utsname
	if unix.Uname(&names) == nil {
		info.Name = unix.ByteSliceToString(names.Nodename[:])
		info.KernelVersion = unix.ByteSliceToString(names.Release[:])
		info.Architecture = unix.ByteSliceToString(names.Machine[:])
	}
	var memory unix.Sysinfo_t
	if unix.Sysinfo(&memory) == nil {
		info.MemTotal = int64(uint64(memory.Totalram) * uint64(memory.Unit))
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		release, _ = os.ReadFile("/usr/lib/os-release")
	}
	info.OperatingSystem, info.OSVersion = osRelease(string(release))
}

// osRelease reads the name and version of the distribution; without a name it is Linux.
func osRelease(text string) (name, version string) {
	name = "Linux"
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		switch key {
		case "PRETTY_NAME":
			name = strings.Trim(value, "'")
		case "VERSION_ID":
			version = strings.Trim(value, "'")
		}
	}
	return name, version
}

// describeLimits tells which limits this host's cgroups can enforce, and warns of
// the others in Docker's words.
func describeLimits(info *system.Info, host *cgroup.Hierarchies) {
	controllers := host.Controllers()
	has := func(name string) bool { return slices.Contains(controllers, name) }
	info.MemoryLimit, info.CPUShares, info.CPUSet, info.PidsLimit = has("memory"), has("cpu"), has("cpuset"), has("pids")
	info.SwapLimit = info.MemoryLimit && host.LimitsSwap()
	info.OomKillDisable = info.MemoryLimit && host.Version == 1
	info.CPUCfsPeriod = info.CPUShares && hasCFSQuota(host)
	info.CPUCfsQuota = info.CPUCfsPeriod
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

// hasCFSQuota: a kernel without CONFIG_CFS_BANDWIDTH has the controller cpu, but no quotas.
func hasCFSQuota(host *cgroup.Hierarchies) bool {
	if host.Version == 2 {
		return true // cpu.max is there from the first group below the root
	}
	group, err := host.Open("/any")
	if err != nil {
		return false
	}
	for controllers, dir := range group.Paths() {
		if slices.Contains(strings.Split(controllers, ","), "cpu") {
			_, err := os.Stat(filepath.Join(filepath.Dir(dir), "cpu.cfs_quota_us"))
			return err == nil
		}
	}
	return false
}

// storageStatus are the lines Docker's overlay2 driver shows.
func storageStatus(root string) [][2]string {
	types, err := hasTypes(root)
	return [][2]string{
		{"Backing Filesystem", fileSystem(root)},
		{"Supports d_type", strconv.FormatBool(types && err == nil)},
		{"Using metacopy", "false"}, // see overlay.Mount
		{"Native Overlay Diff", "true"},
		{"userxattr", "false"},
	}
}

// firstLine is a file's first line, "" if it cannot be read.
func firstLine(path string) string {
	data, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}
