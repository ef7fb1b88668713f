package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
)

// Leftover is something a crash left, or damage.
type Leftover struct {
	Path string
	Why  string
	Err  error // why it could not be repaired; nil: it was, or nobody asked
}

func (l Leftover) String() string {
	text := l.Path + ": " + l.Why
	if l.Err != nil {
		text += ": " + l.Err.Error()
	}
	return text
}

// Sweep finishes what killed processes left half done: creations, removals,
// renames. Any command may call it while others run; what a living process is at
// is left alone. When there is nothing to do it costs the reading of two directories.
func (s *Store) Sweep() error {
	entries, err := list(s.containers())
	if err != nil {
		return err
	}
	names, err := list(s.names())
	if err != nil {
		return err
	}
	odd, ids := false, 0
	for _, entry := range entries {
		if isID(entry) {
			ids++
		} else {
			odd = true
		}
	}
	// Every container has one name: one name more is a claim whose owner is no
	// container, not yet or no longer.
	if !odd && len(names) <= ids {
		return nil
	}
	c := &checker{Store: s, repair: true}
	err = c.halfDone()
	return errors.Join(err, c.deadNames())
}

// Check looks for everything that should not be there: half-made and
// half-removed containers, names without a container, containers without their
// name, damaged records, temporary files of dead writers, run directories
// without a container. With repair it removes or restores them; damage it only tells.
func (s *Store) Check(repair bool) ([]Leftover, error) {
	c := &checker{Store: s, repair: repair}
	err := errors.Join(c.halfDone(), c.deadNames(), c.records(), c.runDirs())
	return c.found, err
}

type checker struct {
	*Store
	repair bool
	found  []Leftover
}

func (c *checker) report(path, why string, repair func() error) {
	var err error
	if c.repair {
		err = repair()
	}
	c.found = append(c.found, Leftover{path, why, err})
}

func (c *checker) halfDone() error {
	entries, err := list(c.containers())
	if err != nil {
		return err
	}
	var claimed map[string]bool // IDs that a living creator is making
	for _, entry := range entries {
		path := c.Dir(entry)
		if id, ok := strings.CutPrefix(entry, removing); ok {
			if !held(filepath.Join(path, lockFile)) && exists(path) {
				c.report(path, "half-removed container", func() error { return c.finish(id) })
			}
		} else if id, ok := strings.CutPrefix(entry, making); ok {
			// The names are read after the directory was seen: its creator, if it
			// lives, had claimed one before it made the directory.
			if claimed == nil {
				if claimed, err = c.claims(); err != nil {
					return err
				}
			}
			if !claimed[id] && exists(path) {
				c.report(path, "half-made container", func() error { return disk.RemoveAll(path) })
			}
		} else if !isID(entry) {
			c.report(path, "not a container", func() error { return errors.New("remove it by hand") })
		}
	}
	return nil
}

func (c *checker) claims() (map[string]bool, error) {
	names, err := list(c.names())
	claimed := map[string]bool{}
	for _, name := range names {
		if id, err := os.ReadFile(c.namePath(name)); err == nil && held(c.namePath(name)) {
			claimed[string(id)] = true
		}
	}
	return claimed, err
}

func held(path string) bool {
	is, err := locked(path)
	return is && err == nil
}

func (c *checker) deadNames() error {
	names, err := list(c.names())
	if err != nil {
		return err
	}
	for _, name := range names {
		path := c.namePath(name)
		file, id, err := c.lockName(name, unix.LOCK_NB)
		if err != nil {
			continue // gone, or its creator is at work
		}
		alive := isID(id) && exists(c.Dir(id))
		file.Close()
		switch {
		case !alive && !held(filepath.Join(c.Dir(removing+id), lockFile)):
			c.report(path, "name without a container", func() error { return c.evict(name) })
		case alive:
			// A rename that died gave the container a second name.
			lock, err := c.TryLock(id)
			if err != nil {
				continue
			}
			if r, err := c.Record(id); err == nil && r.Name != name {
				c.report(path, "name of a container that has another", func() error { return c.free(name, id) })
			}
			lock.Release()
		}
	}
	return nil
}

func (c *checker) records() error {
	ids, err := c.IDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		r, err := c.Record(id)
		if err == nil {
			_, err = c.State(id)
		}
		if gone := (*NotFoundError)(nil); errors.As(err, &gone) {
			continue
		}
		if err != nil {
			c.report(c.Dir(id), "damaged container", func() error { return err })
			continue
		}
		lock, err := c.TryLock(id)
		if err != nil {
			continue // a living writer may rename it and has temporary files
		}
		if !exists(c.namePath(r.Name)) {
			c.report(c.namePath(r.Name), "name of container "+id+" is missing", func() error {
				claimed, err := c.claim(r.Name, id, disk.Durable)
				if err == nil {
					claimed.Close()
				}
				return err
			})
		}
		entries, _ := list(c.Dir(id))
		for _, entry := range entries {
			if strings.HasPrefix(entry, ".tmp-") {
				path := filepath.Join(c.Dir(id), entry)
				c.report(path, "temporary file of a dead process", func() error { return os.Remove(path) })
			}
		}
		lock.Release()
	}
	return nil
}

func (c *checker) runDirs() error {
	entries, err := list(filepath.Dir(c.RunDir("-")))
	if err != nil {
		return fmt.Errorf("check run directories: %w", err)
	}
	for _, entry := range entries {
		path := c.RunDir(entry)
		if !exists(c.Dir(entry)) && !exists(c.Dir(removing+entry)) && exists(path) {
			c.report(path, "run directory without a container", func() error { return disk.RemoveAll(path) })
		}
	}
	return nil
}
