package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// readPids lists the processes in the group dir and below it in one hierarchy.
func readPids(dir string) ([]int, error) {
	var list []int
	err := visit(dir, func(dir string) error {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		// A threaded group of version 2 refuses to be read; its processes are
		// listed in the nearest group above that is not threaded.
		if gone(err) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
		for field := range strings.FieldsSeq(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("list processes in %s: %w", dir, err)
			}
			list = append(list, pid)
		}
		return nil
	})
	return list, err
}

// remove deletes the group dir and the groups below it in one hierarchy, children
// first. rmdir(2) takes the kernel's files with the directory.
//
// A group stays busy for a moment after its last process was killed: it leaves its
// groups late in its exit. So EBUSY is tried again until end.
func remove(dir string, end time.Time) error {
	trace.Step("rmdir", "%s", dir)
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || gone(err) {
			return nil
		}
		if err != unix.EBUSY && err != unix.ENOTEMPTY {
			return fmt.Errorf("rmdir %s: %w", dir, err)
		}
		children, err := subgroups(dir)
		if err != nil {
			return err
		}
		for _, child := range children {
			if err := remove(filepath.Join(dir, child), end); err != nil {
				return err
			}
		}
		if len(children) > 0 && unix.Rmdir(dir) == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("rmdir %s: %w", dir, ErrBusy)
		}
		time.Sleep(wait)
	}
}
