package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// setting is one value to write into one file of a group; the file's name up to
// the first dot is its controller.
type setting struct {
	file, value string
	optional    bool   // the kernel may be built or booted without this file
	or          string // the file to use when there is no such file,
	orValue     string // and its value
}

// settings computes what to write for res, everything but pids.max and devices.
func settings(version int, res *specs.LinuxResources) ([]setting, error) {
	if res == nil {
		return nil, nil
	}
	var all []setting
	for _, controller := range [...]func(int, *specs.LinuxResources) ([]setting, error){
		cpu, cpuset, memory, blockIO, hugetlb, unified,
	} {
		list, err := controller(version, res)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// apply writes s into the group's directory for its controller.
func (s setting) apply(dir string) error {
	err := write(filepath.Join(dir, s.file), s.value)
	if errors.Is(err, unix.ENOENT) && s.or != "" {
		err = write(filepath.Join(dir, s.or), s.orValue)
	}
	if errors.Is(err, unix.ENOENT) && s.optional {
		trace.Step("skip", "%s: this kernel does not have it", s.file)
		return nil
	}
	return err
}

// controller returns the name of the controller that owns a file.
func controller(file string) string {
	name, _, _ := strings.Cut(file, ".")
	return name
}

// write writes value with a single write(2), which a cgroup file takes as one
// command. It never creates a file: a missing one is ENOENT, a missing feature.
func write(file, value string) error {
	trace.Step("write", "%s < %s", file, value)
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_TRUNC|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		err = writeTo(fd, value)
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, file, err)
	}
	return nil
}

// writeTo repeats a write that a signal interrupted: the kernel gives up
// reclaiming memory for a lower limit with EINTR, and the Go runtime uses signals.
func writeTo(fd int, value string) error {
	for {
		_, err := unix.Write(fd, []byte(value))
		if err != unix.EINTR {
			return err
		}
	}
}

// read returns a file's text without white space at its ends.
func read(dir, file string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	return strings.TrimSpace(string(data)), err
}

// readNumber reads a file with one number; "max" and a missing file are 0.
func readNumber(dir, file string) (uint64, error) {
	text, err := read(dir, file)
	if gone(err) || text == "max" {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Join(dir, file), err)
	}
	return n, nil
}

// readKey returns the number after key in a file of "key number" lines, 0
// without the file or the key.
func readKey(dir, file, key string) (uint64, error) {
	text, err := read(dir, file)
	if err != nil && !gone(err) {
		return 0, err
	}
	return parseKey(text, key)
}

func parseKey(text, key string) (uint64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+" "); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, nil
}

func exists(file string) bool { return unix.Access(file, unix.F_OK) == nil }

// gone reports that a group does not exist, or ceased to while it was being
// read: then its files, though open, give ENODEV.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}
