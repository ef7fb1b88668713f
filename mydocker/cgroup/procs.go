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

	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// Enter arranges that the next process cloned with attr is born in the group, so that
// limits hold from its first instruction; call leave after the clone in any case.
//
// For version 2 it opens attr.CgroupFD for clone3(2) with CLONE_INTO_CGROUP. In
// version 1 it moves the calling thread into the group, and leave moves it back, so
// the caller must hold runtime.LockOSThread, must not unlock it when leave fails, and
// meanwhile must not open a device that the group denies (os/exec opens /dev/null for
// a nil Stdin); the thread counts as one of the group's pids. That costs 0.1 ms:
// writing 0, "myself", is spared the lock of Add (cgroup_procs_write_start in
// kernel/cgroup/cgroup.c, commit 9a3284fad42f of 2019).
func (g Group) Enter(attr *syscall.SysProcAttr) (leave func() error, err error) {
	home, err := readProcCgroup("/proc/thread-self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("enter cgroup: %w", err)
	}
	for _, tree := range g.host.trees {
		// A container in its host's cgroup namespace has but a subtree mounted.
		mount, root := strings.TrimSuffix(tree.mount, tree.below), strings.TrimSuffix(tree.root, tree.below)
		home[tree.name] = filepath.Join(mount, strings.TrimPrefix(home[tree.name], root))
	}
	dir := g.Paths()[""]
	if attr.CgroupFD, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("enter cgroup: open %s: %w", dir, err)
	}
	trace.Step("clone3", "CLONE_INTO_CGROUP %s", dir)
	attr.UseCgroupFD = true
	moveTo := func(paths map[string]string) (err error) {
		for _, tree := range g.host.trees {
			if tree.name != "" {
				err = errors.Join(err, write(filepath.Join(paths[tree.name], "tasks"), "0"))
			}
		}
		return err
	}
	leave = func() error {
		attr.UseCgroupFD = false
		if g.manager != nil {
			g.manager.born()
		}
		return errors.Join(unix.Close(attr.CgroupFD), moveTo(home))
	}
	if err := moveTo(g.Paths()); err != nil {
		return nil, errors.Join(fmt.Errorf("enter cgroup: %w", err), leave())
	}
	return leave, nil
}

// Add moves a process with all its threads into the group, over pids.max if need be.
// It takes a lock that makes the kernel wait for an RCU grace period: 5 to 10 ms.
func (g Group) Add(pid int) error {
	for _, dir := range g.Paths() {
		if err := write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("add process %d to cgroup %s: %w", pid, g.path, err)
		}
	}
	return nil
}

// Pids returns the processes in the group and below, sorted, as the caller's pid
// namespace numbers them. Without the group: none, no error.
func (g Group) Pids() ([]int, error) {
	var list []int
	for _, dir := range groups(g.Paths()[""]) {
		fields, err := readFields(dir, "cgroup.procs")
		// A threaded group refuses (EOPNOTSUPP): a group above it lists its processes.
		if err != nil && !gone(err) && !errors.Is(err, unix.EOPNOTSUPP) {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		for _, field := range fields {
			if pid, _ := strconv.Atoi(field); pid > 0 { // 0: outside our pid namespace
				list = append(list, pid)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Freeze stops all processes of the group and returns when all have stopped; Thaw
// lets them go on. Kill works on a frozen group.
func (g Group) Freeze() error {
	err := g.command("cgroup.freeze", "1", "cgroup.events frozen", 1)
	if errors.Is(err, ErrBusy) {
		err = errors.Join(err, g.Thaw())
	}
	return err
}

func (g Group) Thaw() error { return g.command("cgroup.freeze", "0", "cgroup.events frozen", 0) }

// Kill sends SIGKILL to all processes in the group and below, so that none escapes
// by forking, and returns when they are gone (zombies count as gone), after 10
// seconds with ErrBusy. Without the group it does nothing.
func (g Group) Kill() error {
	err := g.command("cgroup.kill", "1", "cgroup.events populated", 0) // Linux 5.14
	if !gone(err) {
		return err
	}
	return nil
}

// command writes into a file of the version 2 tree and waits for what it brings about.
func (g Group) command(name, value, result string, want uint64) error {
	file := filepath.Join(g.Paths()[""], name)
	if err := write(file, value); err != nil {
		return err
	}
	return poll("write to "+file, 10*time.Second, func() (bool, error) {
		var n uint64
		err := g.read(&n, result, result)
		return n == want, err
	})
}

// Frozen tells whether the group's processes are stopped, by Freeze or by another's use of
// version 1's freezer; without the group it is false. One stopped from above counts.
func (g Group) Frozen() (bool, error) {
	for _, name := range [...]string{"cgroup.events", "freezer.state"} {
		file, err := g.file(name)
		if err != nil {
			continue // no such controller
		}
		fields, err := readFields(filepath.Split(file))
		if err != nil && !gone(err) {
			return false, fmt.Errorf("read %s: %w", file, err)
		}
		if i := slices.Index(fields, "frozen"); slices.Contains(fields, "FROZEN") || slices.Contains(fields, "FREEZING") || i >= 0 && fields[i+1] == "1" {
			return true, nil
		}
	}
	return false, nil
}

// ErrBusy reports a group whose processes outlived the time given to Freeze, Kill
// or Delete: one in an uninterruptible sleep (a dead NFS server) cannot be stopped.
var ErrBusy = errors.New("processes in the cgroup did not stop or end in time")

// poll calls done until it returns true or an error; after limit it is ErrBusy.
func poll(operation string, limit time.Duration, done func() (bool, error)) error {
	end := time.Now().Add(limit)
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w", operation, ErrBusy)
		}
		time.Sleep(pause)
	}
}
