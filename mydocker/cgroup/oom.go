package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// NotifyOOM tells of each time that memory was at its limit and the kernel had to kill,
// until ctx ends or the group is deleted (on version 2: has no process); then the channel
// is closed. What nobody receives is not told twice.
func (g Group) NotifyOOM(ctx context.Context) (<-chan struct{}, error) {
	watch := g.registerOOM
	if g.host.Version == 2 {
		watch = g.watchEvents
	}
	fd, err := watch()
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch cgroup %s for OOM: %w", g.path, err)
	}
	events := os.NewFile(uintptr(fd), "events")
	before, _ := g.OOMKills()
	stop := context.AfterFunc(ctx, func() { events.Close() })
	notify := make(chan struct{}, 1)
	go func() {
		defer close(notify)
		defer events.Close()
		defer stop()
		for buffer := make([]byte, 4096); ; {
			if _, err := events.Read(buffer); err != nil || g.over() {
				return
			}
			// Version 1's counter may not have been raised yet, but it has no other events.
			if now, _ := g.OOMKills(); now > before || g.host.Version == 1 {
				before = now
				select {
				case notify <- struct{}{}:
				default:
				}
			}
		}
	}()
	return notify, nil
}

// registerOOM is version 1: an eventfd(2) which the kernel raises when the group is out
// of memory, and when it is removed.
func (g Group) registerOOM() (fd int, err error) {
	control, err := g.file("memory.oom_control")
	source, err2 := os.Open(control)
	if err := errors.Join(err, err2); err != nil {
		return -1, err
	}
	defer source.Close() // the kernel keeps what it needs
	fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = write(filepath.Join(filepath.Dir(control), "cgroup.event_control"), fmt.Sprint(fd, " ", source.Fd()))
	}
	return fd, err
}

// watchEvents is version 2, which changes files when something has happened.
func (g Group) watchEvents() (fd int, err error) {
	fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	for _, name := range [...]string{"memory.events", "cgroup.events"} {
		_, err2 := unix.InotifyAddWatch(fd, filepath.Join(g.Paths()[""], name), unix.IN_MODIFY)
		err = errors.Join(err, err2)
	}
	return fd, err
}

// over tells whether nothing more will happen in the group.
func (g Group) over() bool {
	if g.host.Version == 2 {
		var populated uint64
		err := g.read(&populated, "", "cgroup.events populated")
		return err != nil || populated == 0
	}
	file, err := g.file("memory.oom_control")
	return err != nil || unix.Access(file, unix.F_OK) != nil
}
