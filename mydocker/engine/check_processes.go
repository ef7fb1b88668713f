package engine

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/monitor"

	"golang.org/x/sys/unix"
)

// How long something may look left over: a monitor that is just being started or
// ends, and on cgroup version 1 a command while one of its threads starts one.
const (
	grace = time.Second
	pause = 10 * time.Millisecond
)

// stable keeps of what look finds what it finds unchanged until the time is over.
func stable[K, V comparable](limit time.Duration, look func() (map[K]V, error)) (map[K]V, error) {
	found, err := look()
	for end := time.Now().Add(limit); err == nil && len(found) > 0 && time.Now().Before(end); {
		time.Sleep(pause)
		var again map[K]V
		again, err = look()
		maps.DeleteFunc(found, func(key K, value V) bool { return again[key] != value })
	}
	return found, err
}

// suspects tells of the processes in INSTANCE/monitors, by pid, what is wrong with
// them, unless they are about to change. It notes in c.foreign the containers of
// other roots, which by mistake have the same instance.
func (c *check) suspects() (map[int]string, error) {
	group, err := cgroup.Open("/" + c.config.Instance + "/monitors")
	if err != nil {
		return nil, err
	}
	pids, err := group.Pids()
	suspects := map[int]string{}
	c.foreign = map[string]bool{}
	for _, pid := range pids {
		argv := commandLine(pid)
		reason := ""
		switch {
		case len(argv) == 0 || pid == os.Getpid(): // a zombie has no command line
		case len(argv) != 6 || argv[1] != "monitor":
			reason = "it is in the monitors' cgroup and no monitor"
		case argv[2] != c.config.Root:
			c.foreign[argv[5]] = true
		default:
			reason = c.judge(pid, argv[5])
		}
		if reason != "" {
			suspects[pid] = fmt.Sprintf("%s (%s)", reason, strings.Join(argv, " "))
		}
	}
	return suspects, err
}

// judge tells what is wrong with a monitor: nothing if it holds its container's
// lock, also in a directory renamed to be removed, or if it has given it up and
// still hands the last output to a slow client.
func (c *check) judge(pid int, id string) string {
	fds := fmt.Sprintf("/proc/%d/fd/", pid)
	lock, _ := os.Readlink(fds + fmt.Sprint(monitor.LockFD)) // with " (deleted)" if it is, proc_pid_fd(5)
	lockFile := id + "/monitor.lock"
	switch {
	case strings.HasSuffix(lock, "/"+lockFile):
		if _, err := os.Lstat(c.containers.RunDir(id)); err != nil {
			return "nobody can reach it: its run directory is gone"
		}
		return ""
	case strings.HasSuffix(lock, lockFile): // its directory was renamed: it is being removed
		return ""
	case strings.Contains(lock, lockFile):
		return "its container does not exist"
	}
	entries, _ := os.ReadDir(fds)
	for _, entry := range entries {
		if link, _ := os.Readlink(fds + entry.Name()); strings.HasPrefix(link, "socket:") && entry.Name() != fmt.Sprint(monitor.ListenerFD) {
			return ""
		}
	}
	return "it does not hold its container's lock"
}

// processes finds monitors that nobody can reach, and what else is where they live.
func (c *check) processes() error {
	suspects, err := stable(grace, c.suspects)
	if err != nil {
		return err
	}
	for _, pid := range slices.Sorted(maps.Keys(suspects)) {
		c.report("process", fmt.Sprint(pid), suspects[pid], func() error { return c.kill(pid, suspects[pid]) })
	}
	return nil
}

// kill ends a process if it is suspect for the same reason, and waits for its end.
// Its pidfd, unlike its pid, never comes to mean another.
func (c *check) kill(pid int, reason string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return unlessGone(err)
	}
	defer unix.Close(fd)
	suspects, err := c.suspects()
	if err != nil || suspects[pid] != reason {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); unlessGone(err) != nil {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000) // milliseconds
		if n > 0 {
			return nil
		}
		if err != unix.EINTR {
			return fmt.Errorf("process %d does not die", pid)
		}
	}
}

// commandLine gives a process's arguments, none if it is a zombie or gone.
func commandLine(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}
