package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watcher waits for changes in one directory, by inotify(7).
type Watcher struct {
	file *os.File // nil: the host has no inotify instance left, see Watch
	path string
}

// Watch begins to watch: a change after it makes the next Wait return at once.
//
// A user may have 128 inotify instances by default (fs.inotify.max_user_instances).
// When they, or the watches, are used up the Watcher looks again every 50 ms instead.
func Watch(dir string) (*Watcher, error) {
	const changes = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC) // non-blocking: reads can be interrupted
	if err == nil {
		if _, err = unix.InotifyAddWatch(fd, dir, changes|unix.IN_ONLYDIR); err == nil {
			return &Watcher{os.NewFile(uintptr(fd), "inotify"), dir}, nil
		}
		unix.Close(fd)
	}
	if err == unix.EMFILE || err == unix.ENOSPC {
		return &Watcher{nil, dir}, nil
	}
	return nil, fmt.Errorf("watch %s: %w", dir, err)
}

// Wait returns nil when a file in the directory was written to, made or renamed
// since the last Wait; the caller looks which. Other results are the error of ctx
// when it is done, and os.ErrNotExist when the directory itself was renamed, or
// deleted: that only when the last file that was in it is closed, too.
func (w *Watcher) Wait(ctx context.Context) error {
	if w.file == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
			_, err := os.Stat(w.path)
			return err
		}
	}
	w.file.SetReadDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { w.file.SetReadDeadline(time.Unix(1, 0)) })()
	var buf [4096]byte
	n, err := w.file.Read(buf[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", w.path, err)
	}
	for at := 0; at+unix.SizeofInotifyEvent <= n; {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
		if event.Mask&(unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF) != 0 {
			return fmt.Errorf("watch %s: %w", w.path, os.ErrNotExist)
		}
		at += unix.SizeofInotifyEvent + int(event.Len)
	}
	return nil
}

// Close ends the watch.
func (w *Watcher) Close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
