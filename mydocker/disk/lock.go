package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrLocked reports that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// Mode says who may share a lock.
type Mode int

const (
	Shared    Mode = unix.LOCK_SH
	Exclusive Mode = unix.LOCK_EX

	// Existing, added to one of the others, locks only a file that is there.
	Existing Mode = 1 << 8
)

// Lock is a held flock(2). It belongs to the open file, not to the process:
// a child that inherits the descriptor holds it too, and the kernel releases it
// when the last copy is closed, however its holder died.
type Lock struct{ file *os.File }

// Acquire waits for the lock on the file at path, which is made if it is missing.
func Acquire(path string, mode Mode) (*Lock, error) { return acquire(path, mode, 0) }

// TryAcquire is Acquire that does not wait: ErrLocked says somebody holds the lock.
func TryAcquire(path string, mode Mode) (*Lock, error) { return acquire(path, mode, unix.LOCK_NB) }

func acquire(path string, mode Mode, wait int) (*Lock, error) {
	flags := os.O_RDWR | os.O_CREATE
	if mode&Existing != 0 {
		flags = os.O_RDWR
	}
	for {
		file, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Flock(int(file.Fd()), int(mode&^Existing)|wait)
		}
		if err == nil && current(file, path) {
			return &Lock{file}, nil
		}
		file.Close()
		if err == unix.EWOULDBLOCK {
			err = ErrLocked
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// Between open and flock the holder removed the file: what was locked
		// is a file nobody else can find. Try again.
	}
}

func current(file *os.File, path string) bool {
	held, heldErr := file.Stat()
	named, namedErr := os.Stat(path)
	return heldErr == nil && namedErr == nil && os.SameFile(held, named)
}

// Inherit wraps a descriptor on which a parent process took the lock.
func Inherit(file *os.File) *Lock { return &Lock{file} }

// File is the locked file, open for reading and writing. A child process that is
// given it holds the lock too.
func (l *Lock) File() *os.File { return l.file }

// Release gives the lock up, as far as this process holds it.
func (l *Lock) Release() error { return l.file.Close() }
