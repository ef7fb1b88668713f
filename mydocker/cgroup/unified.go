package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// unifiedSettings are files of version 2 by name (OCI config-linux.md, "Unified"), which
// is the way to what the other fields do not have, such as memory.high. Errors are
// worded as runc's.
func unifiedSettings(files map[string]string, version int) (list []setting, err error) {
	if len(files) > 0 && version != 2 {
		return nil, errors.New("invalid configuration: cannot use unified on cgroup v1")
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.Contains(name, "/") {
			return nil, fmt.Errorf("unified resource %q must be a file name (no slashes)", name)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(files[name], "\n"), "\n") { // the kernel takes one at a time
			list = append(list, setting{v2: entry{name, line}, unified: true})
		}
	}
	return list, nil
}

// explainUnified says what may be wrong with a name that the kernel does not know.
func (g Group) explainUnified(name string, err error) error {
	controller, _, ok := strings.Cut(name, ".")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		if !ok {
			return fmt.Errorf("unified resource %q must be in the form CONTROLLER.PARAMETER", name)
		}
		if has, _ := readFields(g.Paths()[""], "cgroup.controllers"); controller != "cgroup" && !slices.Contains(has, controller) {
			return fmt.Errorf("unified resource %q can't be set: controller %q not available", name, controller)
		}
	}
	return fmt.Errorf("unable to set unified resource %q: %w", name, err)
}
