package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// NotifyOOM tells of each time that memory was at its limit and the kernel had to kill,
// until ctx ends or the group is deleted (on version 2: has no process); then the channel
// is closed. What nobody receives is not told twice.
func (g Group) NotifyOOM(ctx context.Context) (<-chan struct{}, error) {
	var events *os.File
	var err error
	if g.host.Version == 2 {
		events, err = g.watchEvents()
	} else {
		events, err = g.registerOOM()
	}
	if err != nil {
		return nil, fmt.Errorf("watch cgroup %s for OOM: %w", g.path, err)
	}
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
func (g Group) registerOOM() (*os.File, error) {
	control, err := g.file("memory.oom_control")
	if err != nil {
		return nil, err
	}
	source, err := os.Open(control)
	if err != nil {
		return nil, err
	}
	defer source.Close() // the kernel keeps what it needs
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	events := os.NewFile(uintptr(fd), "eventfd")
	err = write(filepath.Join(filepath.Dir(control), "cgroup.event_control"), strconv.Itoa(fd)+" "+strconv.Itoa(int(source.Fd())))
	if err != nil {
		events.Close()
		return nil, err
	}
	return events, nil
}

// watchEvents is version 2, which changes files when something has happened.
func (g Group) watchEvents() (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	events := os.NewFile(uintptr(fd), "inotify")
	for _, name := range [...]string{"memory.events", "cgroup.events"} {
		_, err2 := unix.InotifyAddWatch(fd, filepath.Join(g.Paths()[""], name), unix.IN_MODIFY)
		err = errors.Join(err, err2)
	}
	if err != nil {
		events.Close()
		return nil, err
	}
	return events, nil
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
