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
)

// Lock is a held flock(2). It belongs to the open file, not to the process:
// a child that inherits the descriptor holds it too, and the kernel releases it
// when the last copy is closed, however its holder died.
type Lock struct{ file *os.File }

// Acquire waits for the lock on the file at path, which is made if it is missing.
func Acquire(path string, mode Mode) (*Lock, error) { return acquire(path, int(mode)) }

// TryAcquire is Acquire that does not wait: ErrLocked says somebody holds the lock.
func TryAcquire(path string, mode Mode) (*Lock, error) {
	return acquire(path, int(mode)|unix.LOCK_NB)
}

func acquire(path string, how int) (*Lock, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		if err := flock(file, how); err != nil {
			file.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: %w", path, ErrLocked)
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if current(file, path) {
			return &Lock{file}, nil
		}
		// Between open and flock the holder removed the file: what is locked
		// now is a file nobody else can find. Try again.
		file.Close()
	}
}

func flock(file *os.File, how int) error {
	for {
		if err := unix.Flock(int(file.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

func current(file *os.File, path string) bool {
	var held, named unix.Stat_t
	if unix.Fstat(int(file.Fd()), &held) != nil || unix.Stat(path, &named) != nil {
		return false
	}
	return held.Dev == named.Dev && held.Ino == named.Ino
}

// Inherit wraps a descriptor on which a parent process took the lock.
func Inherit(file *os.File) *Lock { return &Lock{file} }

// File is the locked file, to be handed to a child process that shall hold the
// lock too.
func (l *Lock) File() *os.File { return l.file }

// Release gives the lock up, as far as this process holds it.
func (l *Lock) Release() error { return l.file.Close() }
