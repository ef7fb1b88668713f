package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// group1 is a group on a version 1 or hybrid host: a directory in every hierarchy.
type group1 struct {
	host *Hierarchies
	path string
}

func (g *group1) dir(tree hierarchy) string { return filepath.Join(tree.mount, g.path) }

// dirOf returns the group's directory in the hierarchy of a controller.
func (g *group1) dirOf(controller string) (string, error) {
	tree, ok := g.host.find(controller)
	if !ok {
		return "", fmt.Errorf("%s: %w", controller, ErrNoController)
	}
	return g.dir(tree), nil
}

func (g *group1) Create(res *specs.LinuxResources) error {
	for _, tree := range g.host.all() {
		if err := g.mkdir(tree); err != nil {
			return fmt.Errorf("create cgroup %s: %w", g.path, err)
		}
	}
	return g.set(res, nil)
}

// mkdir makes the group in one hierarchy, parents only when they are missing.
func (g *group1) mkdir(tree hierarchy) error {
	isCpuset := slices.Contains(strings.Split(tree.name, ","), "cpuset")
	trace.Step("mkdir", "%s", g.dir(tree))
	err := unix.Mkdir(g.dir(tree), 0o755)
	if err == nil && !isCpuset {
		return nil
	}
	for _, p := range ancestors(g.path) {
		dir := filepath.Join(tree.mount, p)
		if err := unix.Mkdir(dir, 0o755); err != nil && err != unix.EEXIST {
			return fmt.Errorf("mkdir %s: %w", dir, err)
		}
		if isCpuset {
			if err := inheritCpuset(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *group1) Set(res *specs.LinuxResources) error {
	if dir, err := g.dirOf("memory"); err == nil {
		if err := checkMemory(dir, "memory.usage_in_bytes", res); err != nil {
			return err
		}
	}
	return g.set(res, pids(res))
}

func (g *group1) LimitPids(res *specs.LinuxResources) error { return g.write(pids(res)) }

// set writes the limits of res and what is given in addition.
func (g *group1) set(res *specs.LinuxResources, more []setting) error {
	list, err := settings(1, res)
	if err != nil {
		return err
	}
	if dir, err := g.dirOf("memory"); err == nil {
		list = orderMemoryV1(dir, list)
	}
	if err := g.write(append(list, more...)); err != nil {
		return err
	}
	if res == nil || len(res.Devices) == 0 {
		return nil
	}
	dir, err := g.dirOf("devices")
	if err != nil {
		return fmt.Errorf("limit devices: %w", err)
	}
	return setDevicesV1(dir, res.Devices)
}

func (g *group1) write(list []setting) error {
	for _, s := range list {
		dir, err := g.dirOf(controller(s.file))
		if err == nil {
			err = s.apply(dir)
		}
		if err != nil {
			return fmt.Errorf("limit %s: %w", controller(s.file), err)
		}
	}
	return nil
}

// Enter moves the calling thread, which version 1 allows, so that a child is born
// where the thread is: limits hold from its first instruction. A thread that
// writes 0, "myself", is spared the lock against forks which moving a process or naming a
// thread takes, and with it the wait for an RCU grace period: 0.1 ms instead of 8
// (cgroup_procs_write_start in kernel/cgroup/cgroup.c, commit 9a3284fad42f of 2019).
func (g *group1) Enter(attr *syscall.SysProcAttr) (func() error, error) {
	home, err := g.homes()
	if err != nil {
		return nil, err
	}
	closeDir := func() {}
	if g.host.unified != nil {
		if closeDir, err = intoCgroup(attr, g.dir(*g.host.unified)); err != nil {
			return nil, err
		}
	}
	leave := func() error {
		closeDir()
		var errs []error
		for _, dir := range home {
			if err := write(filepath.Join(dir, "tasks"), "0"); err != nil {
				errs = append(errs, fmt.Errorf("leave cgroup %s: %w", g.path, err))
			}
		}
		return errors.Join(errs...)
	}
	for _, tree := range g.host.v1 {
		if err := write(filepath.Join(g.dir(tree), "tasks"), "0"); err != nil {
			return nil, errors.Join(fmt.Errorf("enter cgroup %s: %w", g.path, err), leave())
		}
	}
	return leave, nil
}

// homes returns the directories of the calling thread's present groups.
func (g *group1) homes() ([]string, error) {
	data, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find the thread's own cgroups: %w", err)
	}
	own := parseProcCgroup(string(data))
	var dirs []string
	for _, tree := range g.host.v1 {
		dir, ok := tree.locate(own[tree.name])
		if !ok {
			return nil, fmt.Errorf("find the thread's own cgroups: %s is not visible in %s", own[tree.name], tree.mount)
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

func (g *group1) Add(pid int) error {
	for _, tree := range g.host.all() {
		if err := write(filepath.Join(g.dir(tree), "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("add process %d to cgroup %s: %w", pid, g.path, err)
		}
	}
	return nil
}

// Pids asks every hierarchy: in each a process may have been moved for itself.
func (g *group1) Pids() ([]int, error) {
	var all []int
	for _, tree := range g.host.all() {
		list, err := readPids(g.dir(tree))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func (g *group1) Freeze() error {
	dir, err := g.dirOf("freezer")
	if err != nil {
		return fmt.Errorf("freeze cgroup %s: %w", g.path, err)
	}
	return freezeV1(dir)
}

func (g *group1) Thaw() error {
	dir, err := g.dirOf("freezer")
	if err != nil {
		return fmt.Errorf("thaw cgroup %s: %w", g.path, err)
	}
	return thawV1(dir)
}

// Kill freezes the group, kills what is in it, thaws it. A frozen process can
// neither fork nor die, so no list of pids is out of date when it is used, and none
// of them can have passed to another process; the signal is delivered by the thaw.
func (g *group1) Kill() error {
	_, noFreezer := g.dirOf("freezer")
	for end := time.Now().Add(killTime); ; time.Sleep(time.Millisecond) {
		list, err := g.Pids()
		if err != nil || len(list) == 0 {
			return err
		}
		if slices.Contains(list, os.Getpid()) {
			return fmt.Errorf("kill cgroup %s: the caller is in it", g.path) // and would freeze for ever
		}
		if time.Now().After(end) {
			return fmt.Errorf("kill cgroup %s: processes %v: %w", g.path, list, ErrBusy)
		}
		// Without a freezer, or when it does not come to an end, the loop still
		// wins unless somebody forks faster than it reads.
		if noFreezer == nil && g.Freeze() == nil {
			list, err = g.Pids()
		}
		trace.Step("kill", "cgroup %s: SIGKILL %v", g.path, list)
		for _, pid := range list {
			if pid > 0 { // 0: outside our pid namespace
				unix.Kill(pid, unix.SIGKILL)
			}
		}
		if noFreezer == nil {
			err = errors.Join(err, g.Thaw())
		}
		if err != nil {
			return fmt.Errorf("kill cgroup %s: %w", g.path, err)
		}
	}
}

func (g *group1) Stats() (*Stats, error) {
	s := &Stats{}
	for _, part := range [...]struct {
		controller string
		read       func(dir string) error
	}{
		{"memory", func(dir string) error { return memoryStats(1, dir, s) }},
		{"cpuacct", func(dir string) (err error) { s.CPUUsage, err = readNumber(dir, "cpuacct.usage"); return }},
		{"blkio", func(dir string) error { return ioStatsV1(dir, s) }},
		{"pids", func(dir string) error { return pidsStats(dir, s) }},
	} {
		if dir, err := g.dirOf(part.controller); err != nil {
			continue
		} else if err := part.read(dir); err != nil {
			return nil, fmt.Errorf("read statistics of cgroup %s: %w", g.path, err)
		}
	}
	return s, nil
}

func (g *group1) OOMKills() (uint64, error) {
	dir, err := g.dirOf("memory")
	if err != nil {
		return 0, nil
	}
	return oomKillsV1(dir)
}

func (g *group1) Delete() error {
	end := time.Now().Add(deleteTime)
	var errs []error
	for _, tree := range g.host.all() {
		errs = append(errs, remove(g.dir(tree), end))
	}
	return errors.Join(errs...)
}

func (g *group1) Paths() map[string]string {
	paths := map[string]string{}
	for _, tree := range g.host.all() {
		paths[tree.name] = g.dir(tree)
	}
	return paths
}
