package spec

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/mount"
	"golang.org/x/sys/unix"
)

// PrepareSource makes sure that what a bind mount shows exists, and that its
// propagation can work. With BindOptions.CreateMountpoint, which -v sets, a
// missing source becomes a directory of root's; otherwise it is an error in
// Docker's words.
func PrepareSource(m mount.Mount) error {
	_, err := os.Stat(m.Source)
	switch {
	case err == nil:
	case !errors.Is(err, os.ErrNotExist):
		return mountError(m, err.Error())
	case m.BindOptions == nil || !m.BindOptions.CreateMountpoint:
		return mountError(m, "bind source path does not exist: "+m.Source)
	default:
		if err := os.MkdirAll(m.Source, 0o755); err != nil {
			return fmt.Errorf("error while creating mount source path '%s': %w", m.Source, err)
		}
	}
	if m.BindOptions == nil {
		return nil
	}
	switch m.BindOptions.Propagation {
	case mount.PropagationShared, mount.PropagationRShared:
		return checkPropagation(m.Source, "shared", "shared:")
	case mount.PropagationSlave, mount.PropagationRSlave:
		return checkPropagation(m.Source, "shared or slave", "shared:", "master:")
	}
	return nil
}

// checkPropagation refuses a source whose mount has no peers to pass mounts on
// to, or to receive them from: none of the tags in its line of
// /proc/self/mountinfo (proc_pid_mountinfo(5), optional fields).
func checkPropagation(source, kind string, tags ...string) error {
	var stat unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, source, 0, unix.STATX_MNT_ID, &stat); err != nil {
		return fmt.Errorf("find the mount of %s: %w", source, err)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		before, _, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before) // ID, parent, device, root, mount point, options, tags
		if fields[0] != strconv.FormatUint(stat.Mnt_id, 10) {
			continue
		}
		if slices.ContainsFunc(fields[6:], func(tag string) bool { return slices.Contains(tags, tag[:7]) }) {
			return nil
		}
		return fmt.Errorf("path %s is mounted on %s but it is not a %s mount", source, fields[4], kind)
	}
	return fmt.Errorf("Could not find source mount of %s", source)
}
