package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
)

// Follow calls fn for each event, in order, from since to until, both included.
//
// As with docker events: without since and until come only events from now on;
// with either, also the recorded ones. Follow returns nil at until, at once if
// that is in the past; with a zero until it goes on until ctx is done and returns
// its error. An error of fn ends it and is returned.
//
// No event is lost or repeated while the journal is rotated, unless fn dawdles
// while two megabytes are appended. That the directory is wiped goes unnoticed.
func (j *Journal) Follow(ctx context.Context, since, until time.Time, fn func(events.Message) error) error {
	r := &reader{Journal: j, fn: func(m events.Message) error {
		at := time.Unix(0, m.TimeNano)
		if !since.IsZero() && at.Before(since) || !until.IsZero() && at.After(until) {
			return nil
		}
		return fn(m)
	}}
	return r.follow(ctx, since, until)
}

type reader struct {
	*Journal
	fn   func(events.Message) error
	file *os.File // the journal being read
	rest []byte   // the beginning of a line whose end is not written yet
	buf  [32 << 10]byte
}

func (r *reader) follow(ctx context.Context, since, until time.Time) error {
	watch, previous, err := r.begin()
	if err != nil {
		return err
	}
	defer watch.Close()
	defer func() { r.file.Close() }()
	if since.IsZero() && until.IsZero() {
		_, err = r.file.Seek(0, io.SeekEnd)
	} else {
		err = r.readAll(previous)
		r.rest = nil
	}
	if previous != nil {
		previous.Close()
	}
	if err != nil {
		return err
	}
	limit := ctx
	if !until.IsZero() {
		var cancel context.CancelFunc
		limit, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	for {
		if err := r.catchUp(); err != nil {
			return err
		}
		if err := watch.Wait(limit); err != nil {
			if limit.Err() == nil || ctx.Err() != nil {
				return err
			}
			return r.catchUp() // until has come
		}
	}
}

// begin opens both journals as they are at one moment, and watches from then on.
func (r *reader) begin() (watch *disk.Watcher, previous *os.File, err error) {
	if err := os.MkdirAll(filepath.Dir(r.current), 0o700); err != nil {
		return nil, nil, err
	}
	if watch, err = disk.Watch(filepath.Dir(r.current)); err != nil {
		return nil, nil, err
	}
	if previous, err = r.open(); err != nil {
		watch.Close()
	}
	return watch, previous, err
}

// open opens the journal, and the one before it if there is one. Rotation needs the lock
// exclusively, so under a shared one the two belong together.
func (r *reader) open() (previous *os.File, err error) {
	file, _, err := r.lock(unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	if previous, err = os.Open(r.previous); err != nil && !errors.Is(err, os.ErrNotExist) {
		file.Close()
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_UN); err != nil {
		file.Close()
		return nil, err
	}
	r.file = file
	return previous, nil
}

// catchUp reads to the end of the journal, through rotations.
func (r *reader) catchUp() error {
	for {
		// Look for a rotation before reading: what has been renamed away is
		// written to no more, so this reading finds its true end.
		held, err := r.file.Stat()
		if err != nil {
			return err
		}
		named, err := os.Stat(r.current)
		rotated := err != nil || !os.SameFile(held, named)
		if err := r.readAll(r.file); err != nil || !rotated {
			return err
		}
		done := r.file
		previous, err := r.open()
		if err != nil {
			return err
		}
		done.Close()
		r.rest = nil
		if previous == nil {
			continue
		}
		// Rotated twice meanwhile: the one between has not been read.
		if info, statErr := previous.Stat(); statErr != nil {
			err = statErr
		} else if !os.SameFile(info, held) {
			err = r.readAll(previous)
			r.rest = nil
		}
		previous.Close()
		if err != nil {
			return err
		}
	}
}

// readAll reads a file from where it stands to its end. A line without end
// waits for the rest of it, or for the end of its file.
func (r *reader) readAll(file *os.File) error {
	if file == nil {
		return nil
	}
	for {
		n, err := file.Read(r.buf[:])
		r.rest = append(r.rest, r.buf[:n]...)
		for {
			line, rest, whole := bytes.Cut(r.rest, []byte{'\n'})
			if !whole {
				break
			}
			r.rest = rest
			var message events.Message
			if json.Unmarshal(line, &message) != nil || message.TimeNano == 0 {
				continue // torn by a kill, ended by the next append
			}
			if err := r.fn(message); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
