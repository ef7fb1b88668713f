package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	grace     = 2 * time.Second // for what is ending anyway
	maxOutput = 1 << 20         // bytes; nobody prints a book of more
)

// host is what a supervisor sees of the machine. Descriptors, because a block may
// mount over the paths.
type host struct{ proc, cgroups *os.Root }

// supervise is the process between the book and the shell of a block: "supervise DIR
// LIMIT" runs DIR/script in DIR/work and prints, as JSON, what the block left behind,
// after it has ended it. It is alone in a mount namespace, so that what the block mounts
// never reaches the machine; / is shared there, as systemd has it, so that a reader's
// experiments with propagation come out as on a reader's machine.
func supervise(dir string, limit time.Duration) error {
	// All that the block starts becomes, when its parent ends, a child of this process.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make / shared: %w", err)
	}
	if err := isolateMydocker(); err != nil {
		return err
	}
	proc, err := os.OpenRoot("/proc")
	if err != nil {
		return err
	}
	cgroups, err := os.OpenRoot("/sys/fs/cgroup")
	if err != nil {
		return err
	}
	h := host{proc, cgroups}
	mounts, groups := h.mounts(), h.groups()

	shell, err := startShell(dir)
	if err != nil {
		return err
	}
	ended, alone := reap(shell)
	findings := watch(dir, ended, stop, limit)
	findings = append(findings, h.endProcesses(alone)...)
	for id, point := range h.mounts() {
		if _, before := mounts[id]; !before {
			findings = append(findings, "left a mount: umount "+point)
		}
	}
	findings = append(findings, h.newGroups(groups)...)
	return json.NewEncoder(os.Stdout).Encode(findings)
}

// superviseMain is main for this process.
func superviseMain() {
	limit, err := time.ParseDuration(os.Args[3])
	if err == nil {
		err = supervise(os.Args[2], limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// isolateMydocker hides what all mydockers of the machine share, the leases of subnets and
// user ids, and sets up the network, in case it is a new one.
func isolateMydocker() error {
	const shared = "/run/mydocker-host"
	if err := os.MkdirAll(shared, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", shared, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", shared, err)
	}
	return command("ip", "link", "set", "lo", "up")
}

func startShell(dir string) (pid int, err error) {
	script, err := os.ReadFile(filepath.Join(dir, "script"))
	if err != nil {
		return 0, err
	}
	bash := exec.Command("bash", "-c", string(script), "bash")
	bash.Dir, bash.Stderr, bash.SysProcAttr = filepath.Join(dir, "work"), os.Stderr, &syscall.SysProcAttr{Setsid: true}
	if err := bash.Start(); err != nil {
		return 0, err
	}
	return bash.Process.Pid, nil // reap waits for it
}

// reap waits for all children, also for those that come later. ended is closed when
// the shell has ended, alone when no process of the block is left.
func reap(shell int) (ended, alone chan struct{}) {
	ended, alone = make(chan struct{}), make(chan struct{})
	go func() {
		for {
			switch pid, err := unix.Wait4(-1, nil, 0, nil); {
			case err == unix.ECHILD:
				close(alone)
				return
			case pid == shell:
				close(ended)
			}
		}
	}()
	return ended, alone
}

// watch returns when the shell has ended, or is not to go on.
func watch(dir string, ended chan struct{}, stop chan os.Signal, limit time.Duration) []string {
	late := time.After(limit)
	for {
		select {
		case <-ended:
			return nil
		case <-stop:
			return []string{"was interrupted"}
		case <-late:
			return []string{fmt.Sprintf("did not end within %v", limit)}
		case <-time.After(50 * time.Millisecond):
			if size := sizeOf(filepath.Join(dir, "out")); size > maxOutput {
				return []string{fmt.Sprintf("prints more than %d bytes", maxOutput)}
			}
		}
	}
}

func sizeOf(dir string) (size int64) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
	}
	return size
}

// endProcesses waits until what is about to end has ended, and kills the rest.
func (h host) endProcesses(alone chan struct{}) (findings []string) {
	select {
	case <-alone:
		return nil
	case <-time.After(grace):
	}
	for pid, command := range h.descendants() {
		findings = append(findings, fmt.Sprintf("left a process running: %d %s", pid, command))
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		for pid := range h.descendants() {
			unix.Kill(pid, unix.SIGKILL)
		}
		select {
		case <-alone:
			return findings
		case <-time.After(20 * time.Millisecond):
		}
	}
	return append(findings, "left a process that cannot be killed")
}

// descendants are the processes below this one, with their command lines; zombies
// are left out.
func (h host) descendants() map[int]string {
	children := map[int][]int{}
	entries, _ := fs.ReadDir(h.proc.FS(), ".")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// The name, in parentheses, may have blanks and parentheses in it (proc_pid_stat(5)).
		stat, _ := h.proc.ReadFile(entry.Name() + "/stat")
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) > 1 && fields[0] != "Z" {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	found := map[int]string{}
	for next := children[os.Getpid()]; len(next) > 0; next = next[1:] {
		command, _ := h.proc.ReadFile(strconv.Itoa(next[0]) + "/cmdline")
		found[next[0]] = strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))
		next = append(next, children[next[0]]...)
	}
	return found
}

// mounts are the mount points of this namespace, by the mounts' numbers.
func (h host) mounts() map[string]string {
	points := map[string]string{}
	info, _ := h.proc.ReadFile(strconv.Itoa(os.Getpid()) + "/mountinfo")
	for line := range strings.Lines(string(info)) {
		fields := strings.Fields(line)
		points[fields[0]] = fields[4]
	}
	return points
}

// groups are the directories of all cgroup trees.
func (h host) groups() map[string]bool {
	found := map[string]bool{}
	fs.WalkDir(h.cgroups.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			found[path] = true
		}
		return nil // it may have gone in this moment
	})
	return found
}

// lasting are the cgroups that mydocker has its containers' and monitors' below, and keeps.
var lasting = regexp.MustCompile(`(^|/)mydocker(/monitors)?$`)

// newGroups lists the cgroups that were not there before, stay, and have no process: of
// the block's none is left, so those with processes are somebody else's.
func (h host) newGroups(before map[string]bool) (findings []string) {
	left := map[string]bool{}
	for deadline := time.Now().Add(grace); ; {
		left = h.groups()
		maps.DeleteFunc(left, func(path string, _ bool) bool { return before[path] || lasting.MatchString(path) || h.populated(path) })
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(50 * time.Millisecond) // nothing tells when a cgroup goes
	}
	for _, path := range slices.Sorted(maps.Keys(left)) {
		findings = append(findings, "left a cgroup: rmdir /sys/fs/cgroup/"+path)
	}
	return findings
}

func (h host) populated(path string) (has bool) {
	fs.WalkDir(h.cgroups.FS(), path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			procs, _ := h.cgroups.ReadFile(path + "/cgroup.procs")
			has = has || len(procs) > 0
		}
		return nil
	})
	return has
}
