package disk

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func acquired(t *testing.T, path string, mode Mode) *Lock {
	t.Helper()
	lock, err := TryAcquire(path, mode)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func TestLockModes(t *testing.T) {
	for _, test := range []struct {
		first, second Mode
		free          bool
	}{
		{Shared, Shared, true}, {Shared, Exclusive, false}, {Exclusive, Shared, false}, {Exclusive, Exclusive, false},
	} {
		path := filepath.Join(t.TempDir(), "lock")
		first := acquired(t, path, test.first)
		second, err := TryAcquire(path, test.second)
		if (err == nil) != test.free || err != nil && !errors.Is(err, ErrLocked) {
			t.Errorf("%v: %v", test, err)
		}
		if err == nil {
			second.Release()
		}
		first.Release()
		acquired(t, path, Exclusive).Release()
	}
	if _, err := Acquire(filepath.Join(t.TempDir(), "none", "lock"), Shared); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lock in no directory: %v", err)
	}
	path := filepath.Join(t.TempDir(), "lock")
	if _, err := Acquire(path, Shared|Existing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an existing lock where there is none: %v", err)
	}
	first := acquired(t, path, Exclusive)
	if _, err := TryAcquire(path, Shared|Existing); !errors.Is(err, ErrLocked) {
		t.Errorf("an existing lock, held: %v", err)
	}
	first.Release()
	acquired(t, path, Exclusive|Existing).Release()
}

// TestLockOfRemovedFile: who waited for a lock whose file is removed meanwhile
// gets the lock that others can find, not the one on the removed file.
func TestLockOfRemovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	holder := acquired(t, path, Exclusive)
	waiter := make(chan *Lock)
	go func() {
		lock, err := Acquire(path, Exclusive)
		if err != nil {
			t.Error(err)
		}
		waiter <- lock
	}()
	time.Sleep(20 * time.Millisecond) // it has the file open and waits
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	holder.Release()
	lock := <-waiter
	if _, err := TryAcquire(path, Exclusive); !errors.Is(err, ErrLocked) {
		t.Errorf("two have the lock: %v", err)
	}
	lock.Release()
}

// TestLockOfRemovedDirectory: it is gone with what it locked.
func TestLockOfRemovedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	os.Mkdir(dir, 0o700)
	path := filepath.Join(dir, "lock")
	holder := acquired(t, path, Exclusive)
	waiter := make(chan error)
	go func() {
		_, err := Acquire(path, Exclusive)
		waiter <- err
	}()
	time.Sleep(20 * time.Millisecond)
	if err := RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	holder.Release()
	if err := <-waiter; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestLockOutlivesItsTaker: a child that inherits the descriptor holds the lock,
// and the kernel releases it when the child dies.
func TestLockOutlivesItsTaker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock := acquired(t, path, Exclusive)
	child := exec.Command("sleep", "60")
	child.ExtraFiles = []*os.File{lock.File()}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lock.Release()
	if _, err := TryAcquire(path, Shared); !errors.Is(err, ErrLocked) {
		t.Errorf("the child does not hold it: %v", err)
	}
	child.Process.Kill()
	child.Wait()
	acquired(t, path, Exclusive).Release()
}

func TestInherit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock := acquired(t, path, Exclusive)
	Inherit(lock.File()).Release()
	acquired(t, path, Exclusive).Release()
}
