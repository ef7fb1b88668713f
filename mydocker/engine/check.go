package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"

	"golang.org/x/sys/unix"
)

// Leak is a thing on the host that belongs to no living container, or damage.
type Leak struct {
	Kind     string // "mount", "process", "cgroup", "container", "lock", "name", "run directory", "layer", ...
	Object   string // which: a path, a pid, an ID
	Reason   string // why it should not be there, and why it could not be repaired
	Repaired bool
}

// Check looks for everything a crash may have left on the host of this root and
// instance, and with repair removes it. Without repair it changes nothing. Any
// other command may run meanwhile: what a living process is at is no leak, and a
// container is looked at under its lock.
//
// The order is that of repair. A directory cannot be removed while something is
// mounted in it, nor a cgroup while a monitor may put a process into it.
func (e *Engine) Check(repair bool) ([]Leak, error) {
	c := &check{Engine: e, repair: repair}
	err := errors.Join(c.mounts(), c.processes(), c.cgroups(), c.dead(), c.locks(), c.records(), c.imageStore(), c.probes())
	if repair {
		err = errors.Join(err, c.removeParents())
	}
	return c.leaks, err
}

type check struct {
	*Engine
	repair bool
	leaks  []Leak
}

// report notes a leak; mend, nil if that is a person's business, removes it.
func (c *check) report(kind, object, reason string, mend func() error) {
	leak := Leak{Kind: kind, Object: object, Reason: reason}
	if c.repair && mend != nil {
		if err := mend(); err != nil {
			leak.Reason += "; " + err.Error()
		} else {
			leak.Repaired = true
		}
	}
	c.leaks = append(c.leaks, leak)
}

// mounts finds what is mounted below Root and RunRoot, where the engine mounts
// nothing: a container's mounts are in its monitor's namespace or its own. The
// engine's directories themselves may be on a file system of their own.
func (c *check) mounts() error {
	// Not /proc/self: that is the process's first thread, which overlay.Mount.Open
	// may have sent to another mount namespace.
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return fmt.Errorf("check mounts: %w", err)
	}
	var roots, own []string
	for _, root := range []string{c.config.Root, c.config.RunRoot} {
		if root, err = filepath.EvalSymlinks(root); err != nil {
			return fmt.Errorf("check mounts: %w", err)
		}
		roots, own = append(roots, root), append(own, root)
		for _, name := range []string{"containers", "events", "image", "layers", "names"} {
			own = append(own, filepath.Join(root, name))
		}
	}
	var points []string
	for _, point := range mountPoints(string(data)) {
		below := func(root string) bool { return strings.HasPrefix(point, root+"/") }
		if slices.ContainsFunc(roots, below) && !slices.Contains(own, point) {
			points = append(points, point)
		}
	}
	slices.SortStableFunc(points, func(a, b string) int { return len(b) - len(a) }) // the deepest first
	for _, point := range points {
		c.report("mount", point, "nothing should be mounted there", func() error {
			return unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		})
	}
	return nil
}

// mountPoints reads the fifth field of each line, proc_pid_mountinfo(5), with
// white space and backslash in octal.
func mountPoints(mountinfo string) []string {
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(mountinfo) {
		if fields := strings.SplitN(line, " ", 6); len(fields) == 6 {
			points = append(points, plain.Replace(fields[4]))
		}
	}
	return points
}

// cgroups finds groups without a living container.
//
// No race is possible: a monitor makes its group after the container's directory
// and removes it before, and a dead container's is looked at under its lock. So a
// group that exists before and after the directory was seen missing is a leak;
// that of a monitor of another root with this instance is told by the list of monitors.
func (c *check) cgroups() error {
	names, err := cgroup.List("/" + c.config.Instance)
	if err != nil {
		return err
	}
	all, err := c.listMonitors()
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "monitors" || all.foreign[name] {
			continue
		}
		group, err := cgroup.Open("/" + c.config.Instance + "/" + name)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(c.containers.Dir(name)); err == nil {
			err = c.ifDead(name, func() { c.group(name, group, "its container is dead") })
			if err != nil {
				return err
			}
		} else {
			c.group(name, group, "it belongs to no container")
		}
	}
	return nil
}

func (c *check) group(name string, group cgroup.Group, reason string) {
	if !groupExists(group) {
		return
	}
	if pids, err := group.Pids(); err == nil && len(pids) > 0 {
		list := make([]string, len(pids))
		for i, pid := range pids {
			list[i] = fmt.Sprintf("%d (%s)", pid, firstLine(fmt.Sprintf("/proc/%d/comm", pid)))
		}
		reason += ", its processes live: " + strings.Join(list, ", ")
	}
	c.report("cgroup", "/"+c.config.Instance+"/"+name, reason, func() error { return end(group) })
}

func groupExists(group cgroup.Group) bool {
	for _, dir := range group.Paths() {
		if _, err := os.Lstat(dir); err == nil {
			return true
		}
	}
	return false
}

// end kills a group's processes and removes it.
func end(group cgroup.Group) error {
	if err := group.Kill(); err != nil {
		return err
	}
	return group.Delete()
}

// removeParents removes INSTANCE/monitors and INSTANCE when nobody lives below.
// With the store lock no container can be made, and with the locks of all of them
// none started, so no monitor is about to enter what is removed.
func (c *check) removeParents() error {
	store, err := disk.TryAcquire(filepath.Join(c.config.Root, "store.lock"), disk.Exclusive)
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer store.Release()
	ids, err := c.containers.IDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		lock, err := c.containers.TryLock(id)
		if err != nil { // it lives, or is being removed: another time
			return nil
		}
		defer lock.Release()
	}
	for _, path := range []string{"/monitors", ""} {
		path = "/" + c.config.Instance + path
		group, err := cgroup.Open(path)
		if err != nil {
			return err
		}
		if !groupExists(group) {
			continue
		}
		pids, err := group.Pids()
		if err != nil {
			return err
		}
		below, err := cgroup.List(path)
		if err != nil {
			return err
		}
		if len(pids)+len(below) > 0 {
			return nil
		}
		if err := group.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// probes finds what a doctor that was killed left.
func (c *check) probes() error {
	dirs, err := filepath.Glob(filepath.Join(c.config.Root, doctorPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), doctorPrefix), "-"); !lives(pid) {
			c.report("directory", dir, "the doctor that made it is gone", func() error { return disk.RemoveAll(dir) })
		}
	}
	groups, err := cgroup.List("/")
	if err != nil {
		return err
	}
	for _, name := range groups {
		pid, found := strings.CutPrefix(name, c.config.Instance+"-"+doctorPrefix)
		if !found || lives(pid) {
			continue
		}
		group, err := cgroup.Open("/" + name)
		if err != nil {
			return err
		}
		c.report("cgroup", "/"+name, "the doctor that made it is gone", group.Delete)
	}
	return nil
}

func lives(pid string) bool {
	_, err := os.Stat("/proc/" + pid)
	return err == nil
}
