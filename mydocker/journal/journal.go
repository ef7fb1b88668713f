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
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"
)

const maxSize = 1 << 20 // bytes, after which a journal is rotated

// Journal is the events of one RunRoot. It keeps nothing open.
type Journal struct{ current, previous string }

// Open returns the journal in dir, which is made when first needed.
func Open(dir string) *Journal {
	current := filepath.Join(dir, "journal")
	return &Journal{current, current + ".1"}
}

// Append records one event. A zero time becomes now, an empty scope local.
func (j *Journal) Append(message events.Message) error {
	if err := j.append(message); err != nil {
		return fmt.Errorf("record event %s %s: %w", message.Type, message.Action, err)
	}
	return nil
}

func (j *Journal) append(message events.Message) error {
	file, size, err := j.lock(unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer func() { file.Close() }()
	if size >= maxSize {
		if err := os.Rename(j.current, j.previous); err != nil {
			return err
		}
		file.Close()
		if file, size, err = j.lock(unix.LOCK_EX); err != nil {
			return err
		}
	}

	// Under the lock, so that the times in the journal never go back because one
	// process overtook another.
	if message.TimeNano == 0 {
		now := time.Now()
		message.Time, message.TimeNano = now.Unix(), now.UnixNano()
	}
	if message.Scope == "" {
		message.Scope = "local"
	}
	line := make([]byte, 1, 512)
	line[0] = '\n'
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	line = append(append(line, data...), '\n')
	var last [1]byte
	if n, _ := file.ReadAt(last[:], size-1); size == 0 || n == 1 && last[0] == '\n' {
		line = line[1:] // nothing torn to end first
	}
	_, err = file.Write(line)
	return err
}

// lock opens the journal and locks it. Like disk.Acquire, but what is locked is
// the file that is read and written.
func (j *Journal) lock(how int) (*os.File, int64, error) {
	for {
		file, err := os.OpenFile(j.current, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(j.current), 0o700); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, 0, err
		}
		fd := int(file.Fd())
		for {
			if err = unix.Flock(fd, how); err != unix.EINTR {
				break
			}
		}
		var held, named unix.Stat_t
		if err == nil {
			err = unix.Fstat(fd, &held)
		}
		if err != nil {
			file.Close()
			return nil, 0, err
		}
		if unix.Stat(j.current, &named) == nil && held.Ino == named.Ino && held.Dev == named.Dev {
			return file, held.Size, nil
		}
		file.Close() // rotated between open and flock
	}
}
