package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// freezeV1 asks for FROZEN until it is so. The state can stay at FREEZING when a
// process is stopped half way into a fork; asking again helps, and thawing for a
// moment helps where asking does not, which is runc's remedy too.
func freezeV1(dir string) error {
	file := filepath.Join(dir, "freezer.state")
	end := time.Now().Add(freezeTime)
	for try := 1; time.Now().Before(end); try++ {
		if try%50 == 0 {
			write(file, "THAWED")
			time.Sleep(10 * time.Millisecond)
		}
		if err := write(file, "FROZEN"); err != nil {
			return fmt.Errorf("freeze: %w", err)
		}
		state, err := read(dir, "freezer.state")
		if err != nil {
			return fmt.Errorf("freeze: %w", err)
		}
		if state == "FROZEN" {
			return nil
		}
		time.Sleep(time.Duration(min(try, 20)) * 100 * time.Microsecond)
	}
	return errors.Join(fmt.Errorf("freeze %s: some process did not stop in %v", dir, freezeTime), thawV1(dir))
}

// thawV1 thaws the groups below too: one that was frozen for itself would not
// follow, and could then not be killed.
func thawV1(dir string) error {
	return visit(dir, func(dir string) error {
		if err := write(filepath.Join(dir, "freezer.state"), "THAWED"); err != nil && !gone(err) {
			return fmt.Errorf("thaw: %w", err)
		}
		return nil
	})
}

// waitEvent waits until key has the value want in cgroup.events of version 2,
// which the kernel makes ready for poll(2) as POLLPRI at each change.
func waitEvent(dir, key string, want uint64, limit time.Duration) error {
	fd, err := unix.Open(filepath.Join(dir, "cgroup.events"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open cgroup.events: %w", err)
	}
	defer unix.Close(fd)
	for end := time.Now().Add(limit); ; {
		// Reading through the polled descriptor arms the next notification.
		var buf [256]byte
		n, err := unix.Pread(fd, buf[:], 0)
		if err != nil {
			return fmt.Errorf("read cgroup.events: %w", err)
		}
		if got, err := parseKey(string(buf[:n]), key); err != nil || got == want {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("%s is not %d after %v: %w", key, want, limit, ErrBusy)
		}
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, int(left.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("poll cgroup.events: %w", err)
		}
	}
}
