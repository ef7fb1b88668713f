package logfile

import (
	"context"
	"errors"
	"os"

	"minidocker/mydocker/disk"
)

// follow reads the log as it grows, woken by watch, until there is a reason to end.
func (r *reader) follow(ctx context.Context, watch *disk.Watcher) error {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	if !r.options.Until.IsZero() {
		var stop context.CancelFunc
		wait, stop = context.WithDeadline(wait, r.options.Until)
		defer stop()
	}
	if r.options.Done != nil {
		go func() {
			select {
			case <-r.options.Done:
				cancel()
			case <-wait.Done():
			}
		}()
	}
	for {
		last := wait.Err() != nil // looked at first: what was written before Done is read below
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		if last {
			return ctx.Err()
		}
		err := watch.Wait(wait)
		if errors.Is(err, os.ErrNotExist) { // the container is being removed
			return r.catchUp(ctx)
		}
		if err != nil && wait.Err() == nil {
			return err
		}
	}
}

// catchUp reads to the end of the log, through rotations.
func (r *reader) catchUp(ctx context.Context) error {
	for {
		// Look for a rotation before reading: what has been renamed away is
		// written to no more, so this reading finds its true end.
		rotated := r.rotated()
		if err := r.advance(ctx); err != nil || !rotated {
			return err
		}
		files, err := r.open()
		if err != nil {
			return err
		}
		fresh := files
		if len(r.files) > 0 { // go on with the file after the one just read
			for i, c := range files {
				if os.SameFile(c.info, r.files[0].info) {
					fresh = files[i+1:]
				}
			}
			closeAll(files[:len(files)-len(fresh)])
		}
		if len(fresh) == 0 {
			return nil // the next file is not made yet; its making wakes the watch
		}
		closeAll(r.files)
		r.files = fresh
	}
}

func (r *reader) rotated() bool {
	info, err := os.Stat(r.path)
	if len(r.files) == 0 {
		return err == nil
	}
	return err != nil || !os.SameFile(info, r.files[len(r.files)-1].info)
}
