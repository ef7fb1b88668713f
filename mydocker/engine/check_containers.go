package engine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
)

// ifDead calls f while it is certain that nobody lives in the container nor
// works on it. A check that only reports shares the lock with those that only
// look, so that it disturbs nobody's.
func (c *check) ifDead(id string, f func()) error {
	var lock *disk.Lock
	var err error
	if c.repair {
		lock, err = c.containers.TryLock(id)
	} else {
		lock, err = disk.TryAcquire(c.containers.LockPath(id), disk.Shared)
	}
	var gone *container.NotFoundError
	switch {
	case errors.Is(err, disk.ErrLocked), errors.As(err, &gone), errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("check container %s: %w", id, err)
	}
	defer lock.Release()
	f()
	return nil
}

// dead finds containers that nobody has told about their end: the state says
// that they run, or there still is a run directory. What cannot be read, records tells.
func (c *check) dead() error {
	ids, err := c.containers.IDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := c.ifDead(id, func() {
			settle := sync.OnceValue(func() error { return c.settle(id) })
			dir := c.containers.RunDir(id)
			_, noDir := os.Lstat(dir)
			if state, err := c.containers.State(id); err == nil && running(state) {
				c.report("container", id, fmt.Sprintf("its state says %s, but it has no monitor", state.Status), settle)
			}
			if noDir == nil {
				c.report("run directory", dir, "its container is dead", settle)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settle is reconcile, to which a container that went by it (--rm) is a success.
func (c *check) settle(id string) error {
	err := c.reconcile(id)
	var gone *container.NotFoundError
	if errors.As(err, &gone) {
		return nil
	}
	return err
}

// locks finds containers whose lock is held by a process that is no monitor and
// no command: it inherited the descriptor, and the container can never be
// started or removed. Who holds a lock it did not take itself, /proc/locks does
// not tell; who has the file open does.
func (c *check) locks() error {
	ids, err := c.containers.IDs()
	if err != nil {
		return err
	}
	var suspect []string
	for _, id := range ids {
		if alive, err := c.containers.Alive(id); err == nil && alive {
			suspect = append(suspect, id)
		}
	}
	if len(suspect) == 0 {
		return nil
	}
	for end := time.Now().Add(grace); ; time.Sleep(pause) { // a monitor is on its way in or out, or a command at work
		all, err := c.listMonitors()
		if err != nil {
			return err
		}
		var still []string
		for _, id := range suspect {
			if alive, err := c.containers.Alive(id); err == nil && alive && !all.own[id] {
				still = append(still, id)
			}
		}
		if suspect = still; len(suspect) == 0 {
			return nil
		}
		if time.Now().After(end) {
			break
		}
	}
	for _, id := range suspect {
		for _, pid := range holders(c.containers.LockPath(id)) {
			if argv := commandLine(pid); !isCommand(pid, argv) {
				c.report("lock", c.containers.LockPath(id), fmt.Sprintf("held by process %d (%s), which has nothing to do with it: end that process",
					pid, strings.Join(argv, " ")), nil)
			}
		}
	}
	return nil
}

// records has the container store look through its own.
func (c *check) records() error {
	all, err := c.listMonitors()
	if err != nil {
		return err
	}
	// Another root may use the same run root, and its containers have a run
	// directory but no record here. Then nothing is repaired.
	shared := len(all.foreign) > 0
	lasting, err := c.lasting()
	if err != nil || len(lasting) == 0 {
		return err
	}
	found, err := c.containers.Check(c.repair && !shared)
	for _, l := range found {
		if !lasting[l.Path] || shared && all.foreign[filepath.Base(l.Path)] {
			continue
		}
		leak := Leak{Kind: "container", Object: l.Path, Reason: l.Why, Repaired: c.repair && !shared && l.Err == nil}
		switch filepath.Dir(l.Path) {
		case filepath.Join(c.config.Root, "names"):
			leak.Kind = "name"
		case filepath.Join(c.config.RunRoot, "containers"):
			leak.Kind = "run directory"
		}
		if l.Err != nil {
			leak.Reason += "; " + l.Err.Error()
		}
		if shared && c.repair {
			leak.Reason += "; containers of another root run with this instance, so it is left"
		}
		c.leaks = append(c.leaks, leak)
	}
	return err
}

// lasting are the leftovers, by path, that are no removal about to succeed: its
// last step removes the lock file and then the directory, and between the two
// nothing shows that the remover lives.
func (c *check) lasting() (map[string]bool, error) {
	var paths map[string]bool
	for end := time.Now().Add(grace / 4); ; time.Sleep(pause) {
		found, err := c.containers.Check(false)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, l := range found {
			seen[l.Path] = paths == nil || paths[l.Path]
		}
		maps.DeleteFunc(seen, func(_ string, still bool) bool { return !still })
		if paths = seen; len(paths) == 0 || time.Now().After(end) {
			return paths, nil
		}
	}
}

// imageStore has the image store look through its own. Repair forgets images
// whose manifest is lost, and with them goes what no other image needs; a
// container may be made of it, so then nothing is repaired.
func (c *check) imageStore() error {
	repair := c.repair
	if repair {
		lock, err := c.lockStore(disk.Exclusive)
		if err != nil {
			return err
		}
		defer lock.Release()
		if repair, err = c.mayForget(); err != nil {
			return err
		}
	}
	problems, err := c.images.Check(repair, false)
	for _, p := range problems {
		if c.repair && !repair {
			p.Reason += "; an image is damaged and there are containers, which may be made of it: remove these first"
		}
		c.leaks = append(c.leaks, Leak(p))
	}
	return err
}

func (c *check) mayForget() (bool, error) {
	ids, err := c.containers.IDs()
	if err != nil || len(ids) == 0 {
		return err == nil, err
	}
	problems, err := c.images.Check(false, false)
	for _, p := range problems {
		if p.Kind == "image" {
			return false, err
		}
	}
	return err == nil, err
}
