package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"

	"minidocker/labs/check"
)

var memoryBites = check.Check{
	Name:    "memory-bites",
	Title:   "who takes more memory than --memory is killed; if it is the command, the status is 137",
	Needs:   []string{"own-cgroup", "memory-limit"},
	Section: chapter + "#memory",
	Hints: []string{
		"What does the shell say after a command was killed by signal 9: echo $? ? And your engine?",
		"memory.events (version 1: memory.oom_control) counts the kills of a group: oom_kill. Your engine need not read it to pass the status on.",
		"128 and the number of the signal: WaitStatus.Signaled(), then 128 + WaitStatus.Signal().",
	},
	Explain: []string{
		"ENGINE run --memory 40m --rootfs rootfs dd if=/dev/zero of=/dev/null bs=200M count=1; echo $?     # 137",
		"dmesg | tail     # the kernel tells which process it chose, and for which group",
	},
	Run: func(t *check.Trial) error {
		megabytes := t.Number(37, 61)
		value, tooMuch := fmt.Sprintf("%dm", megabytes), strconv.Itoa(4*megabytes<<20)
		c, err := start(t, []string{"--memory", value}, "memory", tooMuch)
		if err != nil {
			return err
		}
		g, err := groupOf(t, c.Process, "memory")
		if err != nil {
			return err
		}
		if c.Result() != "137" {
			return check.Fail(fmt.Sprintf("--memory %s: a process that writes to %s bytes is killed (137)", value, tooMuch), "it ended with "+c.Result(), "the limit is there and does not count this process: it is in another group")
		}
		file := g.pick("memory.oom_control", "memory.events")
		if kills, err := g.count(file, "oom_kill"); err != nil {
			return err
		} else if kills == 0 {
			return check.Fail(fmt.Sprintf("%s/%s counts the kill", g.dir, file), "oom_kill 0", "something else than the group's limit killed the process")
		}
		if t.Control.Gone() {
			return check.Fail("a process of the host that does no harm lives on", fmt.Sprintf("process %d is gone", t.Control.Pid), "the limit is that of the host's own group")
		}
		if err := finish(c); err != nil {
			return err
		}
		out, err := t.Run([]string{"--memory", value}, busybox, "dd", "if=/dev/zero", "of=/dev/null", "bs="+tooMuch, "count=1")
		if err == nil && out.Status != 137 {
			err = check.Fail("the engine's exit status is 137 if its command is killed for want of memory", wrote(out),
				"128 and the number of the signal, 9: see lab 1, exit-status")
		}
		return err
	},
}

var badValues = check.Check{
	Name:    "bad-values",
	Title:   "a limit that makes no sense is an error of the engine (125), and leaves no cgroup",
	Needs:   []string{"memory-limit", "cpu-limit", "pids-limit"},
	Section: chapter + "#the-order-of-the-steps",
	Hints: []string{
		"Look at the values before you make anything: then there is nothing to take back.",
		"What does your parser do with -1, with \"many\", with 0.5.5? strconv tells; an error must not become \"no limit\".",
		"A refused value is exit status 125 and a line on stderr. What the kernel refuses later (write: invalid argument) too, and then the group must be removed.",
	},
	Explain: []string{"ENGINE run --memory banana --rootfs rootfs true; echo $?     # 125"},
	Run: func(t *check.Trial) error {
		before, err := all(t)
		if err != nil {
			return err
		}
		ran := t.Status()
		for _, flags := range [][]string{
			{"--memory", fmt.Sprintf("-%dm", t.Number(37, 61))}, {"--memory", "banana"},
			{"--cpus", fmt.Sprintf("-0.%d", t.Number(13, 37))}, {"--cpus", "0.5.5"}, {"--pids-limit", "many"},
		} {
			out, err := t.Run(flags, busybox, "sh", "-c", fmt.Sprintf("exit %d", ran))
			if err != nil {
				return err
			}
			if out.Status != 125 {
				cause := "the value is not looked at"
				if out.Status == ran {
					cause = "the value is taken for \"no limit\", and the command was run"
				}
				return check.Fail(fmt.Sprintf("%s %s: exit status 125", flags[0], flags[1]), wrote(out), cause)
			}
		}
		path, err := left(t, before)
		if err == nil && path != "" {
			err = check.Fail("no cgroup is left", path, "it was made before the values were looked at, and not removed on the way out")
		}
		return err
	},
}

var gone = check.Check{
	Name:    "gone",
	Title:   "the cgroup is gone when the container has ended: by itself, by a kill, or before it ran",
	Needs:   needsGroup,
	Section: chapter + "#a-group-is-left-behind",
	Hints: []string{
		"ls /sys/fs/cgroup after ten runs. Who removes a group that has no process any more? Not the kernel.",
		"rmdir(2) of the directory; the files in it are the kernel's and go with it. On version 1 in each tree.",
		"On every way out of your engine, also if the command was not found (127). EBUSY: a process has not quite left; try again for a moment.",
	},
	Explain: []string{
		"cat /proc/$PID/cgroup     # now end the container, and look for these paths:",
		"ls -d /sys/fs/cgroup/*/PATH     # version 1; version 2: /sys/fs/cgroup/PATH",
	},
	Run: func(t *check.Trial) error {
		for _, end := range []func(*check.Container) error{finish, kill} {
			c, err := start(t, []string{"--memory", fmt.Sprintf("%dm", t.Number(37, 61))}, "orphan")
			if err != nil {
				return err
			}
			dirs, err := directories(t, c)
			if err != nil {
				return err
			}
			if err := end(c); err != nil {
				return err
			}
			if err := removed(t, dirs); err != nil {
				return err
			}
		}
		before, err := all(t)
		if err != nil {
			return err
		}
		if _, err := t.Run(nil, "/bin/"+t.Name()); err != nil {
			return err
		}
		path, err := left(t, before)
		if err == nil && path != "" {
			err = check.Fail("no cgroup is left of a command that could not be executed", path, "the group is removed on the good way out only")
		}
		return err
	},
}

// kill ends the container's first process without asking it.
func kill(c *check.Container) error {
	if err := c.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	_, err := c.Wait()
	return err
}

// directories are those of all groups of the container that are not the host's.
func directories(t *check.Trial, c *check.Container) (dirs []string, err error) {
	names, err := controllers(t)
	if err != nil {
		return nil, err
	}
	for _, controller := range names {
		own, err := groupOf(t, c.Process, controller)
		hosts, err2 := groupOf(t, t.Control, controller)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		if own.dir != hosts.dir && !slices.Contains(dirs, own.dir) {
			dirs = append(dirs, own.dir)
		}
	}
	return dirs, nil
}

// removed fails if one of the directories stays.
func removed(t *check.Trial, dirs []string) error {
	for _, dir := range dirs {
		if !soon(t, func() bool { _, err := os.Stat(dir); return errors.Is(err, fs.ErrNotExist) }) {
			return check.Fail("the group's directory is gone", dir+" is still there", "rmdir(2) was not called, or gave EBUSY once and was not tried again")
		}
	}
	return nil
}
