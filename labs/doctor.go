package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"minidocker/labs/check"
	"minidocker/mydocker/namespace"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

var _ = register(&cli.Command{
	Name:  "doctor",
	Usage: "can this machine run the labs? Each \"no\" names what mends it",
	Action: func(c *cli.Context) error {
		if err := arguments(c, 0, 0); err != nil {
			return err
		}
		bad := false
		if _, err := isRoot(); err != nil { // the others would be "no" for this reason
			fmt.Printf("NO    %-22s %v: sudo %s\n", "root", err, check.Quote(os.Args...))
			return cli.Exit("", exitNo)
		}
		for _, q := range questions {
			answer, err := q.ask()
			switch {
			case err == nil:
				fmt.Printf("yes   %-22s %s\n", q.name, answer)
			case q.optional:
				fmt.Printf("no    %-22s %v (not all need it)\n      %-22s %s\n", q.name, err, "", q.fix)
			default:
				bad = true
				fmt.Printf("NO    %-22s %v\n      %-22s %s\n", q.name, err, "", q.fix)
			}
		}
		if bad {
			return cli.Exit("", exitNo)
		}
		return nil
	},
})

// question is one thing that the labs need.
type question struct {
	name     string
	ask      func() (answer string, err error)
	fix      string
	optional bool // the labs run without it
}

var questions = []question{
	{"kernel", kernel, "Linux 5.15 or later; Debian 12 and Ubuntu 22.04 have it", false},
	{"namespaces", canUnshare, "use a machine, real or virtual: a container on somebody else's often may not make namespaces", false},
	{"mounts", canMount, "use a machine, real or virtual: not a chroot, a container or the initial ramfs", false},
	{"/proc", procWhole, "umount /proc, as often as something else is mounted over the host's", false},
	{"cgroup controllers", controllers, "boot with systemd.unified_cgroup_hierarchy=1 (version 2), on a Raspberry Pi with cgroup_enable=memory, too; or mount version 1", false},
	{"static busybox", staticBusybox, "apt-get install busybox-static", false},
	{"work directory", workDirectory, "set MYDOCKER_LABS_DIR to a directory on a disk of this machine (ext4, xfs, btrfs) with 100 MB free", false},
	{"disposable", isDisposable, "sudo touch " + mark + ", if this machine may be broken; or add --here to labs check", false},
	{"Go", goCompiler, "https://go.dev/dl, and /usr/local/go/bin on PATH (sudo may have another PATH): without it engines in other languages can be checked", true},
	{"nsenter, pgrep", tools, "apt-get install util-linux procps: the commands of --explain use them", true},
}

func isRoot() (string, error) {
	if uid := os.Geteuid(); uid != 0 {
		return "", fmt.Errorf("this is user %d", uid)
	}
	return "", nil
}

func kernel() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	release := unix.ByteSliceToString(u.Release[:])
	var major, minor int
	fmt.Sscanf(release, "%d.%d", &major, &minor)
	if major < 5 || major == 5 && minor < 15 {
		return "", errors.New(release)
	}
	return release + " " + runtime.GOARCH, nil
}

// canUnshare makes the namespaces of labs 1 to 3, on a thread that ends with them.
func canUnshare() (string, error) {
	const flags = unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWCGROUP
	err := namespace.OnThread(func() error {
		if err := unix.Unshare(flags); err != nil {
			return fmt.Errorf("unshare %s: %w", namespace.Names(flags), err)
		}
		return nil
	})
	return "", err
}

// canMount changes the propagation of / and pivots, as the engines of lab 2 do.
func canMount() (string, error) {
	err := namespace.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("unshare CLONE_NEWNS: %w", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make / private: %w", err)
		}
		if err := unix.Mount("labs", "/tmp", "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mount a tmpfs: %w", err)
		}
		if err := os.Mkdir("/tmp/old", 0o700); err != nil {
			return err
		}
		if err := unix.PivotRoot("/tmp", "/tmp/old"); err != nil {
			return fmt.Errorf("pivot_root: %w", err)
		}
		return nil
	})
	return "", err
}

// procWhole finds what an engine left that mounted a proc on the host.
func procWhole() (string, error) {
	if self, err := os.Readlink("/proc/self"); err != nil || self != fmt.Sprint(os.Getpid()) {
		return "", fmt.Errorf("/proc is that of another PID namespace (/proc/self: %q, %v)", self, err)
	}
	mounts, err := check.Process{Pid: os.Getpid()}.Mounts()
	if err != nil {
		return "", err
	}
	count := 0
	for _, m := range mounts {
		if m.Point == "/proc" {
			count++
		}
	}
	if count > 1 {
		return "", fmt.Errorf("%d file systems are mounted on it, one over the other", count)
	}
	return "", nil
}

// controllers finds the controllers that lab 3 needs, in version 2 or else in version 1.
func controllers() (string, error) {
	need := []string{"memory", "cpu", "pids"}
	mounts, err := check.Process{Pid: os.Getpid()}.Mounts()
	if err != nil {
		return "", err
	}
	var missing []string
	for _, m := range mounts {
		if m.Type != "cgroup2" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Point, "cgroup.controllers"))
		if err != nil {
			return "", err
		}
		if there := strings.Fields(string(text)); !slices.ContainsFunc(need, func(c string) bool { return !slices.Contains(there, c) }) {
			return "version 2: " + strings.Join(there, " "), nil
		}
	}
	for _, c := range need {
		if !slices.ContainsFunc(mounts, func(m check.Mount) bool { return m.Type == "cgroup" && m.Controls(c) }) {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("missing: %s", strings.Join(missing, " "))
	}
	return "version 1: " + strings.Join(need, " "), nil
}

// staticBusybox looks for a busybox that runs in any directory: one that needs no dynamic
// linker.
func staticBusybox() (string, error) {
	const path = "/bin/busybox"
	file, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "", fmt.Errorf("%s is not static: it needs libraries that a container has not", path)
	}
	if out, err := exec.Command(path, "sh", "-c", "exit 0").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s sh: %w %s", path, err, out)
	}
	return path, nil
}

func workDirectory() (string, error) {
	dir := check.Directory()
	if os.Geteuid() == 0 {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	for errors.Is(unix.Access(dir, unix.F_OK), syscall.ENOENT) {
		dir = filepath.Dir(dir)
	}
	if kind := remote(dir); kind != "" {
		return "", fmt.Errorf("%s is on %s", dir, kind)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", err
	}
	if kind := map[int64]string{unix.TMPFS_MAGIC: "tmpfs: memory, not a disk", unix.OVERLAYFS_SUPER_MAGIC: "overlay: a container's layer", unix.RAMFS_MAGIC: "ramfs: memory, not a disk"}[int64(st.Type)]; kind != "" {
		return "", fmt.Errorf("%s is on %s", dir, kind)
	}
	if free := st.Bavail * uint64(st.Bsize) >> 20; free < 100 {
		return "", fmt.Errorf("%s has %d MB free", dir, free)
	}
	if st.Flags&(unix.ST_NOEXEC|unix.ST_NODEV) != 0 {
		return "", fmt.Errorf("%s is mounted noexec or nodev", dir)
	}
	return dir, nil
}

func isDisposable() (string, error) {
	if !disposable() {
		return "", fmt.Errorf("there is no %s, and MYDOCKER_DISPOSABLE is not 1", mark)
	}
	return "", nil
}

func goCompiler() (string, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return "", errors.New("there is no go on PATH")
	}
	out, err := exec.Command(path, "env", "GOVERSION").Output()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)) + " " + path, nil
}

func tools() (string, error) {
	for _, name := range []string{"nsenter", "pgrep"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", fmt.Errorf("there is no %s on PATH", name)
		}
	}
	return "", nil
}
