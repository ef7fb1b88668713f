// First version: start the command, then put it into a cgroup with a limit.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: first3 BYTES COMMAND [ARGUMENT...]")
		os.Exit(125)
	}
	group, limit := filepath.Join("/sys/fs/cgroup", "first3"), "memory.max"
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil { // version 1: a tree for each controller
		group, limit = filepath.Join("/sys/fs/cgroup/memory", "first3"), "memory.limit_in_bytes"
	}
	check(os.MkdirAll(group, 0o755))
	check(os.WriteFile(filepath.Join(group, limit), []byte(os.Args[1]), 0o644))

	command := exec.Command(os.Args[2], os.Args[3:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	check(command.Start())
	check(os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(command.Process.Pid)), 0o644))
	err := command.Wait()
	os.Remove(group) // by rmdir(2); the files in it are the kernel's
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 0 {
		fmt.Fprintln(os.Stderr, "first3:", exit)
		os.Exit(137)
	}
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "first3:", err)
		os.Exit(125)
	}
}
