package check

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// groups lists the cgroups of all hierarchies.
func groups() (paths []string) {
	mounts, _ := Process{os.Getpid()}.Mounts()
	for _, m := range mounts {
		if strings.HasPrefix(m.Type, "cgroup") {
			filepath.WalkDir(m.Point, func(path string, entry fs.DirEntry, err error) error {
				if err != nil { // it went away
					return fs.SkipDir
				}
				if entry.IsDir() {
					paths = append(paths, path)
				}
				return nil
			})
		}
	}
	return paths
}

// empty tells whether a cgroup is there, and no process in it.
func empty(path string) bool {
	procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	return err == nil && len(procs) == 0
}

// family is what the names of an engine's cgroups have in common, "" if that cannot be
// told: what stands before the last mark, unless it may be random itself.
func family(path string) string {
	name := filepath.Base(path)
	prefix := name[:strings.LastIndexAny(name, "-_.")+1]
	if strings.Trim(prefix, "0123456789abcdef-_.") == "" {
		return ""
	}
	return prefix
}

// akin tells whether a cgroup stands beside those in which containers were seen, and is
// named like them: "engine-1a2b" beside "engine-9c8d".
func (s *session) akin(path string) bool {
	for seen := range s.cgroups {
		if family(seen) != "" && family(seen) == family(path) && filepath.Dir(seen) == filepath.Dir(path) {
			return true
		}
	}
	return false
}

// alone tells whether no other checker is there, alive or killed, whose engine may have the
// same name: then an empty cgroup of that family was made for a container that never came.
func alone() bool {
	all, _ := filepath.Glob(filepath.Join(Directory(), "labs*"))
	return len(all) < 2
}

// Beside tells whether a cgroup is where the cgroups of this run's containers were, and
// named like them, or none was seen: what is elsewhere is somebody else's.
func (t *Trial) Beside(path string) bool {
	for seen := range t.session.cgroups {
		if filepath.Dir(seen) == filepath.Dir(path) && (family(seen) == "" || family(seen) == family(path)) {
			return true
		}
	}
	return len(t.session.cgroups) == 0
}

// suspectOrphans suspects the cgroups of an engine that was killed with its checker before
// its container was seen: they are named like those that were, and have come since then.
func (s *session) suspectOrphans() {
	before, err := os.ReadFile(filepath.Join(s.dir, "before"))
	if err != nil {
		return
	}
	had := strings.Split(string(before), "\n")
	for _, path := range groups() {
		if !s.cgroups[path] && !slices.Contains(had, path) && s.akin(path) && empty(path) {
			s.suspect[path] = time.Now()
		}
	}
	s.removeSuspects()
}

// removeSuspects removes the empty cgroups that are named like those of this engine's
// containers. They may be those of another engine with the same name, for a container that
// is about to come: that takes less than the time they have stayed empty by then.
func (s *session) removeSuspects() {
	for path, since := range s.suspect {
		time.Sleep(time.Until(since.Add(2 * time.Second)))
		if empty(path) {
			removeCgroup(path)
		}
	}
}

// removeCgroup removes a cgroup and those below it, unless processes are in one.
func removeCgroup(path string) error {
	var below []string
	filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			below = append(below, path)
		}
		return nil
	})
	for i := len(below) - 1; i >= 0; i-- {
		if err := unix.Rmdir(below[i]); err != nil && err != unix.ENOENT {
			return fmt.Errorf("remove cgroup %s: %w", below[i], err)
		}
	}
	return nil
}
