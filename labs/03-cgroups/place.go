package cgroups

import (
	"fmt"
	"strings"

	"minidocker/labs/check"
)

var ownCgroup = check.Check{
	Name:    "own-cgroup",
	Title:   "the container, without the engine, is in a cgroup of its own for memory, cpu and pids",
	Section: chapter + "#the-idea",
	Hints: []string{
		"A process is in the cgroup of its parent until somebody moves it. Who could that be, and by writing to which file?",
		"mkdir below /sys/fs/cgroup makes a group; its cgroup.procs takes a process number. On version 1 there is a tree for each controller, and a group in each.",
		"On version 2 write \"+memory +cpu +pids\" to cgroup.subtree_control of the directory above, or the group has no memory.max.",
	},
	Explain: []string{
		"cat /proc/self/cgroup; echo; cat /proc/$PID/cgroup     # the paths of the lines memory, cpu and pids, or 0:: on version 2",
		"cat /sys/fs/cgroup/cgroup.subtree_control     # version 2: which controllers the groups below have",
	},
	Run: func(t *check.Trial) error {
		c, err := start(t, nil, "wait")
		if err != nil {
			return err
		}
		return finish(c)
	},
}

// start has the engine run the probe, and fails if it does not come into groups of its own.
func start(t *check.Trial, flags []string, mode string, args ...string) (*check.Container, error) {
	c, err := t.Start(flags, mode, args...)
	if err != nil {
		return nil, lacksFile(err)
	}
	names, err := controllers(t)
	if err != nil {
		return nil, err
	}
	for _, controller := range names {
		if err := isOwn(t, c, controller); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// lacksFile gives the error of an engine that did not start its command a better cause, if
// the engine has said that its group has no such file.
func lacksFile(err error) error {
	text := err.Error()
	if !strings.Contains(text, "/sys/fs/cgroup/") || !strings.Contains(text, "ermission denied") && !strings.Contains(text, "o such file") {
		return err
	}
	return check.Fail("the engine starts the command", text,
		"the group has no such file, and the kernel lets nobody make one: it is the other version's, or on version 2 the directory above does not hand the controller down (cgroup.subtree_control)")
}

// isOwn fails if the container's first process does not come into a group of its own.
// (When it does is for joined-before-exec to see.)
func isOwn(t *check.Trial, c *check.Container, controller string) error {
	hosts, err := groupOf(t, t.Control, controller)
	if err != nil {
		return err
	}
	var own group
	joined := soon(t, func() bool {
		own, err = groupOf(t, c.Process, controller)
		return err != nil || own.dir != hosts.dir
	})
	if err != nil {
		return err
	}
	expected := fmt.Sprintf("for %s process %d is in a group of its own", controller, c.Pid)
	if !joined {
		return check.Fail(expected, fmt.Sprintf("it is in %s, as a process of the host that was started beside it", own.dir),
			"nobody wrote its number to cgroup.procs of a new group, nor was it born there (CLONE_INTO_CGROUP)")
	}
	engine, err := groupOf(t, c.Engine(), controller)
	if err == nil && engine.dir == own.dir {
		return check.Fail(expected, fmt.Sprintf("the engine (process %d) is in %s, too", c.Engine().Pid, own.dir),
			"the engine wrote its own number, and the container inherited the group: then the engine counts, and the group cannot be removed")
	}
	return err
}

var joinedBeforeExec = check.Check{
	Name:    "joined-before-exec",
	Title:   "the command is in its cgroup from its first instruction, with all that it starts",
	Needs:   needsGroup,
	Section: chapter + "#joined-too-late-the-limit-does-not-bite",
	Hints: []string{
		"Moving a process moves that process. What it forked before stays where it was, without a limit.",
		"The engine must write the number when the process is there, and the command is not yet. Which program is in the process meanwhile?",
		"Let init wait at a pipe until the engine has written the number to cgroup.procs, or have it born in the group: SysProcAttr.UseCgroupFD (version 2).",
	},
	Explain: []string{
		"for p in $(pgrep --ns $PID); do echo $p; cat /proc/$p/cgroup; done     # all of the container's processes",
	},
	Run: func(t *check.Trial) error {
		names, err := controllers(t)
		if err != nil {
			return err
		}
		for range 4 { // who joins late may be in time by chance
			c, err := t.Start(nil, "orphan")
			if err != nil {
				return err
			}
			for _, controller := range names {
				if err := allInside(t, c, controller); err != nil {
					return err
				}
			}
			if err := finish(c); err != nil {
				return err
			}
		}
		return nil
	},
}

// allInside fails if one of the container's processes is in the host's group.
func allInside(t *check.Trial, c *check.Container, controller string) error {
	hosts, err := groupOf(t, t.Control, controller)
	if err != nil {
		return err
	}
	for _, p := range append(c.Descendants(), c.Process) {
		g, err := groupOf(t, p, controller)
		if err != nil {
			return err
		}
		if g.dir == hosts.dir {
			words, _ := p.Cmdline()
			return check.Fail("all processes of the container are in its group",
				fmt.Sprintf("for %s process %d (%.40s) is in %s, the host's", controller, p.Pid, strings.Join(words, " "), g.dir),
				"the container joined its group after execve(2): what the command had started by then stays outside")
		}
	}
	return nil
}

var cgroupNamespace = check.Check{
	Name:    "cgroup-namespace",
	Title:   "in the container its cgroup is \"/\": it has a cgroup namespace, made after it joined",
	Needs:   needsGroup,
	Section: chapter + "#the-namespace-too-early",
	Hints: []string{
		"What does cat /proc/self/cgroup say in your container? A path of the host, and names of its groups.",
		"unshare(2) of CLONE_NEWCGROUP makes the group the caller is in the root of what it sees. So which group must it be in?",
		"First into the group, then unshare(CLONE_NEWCGROUP), in init; a namespace made by the clone has the engine's group as its root, and shows \"/..\".",
	},
	Explain: []string{
		"readlink /proc/self/ns/cgroup /proc/$PID/ns/cgroup     # two namespaces",
		"nsenter --cgroup=/proc/$PID/ns/cgroup cat /proc/$PID/cgroup     # seen from the container: / in each line that has a limit",
	},
	Run: func(t *check.Trial) error {
		names, err := controllers(t)
		if err != nil {
			return err
		}
		c, err := start(t, nil, "wait")
		if err != nil {
			return err
		}
		if err := ownNamespace(t, c); err != nil {
			return err
		}
		for _, controller := range names {
			var seen group
			err := c.Join(func() (err error) { // /proc/PID/cgroup shows paths as the reader sees them
				seen, err = groupOf(t, c.Process, controller)
				return err
			}, "cgroup")
			if err != nil {
				return err
			}
			if seen.path != "/" {
				return check.Fail(fmt.Sprintf("/proc/self/cgroup in the container shows / for %s", controller), seen.path,
					"the namespace was made before the process was in its group: its root is the group of then")
			}
		}
		return finish(c)
	},
}

// ownNamespace fails if the container is in the host's cgroup namespace. Check.Own would
// name the flag of clone(2), with which the namespace is made too early.
func ownNamespace(t *check.Trial, c *check.Container) error {
	own, err := c.Namespace("cgroup")
	if err != nil {
		return err
	}
	hosts, err := t.Control.Namespace("cgroup")
	if err != nil || own != hosts {
		return err
	}
	return check.Fail(fmt.Sprintf("/proc/%d/ns/cgroup differs from that of a process of the host", c.Pid),
		own+" in both: it is the host's namespace",
		"nobody called unshare(2) with CLONE_NEWCGROUP once the process was in its group; or another thread did than the one that executed the command")
}
