package cgroup

import (
	"errors"
	"fmt"
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

// group2 is a group on a version 2 host: one directory.
type group2 struct {
	tree hierarchy
	path string
}

func (g *group2) dir() string { return filepath.Join(g.tree.mount, g.path) }

// Create makes the group below groups that pass on their controllers. Processes
// may only be in groups that pass on none ("no internal processes"), so a parent
// must be empty, the real root excepted.
func (g *group2) Create(res *specs.LinuxResources) error {
	parent, enabling := g.tree.mount, error(nil)
	for _, p := range ancestors(g.path) {
		enabling = errors.Join(enabling, enableControllers(parent))
		parent = filepath.Join(g.tree.mount, p)
		trace.Step("mkdir", "%s", parent)
		if err := unix.Mkdir(parent, 0o755); err != nil && err != unix.EEXIST {
			return fmt.Errorf("create cgroup %s: mkdir %s: %w", g.path, parent, err)
		}
	}
	// A controller that could not be enabled matters only if a limit needs it:
	// then its file is missing.
	if err := g.set(res, nil); err != nil {
		return errors.Join(err, enabling)
	}
	return nil
}

// enableControllers makes the children of dir have every controller dir has. It
// is done for each new group, not once: systemd takes controllers away from groups
// it thinks do not need them (systemd.resource-control(5), Delegate=). What is
// enabled already is left out, so that usually this only reads.
func enableControllers(dir string) error {
	has, err := read(dir, "cgroup.controllers")
	if err != nil {
		return fmt.Errorf("read controllers: %w", err)
	}
	enabled, err := read(dir, "cgroup.subtree_control")
	if err != nil {
		return fmt.Errorf("read controllers: %w", err)
	}
	var missing []string
	for _, name := range strings.Fields(has) {
		if !slices.Contains(strings.Fields(enabled), name) {
			missing = append(missing, "+"+name)
		}
	}
	file := filepath.Join(dir, "cgroup.subtree_control")
	if len(missing) == 0 || write(file, strings.Join(missing, " ")) == nil {
		return nil
	}
	// The kernel takes all or none. One alone may be refused: cpu while a
	// realtime process is in a group below (EINVAL).
	var errs []error
	for _, name := range missing {
		err := write(file, name)
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%w (a cgroup with processes cannot pass on controllers; move them to a child first)", err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (g *group2) Set(res *specs.LinuxResources) error {
	if err := checkMemory(g.dir(), "memory.current", res); err != nil {
		return err
	}
	return g.set(res, pids(res))
}

func (g *group2) LimitPids(res *specs.LinuxResources) error { return g.write(pids(res)) }

func (g *group2) set(res *specs.LinuxResources, more []setting) error {
	list, err := settings(2, res)
	if err != nil {
		return err
	}
	if err := g.write(append(list, more...)); err != nil {
		return err
	}
	if res == nil || len(res.Devices) == 0 {
		return nil
	}
	return setDevicesV2(g.dir(), res.Devices)
}

func (g *group2) write(list []setting) error {
	for _, s := range list {
		err := s.apply(g.dir())
		if errors.Is(err, unix.ENOENT) {
			err = g.missing(controller(s.file), err)
		}
		if err != nil {
			return fmt.Errorf("limit %s: %w", controller(s.file), err)
		}
	}
	return nil
}

// missing explains why a controller's file does not exist.
func (g *group2) missing(controller string, err error) error {
	has, _ := read(g.dir(), "cgroup.controllers")
	root, _ := read(g.tree.mount, "cgroup.controllers")
	switch {
	case slices.Contains(strings.Fields(has), controller):
		return err // the kernel lacks this one file
	case slices.Contains(strings.Fields(root), controller):
		return fmt.Errorf("controller %s is not enabled for %s: %w", controller, g.dir(), err)
	}
	return fmt.Errorf("%s: %w", controller, ErrNoController)
}

func (g *group2) Enter(attr *syscall.SysProcAttr) (func() error, error) {
	closeDir, err := intoCgroup(attr, g.dir())
	return func() error { closeDir(); return nil }, err
}

// intoCgroup has a clone with attr put the child into the group dir, clone3(2).
func intoCgroup(attr *syscall.SysProcAttr, dir string) (closeDir func(), err error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("enter cgroup %s: %w", dir, err)
	}
	trace.Step("clone3", "CLONE_INTO_CGROUP %s", dir)
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return func() {
		attr.UseCgroupFD, attr.CgroupFD = false, 0
		unix.Close(fd)
	}, nil
}

func (g *group2) Add(pid int) error {
	if err := write(filepath.Join(g.dir(), "cgroup.procs"), strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("add process %d to cgroup %s: %w", pid, g.path, err)
	}
	return nil
}

func (g *group2) Pids() ([]int, error) {
	list, err := readPids(g.dir())
	slices.Sort(list)
	return slices.Compact(list), err
}

func (g *group2) Freeze() error {
	if err := write(filepath.Join(g.dir(), "cgroup.freeze"), "1"); err != nil {
		return fmt.Errorf("freeze cgroup %s: %w", g.path, err)
	}
	if err := waitEvent(g.dir(), "frozen", 1, freezeTime); err != nil {
		return errors.Join(fmt.Errorf("freeze cgroup %s: %w", g.path, err), g.Thaw())
	}
	return nil
}

func (g *group2) Thaw() error {
	if err := write(filepath.Join(g.dir(), "cgroup.freeze"), "0"); err != nil {
		return fmt.Errorf("thaw cgroup %s: %w", g.path, err)
	}
	return nil
}

// Kill has the kernel do it: cgroup.kill (Linux 5.14) reaches every process in
// the group and below, frozen or forking.
func (g *group2) Kill() error {
	err := write(filepath.Join(g.dir(), "cgroup.kill"), "1")
	if gone(err) && !exists(g.dir()) {
		return nil
	}
	if err == nil {
		err = waitEvent(g.dir(), "populated", 0, killTime)
	}
	if err != nil {
		return fmt.Errorf("kill cgroup %s: %w", g.path, err)
	}
	return nil
}

func (g *group2) Stats() (*Stats, error) {
	s := &Stats{}
	err := memoryStats(2, g.dir(), s)
	if err == nil {
		s.CPUUsage, err = readKey(g.dir(), "cpu.stat", "usage_usec")
		s.CPUUsage *= uint64(time.Microsecond)
	}
	if err == nil {
		err = ioStatsV2(g.dir(), s)
	}
	if err == nil {
		err = pidsStats(g.dir(), s)
	}
	if err != nil {
		return nil, fmt.Errorf("read statistics of cgroup %s: %w", g.path, err)
	}
	return s, nil
}

// OOMKills reads oom_kill, which also counts each process that dies because its
// whole group is killed (memory.oom.group).
func (g *group2) OOMKills() (uint64, error) { return readKey(g.dir(), "memory.events", "oom_kill") }

func (g *group2) Delete() error { return remove(g.dir(), time.Now().Add(deleteTime)) }

func (g *group2) Paths() map[string]string { return map[string]string{"": g.dir()} }
