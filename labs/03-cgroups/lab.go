// Package cgroups is lab 3: an engine whose containers have limits.
package cgroups

import (
	"fmt"
	"strings"

	"minidocker/labs/check"

	"golang.org/x/sys/unix"
)

// Lab is lab 3.
var Lab = check.Lab{
	Number: 3,
	Name:   "03-cgroups",
	Title:  "Cgroups",
	Grammar: []string{
		"run [--hostname NAME] [--read-only] [--memory N[b|k|m|g]] [--cpus N] [--pids-limit N] --rootfs DIR COMMAND [ARGUMENT...]",
	},
	Rootfs: true,
	Checks: []check.Check{
		ownCgroup, joinedBeforeExec, cgroupNamespace, // where the processes are
		memoryLimit, memoryBites, cpuLimit, pidsLimit, noLimit, // what they may use
		badValues, gone, // how it ends
		check.Leftovers(chapter+"#a-group-is-left-behind",
			"Your engine has ended, and something it made has not. The report names it.",
			"A cgroup is a directory: it stays until somebody removes it, also when the command was never found.",
			"Remove it in a deferred call that begins right after it was made, and try again as long as rmdir(2) says EBUSY.",
		),
	},
	Mutants: mutants,
	Before: map[string]check.Verdict{ // stage 2 has no cgroup and none of the flags
		"own-cgroup": check.Failed, "joined-before-exec": check.Blocked, "cgroup-namespace": check.Blocked,
		"memory-limit": check.Blocked, "memory-bites": check.Blocked, "cpu-limit": check.Blocked,
		"pids-limit": check.Blocked, "no-limit": check.Blocked, "bad-values": check.Blocked, "gone": check.Blocked,
	},
	Docker: docker(),
}

// docker is what Docker differs in on this host.
func docker() map[string]string {
	var fs unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	return map[string]string{
		"cgroup-namespace": "on version 1 Docker's containers share the host's cgroup namespace unless --cgroupns private is given: older programs expected the host's paths",
	}
}

const (
	busybox = "/bin/busybox"
	chapter = "chapters/03-cgroups/README.md"
)

// needsGroup is what a check needs that looks into the container's cgroup.
var needsGroup = []string{"own-cgroup"}

// finish releases the container, and fails if its engine does not end with its status.
func finish(c *check.Container) error {
	if err := c.Release(); err != nil {
		return err
	}
	status, err := c.Wait()
	if err == nil && status != c.Exits {
		err = check.Fail(fmt.Sprintf("the engine exits with %d, its command's status", c.Exits), fmt.Sprint(status), "see lab 1, exit-status")
	}
	return err
}

// wrote shows what a run of the engine came to.
func wrote(out check.Output) string {
	return fmt.Sprintf("status %d; it wrote: %s", out.Status, strings.TrimSpace(out.Stderr))
}
