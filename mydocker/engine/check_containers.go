package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/image"

	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"
)

// unlessGone is err, but nil if its object does not exist: that is a success here.
func unlessGone(err error) error {
	if isGone(err) || errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// ifDead calls f while it is certain that nobody lives in the container nor works
// on it, or if there is no such container. A check that only reports shares the
// lock with those that only look.
func (c *check) ifDead(id string, f func() error) error {
	mode := disk.Shared
	if c.repair {
		mode = disk.Exclusive
	}
	lock, err := disk.TryAcquire(c.containers.LockPath(id), mode)
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err == nil {
		defer lock.Release()
	} else if unlessGone(err) != nil {
		return err
	}
	return f()
}

// dead finds containers that nobody has told about their end: the state says
// that they run, or there still is a run directory.
func (c *check) dead() error {
	ids, err := c.containers.IDs()
	for _, id := range ids {
		err = errors.Join(err, c.ifDead(id, func() error {
			state, err := c.containers.State(id)
			if err != nil {
				return nil // it is gone, or damaged: that is for records to tell
			}
			// One that waits for its next life waits for the next command.
			if _, err := os.Lstat(c.containers.RunDir(id)); err == nil || running(state) && state.Status != api.StateRestarting {
				c.report("container", id, fmt.Sprintf("nobody recorded its end (state %s) or removed its run directory", state.Status),
					func() error {
						_, err := c.reconcile(id)
						return unlessGone(err)
					}) // gone by --rm
			}
			return nil
		}))
	}
	return err
}

// records has the container store look through its own. A removal's last steps take
// the lock file before the directory: between them nothing shows that it goes on.
func (c *check) records() error {
	lasting, err := stable(grace/4, func() (map[string]string, error) {
		found, err := c.containers.Check(false)
		reasons := map[string]string{}
		for _, l := range found {
			reasons[l.Path] = l.Why
		}
		return reasons, err
	})
	if err != nil || len(lasting) == 0 {
		return err
	}
	// Containers of another root may have run directories here, but no record.
	if _, err = c.suspects(); err != nil {
		return err
	}
	repair := c.repair && len(c.foreign) == 0
	found, err := c.containers.Check(repair)
	for _, l := range found {
		if lasting[l.Path] == "" || c.foreign[filepath.Base(l.Path)] {
			continue
		}
		leak := Leak{Kind: "record", Object: l.Path, Reason: l.Why, Repaired: repair && l.Err == nil}
		if l.Err != nil {
			leak.Reason += "; " + l.Err.Error()
		} else if c.repair && !repair {
			leak.Reason += "; it is left, since containers of another root run with this instance"
		}
		c.leaks = append(c.leaks, leak)
	}
	return err
}

// imageStore has the image store look through its own. Repair forgets an image whose
// manifest or config is lost, and its layers: not while containers may be made of them.
func (c *check) imageStore() error {
	repair, kept := c.repair, ""
	if repair {
		lock, err := c.lockStore(disk.Exclusive)
		if err != nil {
			return err
		}
		defer lock.Release()
		ids, err := c.containers.IDs()
		problems, err2 := c.images.Check(false, false)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if len(ids) > 0 && slices.ContainsFunc(problems, func(p image.Problem) bool { return p.Kind == "image" }) {
			repair, kept = false, "; an image is damaged and there are containers, which may be made of it: remove these first"
		}
	}
	problems, err := c.images.Check(repair, true)
	for _, p := range problems {
		p.Reason += kept
		c.leaks = append(c.leaks, Leak(p))
	}
	return err
}
