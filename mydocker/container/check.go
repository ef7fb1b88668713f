package container

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/disk"
)

// Leftover is something a crash left, or damage.
type Leftover struct {
	Path string
	Why  string
	Err  error // why it could not be repaired; nil: it was, or nobody asked
}

// Sweep finishes what killed processes left half done: creations and removals, of volumes too.
// Any command may call it while others run; what a living process is at is left
// alone. When there is nothing to do it costs the reading of three directories.
func (s *Store) Sweep() error {
	c := &checker{Store: s, repair: true}
	return errors.Join(c.look(), s.Volumes.Sweep(s.VolumeUsers))
}

// Check looks for everything that should not be there: half-made and
// half-removed containers, names without a container, containers without their
// name, damaged records, temporary files of dead writers, run directories
// without a container. With repair it removes or restores them; damage it only tells.
func (s *Store) Check(repair bool) ([]Leftover, error) {
	c := &checker{Store: s, repair: repair, all: true}
	err := c.look()
	return c.found, err
}

type checker struct {
	*Store
	repair bool
	all    bool // also look at what costs the reading of every record
	found  []Leftover
}

func (c *checker) report(path, why string, repair func() error) {
	var err error
	if c.repair {
		err = repair()
	}
	c.found = append(c.found, Leftover{path, why, err})
}

func (c *checker) look() error {
	entries, err := disk.List(c.containers())
	names, namesErr := disk.List(c.names())
	if err = errors.Join(err, namesErr); err != nil {
		return err
	}
	odd := slices.ContainsFunc(entries, func(entry string) bool { return !isID(entry) })
	// Every container has one name: one more is a claim whose owner is no
	// container, not yet or no longer.
	if !c.all && !odd && len(names) <= len(entries) {
		return nil
	}
	for _, name := range names {
		c.name(name)
	}
	for _, entry := range entries {
		if !isID(entry) {
			c.halfDone(entry)
		} else if c.all {
			c.container(entry)
		}
	}
	if c.all {
		return errors.Join(c.runDirs(), c.ids())
	}
	return nil
}

func (c *checker) runDirs() error {
	ids, err := disk.List(filepath.Dir(c.RunDir("-")))
	for _, id := range ids {
		if path := c.RunDir(id); !exists(c.Dir(id)) && !exists(c.Dir(removing+id)) && exists(path) {
			c.report(path, "run directory without a container", func() error { return disk.RemoveAll(path) })
		}
	}
	return err
}

// name looks whether a name has a living owner.
func (c *checker) name(name string) {
	const why = "name without a container"
	path, id := c.namePath(name), c.owner(name)
	if lock, err := c.lockDead(name); err == nil {
		defer lock.Release()
		c.report(path, why, func() error { return os.Remove(path) })
	} else if c.all && isID(id) && !exists(c.Dir(making+id)) && !exists(c.Dir(id)) && !exists(c.Dir(removing+id)) {
		// Its directory was deleted by hand, while somebody holds its lock.
		c.report(path, why, func() error { return c.free(name, id) })
	} else {
		c.secondName(name, id)
	}
}

// secondName frees the name that a rename, which was killed, left beside the one in
// the record. A living container's monitor may be at it.
func (c *checker) secondName(name, id string) {
	if r, err := c.Record(id); err != nil || r.Name == name {
		return
	}
	lock, err := c.TryLock(id)
	if err != nil {
		return
	}
	defer lock.Release()
	if r, err := c.Record(id); err == nil && r.Name != name {
		c.report(c.namePath(name), "second name of container "+id, func() error { return c.free(name, id) })
	}
}

// halfDone looks at a directory that is not yet, or no longer, a container.
func (c *checker) halfDone(entry string) {
	id := strings.TrimPrefix(strings.TrimPrefix(entry, removing), making)
	if !isID(id) {
		c.report(c.Dir(entry), "not a container", func() error { return errors.New("remove it by hand") })
	} else if lock, err := disk.TryAcquire(c.LockPath(entry), disk.Exclusive); err == nil {
		defer lock.Release()
		c.report(c.Dir(entry), "half-made or half-removed container", func() error { return c.discard(entry, id) })
	}
}

// container looks at a container.
func (c *checker) container(id string) {
	lock, lockErr := disk.TryAcquire(c.LockPath(id), disk.Exclusive)
	if lockErr == nil {
		defer lock.Release()
	}
	r, err := c.Record(id)
	if err == nil {
		_, err = c.State(id)
	}
	if gone := (*NotFoundError)(nil); errors.As(err, &gone) {
		return
	}
	if err != nil {
		c.report(c.Dir(id), "damaged container", func() error { return err })
		return
	}
	if lockErr != nil {
		return // a living writer may have temporary files
	}
	if c.owner(r.Name) != id {
		c.report(c.namePath(r.Name), "name of container "+id+" is missing", func() error { return c.claim(r.Name, id) })
	}
	files, _ := disk.List(c.Dir(id))
	for _, file := range files {
		if strings.HasPrefix(file, ".tmp-") {
			path := c.file(id, file)
			c.report(path, "temporary file of a dead process", func() error { return os.Remove(path) })
		}
	}
}
