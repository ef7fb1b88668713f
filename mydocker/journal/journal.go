// Package journal is the events: what every verb of every process did, in
// Docker's form, one JSON object a line.
//
// On the host it owns RunRoot/events: journal, to which all processes append, and
// journal.1, the one before it. Neither grows beyond a megabyte, so what is
// older than the last one or two is forgotten. A reboot clears both.
//
// The journal is its own lock: whoever has it flocked and finds it still under
// its name may append, or rename it away and so begin a new one. A kill -9 in
// the middle of a write leaves a line without its end; the next append ends it,
// and readers skip it.
package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/moby/api/types/events"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/logfile"
)

const maxSize = 1 << 20 // bytes, after which a journal is rotated

// Journal is the events of one RunRoot. It keeps nothing open.
type Journal struct{ path string }

// Open returns the journal in dir, which is made when first needed.
func Open(dir string) *Journal { return &Journal{filepath.Join(dir, "journal")} }

// Append records one event. A zero time becomes now, an empty scope local.
func (j *Journal) Append(message events.Message) error {
	lock, size, err := j.lock()
	if err == nil {
		defer lock.Release()
		err = write(lock.File(), size, message)
	}
	if err != nil {
		return fmt.Errorf("record event %s %s: %w", message.Type, message.Action, err)
	}
	return nil
}

// lock locks a journal that is not full, of size bytes.
func (j *Journal) lock() (lock *disk.Lock, size int64, err error) {
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return nil, 0, err
	}
	for {
		lock, err := disk.Acquire(j.path, disk.Exclusive)
		if err != nil {
			return nil, 0, err
		}
		info, err := lock.File().Stat()
		if err == nil && info.Size() < maxSize {
			return lock, info.Size(), nil
		}
		if err == nil {
			err = os.Rename(j.path, j.path+".1")
		}
		lock.Release()
		if err != nil {
			return nil, 0, err
		}
	}
}

func write(file *os.File, size int64, message events.Message) error {
	// Under the lock, so that the times in the journal never go back because one
	// process overtook another.
	if message.TimeNano == 0 {
		now := time.Now()
		message.Time, message.TimeNano = now.Unix(), now.UnixNano()
	}
	if message.Scope == "" {
		message.Scope = "local"
	}
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := file.ReadAt(last, size-1); err != nil {
			return err
		}
	}
	if last[0] != '\n' { // end the torn line
		line = append([]byte{'\n'}, line...)
	}
	_, err = file.WriteAt(append(line, '\n'), size)
	return err
}

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
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return err
	}
	o := logfile.ReadOptions{Follow: true, Until: until, Tail: -1}
	if since.IsZero() && until.IsZero() {
		o.Tail = 0
	}
	return logfile.Lines(ctx, j.path, o, func(line []byte) error {
		var message events.Message
		if json.Unmarshal(line, &message) != nil || message.TimeNano == 0 {
			return nil // torn by a kill, ended by the next append
		}
		at := time.Unix(0, message.TimeNano)
		if at.Before(since) || !until.IsZero() && at.After(until) {
			return nil
		}
		return fn(message)
	})
}
