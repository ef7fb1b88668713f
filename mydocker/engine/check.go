package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"

	"golang.org/x/sys/unix"
)

// Leak is a thing on the host that belongs to no living container, or damage.
type Leak struct {
	Kind     string // "mount", "process", "cgroup", "container", "record", "layer", ...
	Object   string // which: a path, a pid, an ID
	Reason   string // why it should not be there, and why it could not be repaired
	Repaired bool
}

// Check looks for everything a crash may have left on the host of this root and
// instance, and with repair removes it; without, it changes nothing. Other commands
// may run meanwhile: what a living process is at is no leak. The order is that of
// repair: mounts before directories, monitors before the cgroups they fill.
func (e *Engine) Check(repair bool) ([]Leak, error) {
	c := &check{Engine: e, repair: repair}
	err := errors.Join(c.mounts(), c.processes(), c.cgroups(), c.network(), c.dead(), c.records(),
		c.containers.Volumes.Check(c.containers.VolumeUsers, func(path, why string, mend func() error) { c.report("volume", path, why, mend) }),
		c.imageStore(), c.doctors())
	if repair {
		err = errors.Join(err, c.removeParents())
	}
	return c.leaks, err
}

type check struct {
	*Engine
	repair  bool
	foreign map[string]bool // IDs of containers of other roots that live; see suspects
	leaks   []Leak
}

// report notes a leak, which mend removes.
func (c *check) report(kind, object, reason string, mend func() error) {
	leak := Leak{Kind: kind, Object: object, Reason: reason}
	if c.repair {
		err := mend()
		leak.Repaired = err == nil
		if err != nil {
			leak.Reason += "; " + err.Error()
		}
	}
	c.leaks = append(c.leaks, leak)
}

// mounts finds what is mounted below Root and RunRoot, where the engine mounts
// nothing. Only their direct children may be file systems of their own.
func (c *check) mounts() error {
	points, err := disk.MountPoints()
	if err != nil {
		return err
	}
	roots := []string{c.config.Root, c.config.RunRoot}
	for i := range roots {
		if roots[i], err = filepath.EvalSymlinks(roots[i]); err != nil {
			return err
		}
	}
	for _, point := range slices.Backward(points) { // the inner ones were mounted later
		if slices.ContainsFunc(roots, func(root string) bool {
			below, ok := strings.CutPrefix(point, root+"/")
			return ok && strings.Contains(below, "/") && !strings.HasPrefix(below, "volumes/") // what a user mounts in a volume is his
		}) {
			c.report("mount", point, "nothing should be mounted there", func() error {
				return unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			})
		}
	}
	return nil
}

// cgroups finds groups without a living container.
//
// A monitor makes its group after the container's directory and removes it before,
// and a dead container's is looked at under its lock. So a group that is there after
// the directory was seen missing is a leak, unless it is another root's.
func (c *check) cgroups() error {
	names, err := cgroup.List("/" + c.config.Instance)
	if err != nil {
		return err
	}
	if _, err = c.suspects(); err != nil {
		return err
	}
	for _, name := range names {
		// "monitors" is no container's, nor is a group below which --cgroup-parent wants some.
		if len(name) == len(container.NewID()) && !c.foreign[name] {
			err = errors.Join(err, c.ifDead(name, func() error { return c.deadGroup(name) }))
		}
	}
	return err
}

func (c *check) deadGroup(name string) error {
	path := "/" + c.config.Instance + "/" + name
	group, err := cgroup.Open(path)
	names, err2 := cgroup.List("/" + c.config.Instance)
	if err := errors.Join(err, err2); err != nil || !slices.Contains(names, name) { // it went with its monitor
		return err
	}
	reason := "no container lives in it"
	if pids, err := group.Pids(); err == nil && len(pids) > 0 {
		reason += fmt.Sprintf(", but these processes do: %v", pids)
	}
	c.report("cgroup", path, reason, func() error { return errors.Join(group.Kill(), group.Delete()) })
	return nil
}

// removeParents removes INSTANCE/monitors and INSTANCE when there is no container,
// and by the store lock none is made, so that no monitor is about to enter.
func (c *check) removeParents() error {
	lock, err := c.lockStore(disk.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Release()
	if ids, err := c.containers.IDs(); err != nil || len(ids) > 0 {
		return err
	}
	group, err := cgroup.Open("/" + c.config.Instance)
	if err != nil {
		return err
	}
	for _, dir := range group.Paths() { // EBUSY: a monitor is still ending, or another root's lives
		unix.Rmdir(filepath.Join(dir, "monitors"))
		unix.Rmdir(dir)
	}
	return nil
}

// doctors finds the directories of doctors that were killed.
func (c *check) doctors() error {
	dirs, err := filepath.Glob(filepath.Join(c.config.Root, doctorPrefix+"*"))
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), doctorPrefix), "-")
		if _, err := os.Stat("/proc/" + pid); err != nil {
			c.report("directory", dir, "the doctor that made it is gone", func() error { return disk.RemoveAll(dir) })
		}
	}
	return err
}
