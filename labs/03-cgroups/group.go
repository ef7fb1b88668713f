package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"minidocker/labs/check"
)

// controllers are those of memory, cpu and pids that this host has.
func controllers(t *check.Trial) (found []string, err error) {
	for _, name := range []string{"memory", "cpu", "pids"} {
		if _, err = groupOf(t, t.Control, name); err == nil {
			found = append(found, name)
		}
	}
	if len(found) > 0 {
		err = nil
	}
	return found, err
}

// group is the cgroup in which a controller counts and limits a process.
type group struct {
	version int    // of the tree that has the controller
	path    string // as /proc/PID/cgroup shows it
	dir     string // on the host
}

// groupOf finds a process's group. It is CannotCheck on a host without the controller.
func groupOf(t *check.Trial, p check.Process, controller string) (group, error) {
	paths, err := p.Cgroups()
	if err != nil {
		return group{}, err
	}
	mounts, err := t.Host()
	if err != nil {
		return group{}, err
	}
	for _, m := range mounts {
		path, v1 := paths[controller]
		switch {
		case v1 && m.Type == "cgroup" && slices.Contains(strings.Split(filepath.Base(m.Point), ","), controller):
			return group{1, path, below(m, path)}, nil
		case !v1 && m.Type == "cgroup2":
			has, err := os.ReadFile(filepath.Join(m.Point, "cgroup.controllers"))
			if err != nil {
				return group{}, err
			}
			if slices.Contains(strings.Fields(string(has)), controller) {
				return group{2, paths[""], below(m, paths[""])}, nil
			}
		}
	}
	return group{}, check.CannotCheck("this host's cgroups have no controller " + controller)
}

// below is the directory of a group in a tree that is mounted.
func below(m check.Mount, path string) string {
	return filepath.Join(m.Point, strings.TrimPrefix(path, strings.TrimSuffix(m.Root, "/")))
}

// pick is the first of two for version 1, the second for version 2.
func (g group) pick(v1, v2 string) string {
	if g.version == 1 {
		return v1
	}
	return v2
}

// read reads one of the group's files.
func (g group) read(name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(g.dir, name))
	return strings.TrimSpace(string(data)), err
}

// count reads the number that follows a key in one of the group's files; 0: no such key.
func (g group) count(name, key string) (int64, error) {
	text, err := g.read(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, nil
}

// unlimited tells whether a limit that was read is none. Version 1's memory has, instead
// of a word, the largest number of whole pages.
func unlimited(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return text == "max" || err == nil && (n == -1 || n >= 1<<62)
}

// all lists the directories of all groups on this host, and whether they are empty: no
// process is in them, nor in those below.
func all(t *check.Trial) (map[string]bool, error) {
	mounts, err := t.Host()
	if err != nil {
		return nil, err
	}
	empty := map[string]bool{}
	for _, m := range mounts {
		if !strings.HasPrefix(m.Type, "cgroup") {
			continue
		}
		err := filepath.WalkDir(m.Point, func(path string, entry fs.DirEntry, err error) error {
			if err != nil { // others' groups come and go
				return ignore(err)
			}
			if entry.IsDir() {
				procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
				empty[path] = err == nil && len(procs) == 0
				for above := filepath.Dir(path); !empty[path] && empty[above]; above = filepath.Dir(above) {
					empty[above] = false
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list the groups in %s: %w", m.Point, err)
		}
	}
	return empty, nil
}

func ignore(err error) error {
	if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "no such device") {
		return nil
	}
	return err
}

// left is an empty group beside the containers' that was not there before, "" if none stays:
// an engine that leaves the work to a daemon may have ended first, and others make groups,
// too, which do not stay empty.
func left(t *check.Trial, before map[string]bool) (path string, err error) {
	var stay map[string]bool // those that were there and empty each time
	soon(t, func() bool {
		var now map[string]bool
		if now, err = all(t); err != nil {
			return true
		}
		still := map[string]bool{}
		path = ""
		for dir, empty := range now {
			if _, had := before[dir]; !had && empty && t.Beside(dir) && (stay == nil || stay[dir]) {
				path, still[dir] = dir, true
			}
		}
		stay = still
		return path == ""
	})
	return path, err
}

// soon is Poll with a third of the time: for what should have happened already.
func soon(t *check.Trial, ready func() bool) bool {
	defer func(deadline time.Duration) { t.Deadline = deadline }(t.Deadline)
	t.Deadline /= 3
	return t.Poll(ready)
}
