// Package rootfs is lab 2: an engine whose containers have a directory as their root,
// and see none of the host's files.
package rootfs

import (
	"fmt"
	"os"
	"path/filepath"

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
	},
	Mutants: mutants,
	Before: map[string]check.Verdict{ // stage 1 knows no --rootfs
		"root": check.Failed, "host-gone": check.Blocked, "chroot-escape": check.Blocked, "propagation": check.Blocked,
		"proc-and-sys": check.Blocked, "dev": check.Blocked, "read-only": check.Blocked,
		"command": check.Blocked, "missing-rootfs": check.Failed, "again": check.Blocked,
	},
	Docker: map[string]string{},
}

const (
	busybox = "/bin/busybox"
	chapter = "chapters/02-rootfs/README.md"
)

// prepare puts an empty file in the place of /dev/null, which the probe's shell opens:
// so an engine that has no /dev yet gets its other checks made.
func prepare(t *check.Trial) error {
	return os.WriteFile(filepath.Join(t.Rootfs(), "dev/null"), nil, 0o666)
}

// start has the engine run the probe.
func start(t *check.Trial, flags ...string) (*check.Container, error) {
	if err := prepare(t); err != nil {
		return nil, err
	}
	return t.Start(flags, "wait")
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
