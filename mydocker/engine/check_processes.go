package engine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/monitor"

	"golang.org/x/sys/unix"
)

// How long a process may look as if it were left over: a monitor that is just
// being started, or just ends, and on cgroup version 1 a command of which one
// thread is in the monitors' group to start one.
const (
	grace = time.Second
	pause = 10 * time.Millisecond
)

// monitors are the processes in INSTANCE/monitors.
type monitors struct {
	own      map[string]bool // containers of this root that have a monitor
	foreign  map[string]bool // those of other roots
	suspects map[int]suspect
}

// suspect is a process that should not be there unless it is about to change.
type suspect struct{ command, reason string }

func (c *check) listMonitors() (monitors, error) {
	m := monitors{map[string]bool{}, map[string]bool{}, map[int]suspect{}}
	pids, err := c.monitorPids()
	if err != nil {
		return m, err
	}
	for _, pid := range pids {
		argv := commandLine(pid)
		if len(argv) == 0 || pid == os.Getpid() { // a zombie has no command line
			continue
		}
		reason := ""
		switch {
		case len(argv) != 6 || argv[1] != "monitor":
			reason = "it is in the monitors' cgroup and no monitor"
		case !same(argv[2], c.config.Root):
			m.foreign[argv[5]] = true
		default:
			if reason = c.judge(pid, argv[5]); reason == "" {
				m.own[argv[5]] = true
			}
		}
		if reason != "" {
			m.suspects[pid] = suspect{strings.Join(argv, " "), reason}
		}
	}
	return m, nil
}

func (c *check) monitorPids() ([]int, error) {
	group, err := cgroup.Open("/" + c.config.Instance + "/monitors")
	if err != nil {
		return nil, err
	}
	return group.Pids()
}

// judge tells what is wrong with a monitor: nothing if it holds the lock of a
// container, also of one that it is removing, or if it has none any more because
// it still hands the last output to a slow client.
func (c *check) judge(pid int, id string) string {
	fds := fmt.Sprintf("/proc/%d/fd/", pid)
	lock := fds + strconv.Itoa(monitor.LockFD)
	if same(lock, c.containers.LockPath(id)) {
		return ""
	}
	link, _ := os.Readlink(lock)
	lockFile := id + "/" + filepath.Base(c.containers.LockPath(id))
	switch {
	case strings.HasSuffix(link, lockFile): // its directory was renamed: it is being removed
		return ""
	case strings.Contains(link, lockFile): // "... (deleted)", proc_pid_fd(5)
		return "its container does not exist"
	}
	entries, _ := os.ReadDir(fds)
	for _, entry := range entries {
		if link, _ := os.Readlink(fds + entry.Name()); strings.HasPrefix(link, "socket:") && entry.Name() != strconv.Itoa(monitor.ListenerFD) {
			return ""
		}
	}
	return "it does not hold its container's lock"
}

// processes finds monitors that nobody can reach, and what else is left where
// monitors live. Those that are in the middle of a change get their time.
func (c *check) processes() error {
	all, err := c.listMonitors()
	if err != nil {
		return err
	}
	suspects := all.suspects
	for end := time.Now().Add(grace); len(suspects) > 0 && time.Now().Before(end); {
		time.Sleep(pause)
		if all, err = c.listMonitors(); err != nil {
			return err
		}
		for pid, s := range suspects {
			if all.suspects[pid] != s {
				delete(suspects, pid)
			}
		}
	}
	for _, pid := range slices.Sorted(maps.Keys(suspects)) {
		s := suspects[pid]
		c.report("process", fmt.Sprintf("%d (%s)", pid, s.command), s.reason, func() error { return c.kill(pid, s) })
	}
	return nil
}

// kill ends a process if it still is the one that was meant, which its pidfd,
// unlike its pid, goes on to mean.
func (c *check) kill(pid int, s suspect) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	all, err := c.listMonitors()
	if err != nil || all.suspects[pid] != s {
		return err
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	ended := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for end := time.Now().Add(5 * time.Second); ; {
		n, err := unix.Poll(ended, max(0, int(time.Until(end).Milliseconds())))
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

// isCommand tells whether a process is this program, perhaps another version of
// it, in any role but init, which becomes the container's own program.
func isCommand(pid int, argv []string) bool {
	if len(argv) > 1 && argv[1] == "init" {
		return false
	}
	return len(argv) > 0 && filepath.Base(argv[0]) == "mydocker" || same(fmt.Sprintf("/proc/%d/exe", pid), "/proc/self/exe")
}

// holders lists the processes that have a file open.
func holders(path string) []int {
	wanted, err := os.Stat(path)
	if err != nil {
		return nil
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	var pids []int
	for _, fd := range fds {
		if found, err := os.Stat(fd); err == nil && os.SameFile(found, wanted) {
			if pid, err := strconv.Atoi(strings.Split(fd, "/")[2]); err == nil && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// same tells whether two paths are one file or directory.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return a == b
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
