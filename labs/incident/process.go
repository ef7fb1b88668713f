package incident

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"minidocker/mydocker/disk"

	"golang.org/x/sys/unix"
)

const busybox = "/bin/busybox"

// isolated are the namespaces of a container that shares none with the host.
const isolated = unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET

// spawn starts a shell script as process 1 of new namespaces, with the container's
// name as $0 and its directory as $1. It outlives this program. inGroup: it is born in
// the container's cgroup, which exists.
func (c *Container) spawn(flags uintptr, inGroup bool, script string, more ...string) (pid int, err error) {
	log, err := os.OpenFile(filepath.Join(c.Dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		return 0, err
	}
	defer null.Close()
	// What our shell left open would be a cause of its own: a descriptor that leaked.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return 0, fmt.Errorf("close on exec: %w", err)
	}
	command := exec.Command(busybox, append([]string{"sh", "-c", script, c.Name, c.Dir}, more...)...)
	command.Stdin, command.Stdout, command.Stderr = null, log, log
	command.Env = []string{"PATH=/bin:/usr/bin:/sbin:/usr/sbin"}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Setsid: true}
	if inGroup {
		runtime.LockOSThread()
		leave, err := c.group.Enter(command.SysProcAttr)
		if err != nil {
			return 0, err
		}
		if err := errors.Join(command.Start(), leave()); err != nil {
			return 0, err
		}
		runtime.UnlockOSThread()
	} else if err := command.Start(); err != nil {
		return 0, err
	}
	go command.Wait() // not a zombie of ours when it is killed while we look
	return command.Process.Pid, nil
}

// start spawns the container's process 1 and waits until its script has made the
// file "ready" in the directory.
func (c *Container) start(flags uintptr, inGroup bool, script string) (err error) {
	if c.Pid, err = c.spawn(flags, inGroup, script); err != nil {
		return err
	}
	return poll("the container's start", func() error {
		_, err := os.Stat(filepath.Join(c.Dir, "ready"))
		return err
	})
}

// patience is how long what is to happen may take.
var patience = 10 * time.Second

// poll waits until what gives nil, as long as patience lasts.
func poll(name string, what func() error) error {
	if err := within(patience, what); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// within asks again and again, as long as it may take; what is asked once at least.
func within(long time.Duration, what func() error) error {
	for end := time.Now().Add(long); ; time.Sleep(20 * time.Millisecond) {
		if err := what(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// processes are those whose argv has the name, by the host's numbers.
func processes(name string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if slices.ContainsFunc(bytes.Split(line, []byte{0}), func(word []byte) bool { return string(word) == name }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// children are the processes whose parent is pid.
func children(pid int) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if child, err := strconv.Atoi(entry.Name()); err == nil && status(child, "PPid") == strconv.Itoa(pid) {
			pids = append(pids, child)
		}
	}
	return pids
}

// status is a field of /proc/PID/status, "" if the process has gone.
func status(pid int, field string) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// alive tells whether pid is still the container's: not gone, not a zombie, not another process.
func (c *Container) alive(pid int) bool {
	state := status(pid, "State")
	return state != "" && !strings.HasPrefix(state, "Z") && slices.Contains(processes(c.Name), pid)
}

// grows waits until a file that the container's work appends to has grown.
func (c *Container) grows(name string) error {
	size := func() int64 {
		info, err := os.Stat(filepath.Join(c.Dir, name))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	before := size()
	if poll(name, func() error {
		if size() <= before {
			return errors.New("no growth")
		}
		return nil
	}) != nil {
		return fmt.Errorf("%s does not grow: the work in the container does not go on", filepath.Join(c.Dir, name))
	}
	return nil
}

// clean takes away all that carries the container's name.
func (c *Container) clean() error {
	if err := c.group.Kill(); err != nil {
		return err
	}
	err := poll("end the processes of "+c.Name, func() error {
		pids := processes(c.Name)
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGKILL)
		}
		if len(pids) > 0 {
			return fmt.Errorf("still there: %v", pids)
		}
		return nil
	})
	if err := errors.Join(err, c.group.Delete()); err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4]+"/", c.Dir+"/") {
			// EINVAL: it went with a peer that was unmounted before.
			if err := unix.Unmount(fields[4], unix.MNT_DETACH); err != nil && err != unix.EINVAL {
				return fmt.Errorf("unmount %s: %w", fields[4], err)
			}
		}
	}
	return disk.RemoveAll(c.Dir)
}

// makeRoot fills DIR/root with the static busybox and its most used names.
func (c *Container) makeRoot() (string, error) {
	root := filepath.Join(c.Dir, "root")
	for _, dir := range []string{"bin", "dev", "proc", "data", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return "", err
		}
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return "", err
	}
	return root, os.WriteFile(filepath.Join(root, "bin/busybox"), program, 0o755)
}
