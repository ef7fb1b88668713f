package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"minidocker/mydocker/cgroup"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// doctorPrefix begins the names of what doctor makes; the pid follows.
const doctorPrefix = "doctor-"

func (d *doctor) cgroups() {
	host, err := cgroup.Host()
	if err != nil {
		d.add(Finding{Name: "cgroups", Fatal: true, Detail: err.Error(), Fix: "mount -t cgroup2 none /sys/fs/cgroup"})
		return
	}
	d.try("cgroups", true, func() (string, error) { return d.probeCgroup(host) }, func(err error) string {
		if errors.Is(err, unix.EROFS) {
			return "mount -o remount,rw /sys/fs/cgroup"
		}
		return d.explain(err)
	})
	d.controllers(host)
	if slices.Contains(host.Controllers(), "memory") {
		limits := Finding{Name: "swap limit", OK: host.LimitsSwap(), Detail: "--memory-swap works"}
		if !limits.OK {
			limits.Detail = "swap is not counted: -m limits memory alone"
			limits.Fix = "boot with the kernel parameter swapaccount=1"
		}
		d.add(limits)
	}
}

func (d *doctor) controllers(host *cgroup.Hierarchies) {
	has := host.Controllers()
	io := "io"
	if host.Version == 1 {
		io = "blkio"
	}
	for _, need := range []struct{ name, without string }{
		{"memory", "-m is refused"},
		{"cpu", "--cpus and --cpu-shares are refused"},
		{"cpuset", "--cpuset-cpus is refused"},
		{"pids", "--pids-limit is refused"},
		{io, "input and output are not counted"},
		{"freezer", "pause is refused, and processes that fork are harder to kill"},
		{"devices", "no container can be kept from the host's devices"},
	} {
		f := Finding{Name: "cgroup " + need.name, OK: slices.Contains(has, need.name), Fatal: need.name == "devices"}
		if !f.OK {
			f.Detail = "missing; without it " + need.without
			f.Fix = "boot with the kernel parameter cgroup_enable=" + need.name
			if host.Version == 1 {
				dir := "/sys/fs/cgroup/" + need.name
				f.Fix = fmt.Sprintf("mkdir %s && mount -t cgroup -o %s none %s (or %s)", dir, need.name, dir, f.Fix)
			}
		}
		d.add(f)
	}
}

// probeCgroup makes a group, limits its devices (on version 2 that is an eBPF
// program) and removes it. It makes the directories itself: Group.Create would
// enable controllers in the root group, and leave them enabled.
func (d *doctor) probeCgroup(host *cgroup.Hierarchies) (string, error) {
	group, err := host.Open(fmt.Sprintf("/%s-%s%d", d.instance, doctorPrefix, os.Getpid()))
	if err != nil {
		return "", err
	}
	defer group.Delete()
	for _, dir := range group.Paths() {
		if err := unix.Mkdir(dir, 0o755); err != nil && err != unix.EEXIST {
			return "", fmt.Errorf("make a cgroup in %s: %w", filepath.Dir(dir), err)
		}
	}
	err = group.SetDevices([]specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}})
	if err != nil && !errors.Is(err, cgroup.ErrNoController) { // that is told of each controller
		return "", err
	}
	return fmt.Sprintf("version %d", host.Version), nil
}
