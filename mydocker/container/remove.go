package container

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"minidocker/mydocker/disk"
)

// Remove takes the container away: its record, its name, its log, its writable
// layer, its run directory. The caller holds its lock (which thereafter locks
// nothing) and has unmounted what it mounted. With anything mounted below, nothing
// is removed and the error matches disk.ErrMounted.
func (s *Store) Remove(id string) error {
	if err := unmounted(s.Dir(id), s.RunDir(id)); err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	// From this rename on it is no container any more; a crash after it leaves
	// what Sweep finishes.
	aside := s.Dir(removing + id)
	if err := os.Rename(s.Dir(id), aside); err != nil {
		return absent(id, fmt.Errorf("remove container %s: %w", id, err))
	}
	return s.finish(id)
}

// finish removes what remains of a container whose directory has been renamed.
// Any number of processes may do it at once. What tells who it was and whether
// its remover lives, config.json and monitor.lock, goes last.
func (s *Store) finish(id string) error {
	aside := s.Dir(removing + id)
	names := []string{}
	var r Record
	switch err := disk.ReadJSON(filepath.Join(aside, configFile), &r); {
	case err == nil:
		names = append(names, r.Name)
	case !errors.Is(err, os.ErrNotExist): // damaged: look who has this ID
		names, _ = list(s.names())
	}
	for _, name := range names {
		if err := s.free(name, id); err != nil {
			return err
		}
	}
	if err := disk.RemoveAll(s.RunDir(id)); err != nil {
		return err
	}
	entries, err := list(aside)
	if err != nil {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	for _, entry := range entries {
		if entry != configFile && entry != lockFile {
			if err := disk.RemoveAll(filepath.Join(aside, entry)); err != nil {
				return err
			}
		}
	}
	return disk.RemoveAll(aside)
}

// unmounted makes sure that nothing is mounted at or below the directories.
// disk.RemoveAll would stop there too, but with half of the tree gone.
func unmounted(dirs ...string) error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer file.Close()
	for i, dir := range dirs {
		if dirs[i], err = filepath.Abs(dir); err != nil {
			return err
		}
	}
	// proc_pid_mountinfo(5): the fifth field is the mount point, space, tab, newline and backslash in octal.
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), " ", 6)
		if len(fields) < 6 {
			continue
		}
		point := plain.Replace(fields[4])
		for _, dir := range dirs {
			if point == dir || strings.HasPrefix(point, dir+"/") {
				return fmt.Errorf("%s: %w", point, disk.ErrMounted)
			}
		}
	}
	return lines.Err()
}
