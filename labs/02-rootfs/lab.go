// Package rootfs is lab 2: an engine whose containers have a directory as their root,
// and see none of the host's files.
package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/labs/check"
)

// Lab is lab 2.
var Lab = check.Lab{
	Number:  2,
	Name:    "02-rootfs",
	Title:   "A root file system",
	Grammar: []string{"run [--hostname NAME] [--read-only] --rootfs DIR COMMAND [ARGUMENT...]"},
	Rootfs:  true,
	Checks: []check.Check{
		root, hostGone, chrootEscape, propagation, // where / leads to
		procAndSys, devices, readOnly, // what stands below it
		command, missingRootfs, again, // how it is used
		check.Leftovers(chapter+"#leftovers-that-make-the-second-try-fail",
			"Your engine has ended, and something it made has not. The report names it.",
			"What was mounted in the container's mount namespace goes with its last process. What is left was mounted outside, or is still shared with the host.",
			"Mount nothing before init is in its own mount namespace, and there nothing before its mounts are private.",
		),
	},
	Mutants: mutants,
	Before: map[string]check.Verdict{ // stage 1 knows no --rootfs
		"root": check.Failed, "host-gone": check.Blocked, "chroot-escape": check.Blocked, "propagation": check.Blocked,
		"proc-and-sys": check.Blocked, "dev": check.Blocked, "read-only": check.Blocked,
		"command": check.Blocked, "missing-rootfs": check.Failed, "again": check.Blocked,
		"leftovers": check.Blocked,
	},
	Docker: map[string]string{},
}

const (
	busybox = "/bin/busybox"
	chapter = "chapters/02-rootfs/README.md"
)

// start has the engine run the probe.
func start(t *check.Trial, flags ...string) (*check.Container, error) {
	c, err := t.Start(flags, "wait")
	if err != nil && lacksNull(t) {
		return nil, check.Fail("the command can start processes in the background", "its shell opens /dev/null for them, and cannot",
			"a file system is mounted on /dev, over what DIR has there, without the node null in it; or with MS_NODEV, so that nodes do nothing")
	}
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "invalid argument") {
		return nil, check.Fail("the engine starts the command", err.Error(),
			"if pivot_root(2) says so: DIR is no mount, or it or the mount above it is still shared. "+chapter+"#pivot_root-invalid-argument has all causes")
	}
	return c, err
}

// lacksNull tells whether a container of this run is there whose /dev/null cannot be opened.
func lacksNull(t *check.Trial) bool {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(found, func(file string) bool {
		words, _ := os.ReadFile(file)
		root := filepath.Join(filepath.Dir(file), "root")
		_, err := os.Stat(root + "/etc/labs-marker")
		if err != nil || !strings.Contains(string(words), t.Marker()) {
			return false
		}
		null, err := os.Open(root + "/dev/null")
		null.Close() // of a nil file an error, not a panic
		return err != nil
	})
}

// proc is the path of a file in a process's directory in the host's /proc.
func proc(p check.Process, name string) string { return fmt.Sprintf("/proc/%d/%s", p.Pid, name) }

// inside is the host's path of a file in the container. What leads to it is the
// checker's own: there are no links on the way.
func inside(c *check.Container, path string) string {
	return proc(c.Process, "root"+path)
}

// finish releases the container, and fails if its engine does not end with its status.
func finish(c *check.Container) error {
	if err := c.Release(); err != nil {
		return err
	}
	status, err := c.Wait()
	if err == nil && status != c.Exits {
		err = check.Fail(fmt.Sprintf("the engine exits with %d, its command's status", c.Exits), fmt.Sprintf("%d", status), "see lab 1, exit-status")
	}
	return err
}
