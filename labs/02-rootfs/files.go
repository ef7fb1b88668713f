package rootfs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"minidocker/labs/check"

	"golang.org/x/sys/unix"
)

var procAndSys = check.Check{
	Name:    "proc-and-sys",
	Title:   "/proc shows the container's processes, /sys its network, and /sys is read-only",
	Needs:   []string{"root"},
	Section: chapter + "#proc-what-is-still-the-hosts",
	Hints: []string{
		"proc and sysfs are no files on a disk: each mount shows the namespaces of the process that mounts it. Which process mounts yours?",
		"A bind of the host's /proc shows the host's processes for ever. Mount a new one, type \"proc\", in the new pid namespace.",
		"sysfs the same way, with MS_RDONLY: the kernel's settings for the whole machine are in it.",
	},
	Explain: []string{
		"grep -E ' /(proc|sys) ' /proc/$PID/mountinfo     # type and options",
		"stat -c '%d %n' /proc /proc/$PID/root/proc /sys /proc/$PID/root/sys     # device numbers: another file system each",
		"tr '\\0' ' ' </proc/$PID/root/proc/1/cmdline     # process 1 there",
	},
	Run: func(t *check.Trial) error {
		c, err := start(t)
		if err != nil {
			return err
		}
		for path, magic := range map[string]int64{"/proc": unix.PROC_SUPER_MAGIC, "/sys": unix.SYSFS_MAGIC} {
			if err := isOwn(c, path, magic); err != nil {
				return err
			}
		}
		if err := showsCommand(c); err != nil {
			return err
		}
		if fs, err := statfs(inside(c, "/sys")); err != nil {
			return err
		} else if fs.Flags&unix.ST_RDONLY == 0 {
			return check.Fail("/sys is mounted read-only", "it is writable", "MS_RDONLY is missing: root in the container can change the machine's settings")
		}
		return finish(c)
	},
}

// isOwn fails unless a new file system of the kernel's is mounted at path: of the type
// that magic says (statfs(2)), and not the host's.
func isOwn(c *check.Container, path string, magic int64) error {
	name := filepath.Base(path)
	fs, err := statfs(inside(c, path))
	if err != nil {
		return check.Fail(path+" is there", err.Error(), "make the directory if DIR has none, then mount")
	}
	theirs, err := device(inside(c, path))
	if err != nil {
		return err
	}
	if fs.Type != magic {
		seen := fmt.Sprintf("one of type %#x", fs.Type)
		if top, err := device(inside(c, "/")); err == nil && top == theirs {
			seen = "none is: it is a directory of the file system that / is on"
		}
		return check.Fail(fmt.Sprintf("a %s file system is mounted on %s", name, path), seen,
			"nobody has called mount(2) for it, or it was mounted in another place than DIR"+path)
	}
	ours, err := device(path)
	if err == nil && theirs == ours {
		err = check.Fail(fmt.Sprintf("%s is a file system of the container's own", path),
			fmt.Sprintf("device %d:%d, the host's %s", unix.Major(ours), unix.Minor(ours), path),
			"it was bound from the host, or mounted by a process outside of the container's namespaces")
	}
	return err
}

// showsCommand fails unless /proc has the command under the number it has in there.
func showsCommand(c *check.Container) error {
	numbers, err := c.Process.Status("NSpid")
	if err != nil {
		return err
	}
	fields := strings.Fields(numbers)
	own := fields[len(fields)-1]
	words, err := os.ReadFile(inside(c, "/proc/"+own+"/cmdline"))
	if !strings.Contains(string(words), c.Nonce) {
		return check.Fail(fmt.Sprintf("/proc/%s in the container is its command", own), fmt.Sprintf("its words are %q (%v)", words, err),
			"this /proc is of another pid namespace: mount it after the clone, by a process in the new one")
	}
	return nil
}

func statfs(path string) (fs unix.Statfs_t, err error) {
	if err = unix.Statfs(path, &fs); err != nil {
		err = fmt.Errorf("statfs %s: %w", path, err)
	}
	return fs, err
}

// device is the number of the file system that a file is on.
func device(path string) (uint64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Dev, nil
}

var devices = check.Check{
	Name:    "dev",
	Title:   "/dev has the nodes and links that programs expect, and none of the host's disks",
	Needs:   []string{"root"},
	Section: chapter + "#dev-some-nodes-no-files",
	Hints: []string{
		"Compare ls -l /dev in a container of Docker's with yours: six nodes, five links, two mounts.",
		"A tmpfs on /dev first: then nothing of it lands on the disk. mknod(2) obeys the umask, so chmod(2) after it, or umask(2) before.",
		"A node is a type and two numbers: null 1:3, zero 1:5, full 1:7, random 1:8, urandom 1:9, tty 5:0. pts is a devpts of its own: newinstance,ptmxmode=0666.",
	},
	Explain: []string{
		"ls -l /proc/$PID/root/dev     # the numbers stand where a file's size does",
		"awk '$5 ~ \"^/dev\"' /proc/$PID/mountinfo",
		"find /proc/$PID/root/dev -type b     # disks: none",
	},
	Run: func(t *check.Trial) error {
		c, err := start(t)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if err := n.check(c); err != nil {
				return err
			}
		}
		for name, target := range map[string]string{"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "ptmx"} {
			if err := hasLink(c, name, target); err != nil {
				return err
			}
		}
		if err := hasPts(c); err != nil {
			return err
		}
		if err := hasShm(c); err != nil {
			return err
		}
		if err := noDisks(c); err != nil {
			return err
		}
		return finish(c)
	},
}

type node struct {
	name         string
	major, minor uint32
}

// nodes are those that every container has (OCI runtime specification, config-linux.md).
var nodes = []node{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

func (n node) check(c *check.Container) error {
	path := inside(c, "/dev/"+n.name)
	expected := fmt.Sprintf("/dev/%s is the character device %d:%d with mode 0666", n.name, n.major, n.minor)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return check.Fail(expected, fmt.Sprintf("%v", err), "mknod(2) was not called for it, or before the tmpfs was mounted over /dev")
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return check.Fail(expected, fmt.Sprintf("it is a file with mode %#o", st.Mode), "programs write to it and fill a file: mknod(2) with S_IFCHR")
	}
	if unix.Major(st.Rdev) != n.major || unix.Minor(st.Rdev) != n.minor {
		return check.Fail(expected, fmt.Sprintf("the numbers are %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), "the kernel knows a device by its numbers, not by its name: unix.Mkdev(major, minor)")
	}
	if mode := st.Mode & 0o7777; mode != 0o666 {
		return check.Fail(expected, fmt.Sprintf("the mode is %#o", mode), "mknod(2) takes away what the umask says: chmod(2) afterwards, or umask(0) before")
	}
	if n.name == "tty" { // opening it is for who has a terminal
		return nil
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return check.Fail(expected+", and can be opened", err.Error(), "the tmpfs on /dev is mounted with MS_NODEV: nodes do nothing there")
	}
	return file.Close()
}

func hasLink(c *check.Container, name, target string) error {
	got, err := os.Readlink(inside(c, "/dev/"+name))
	if err == nil && (got == target || strings.HasSuffix(got, "/"+target)) {
		return nil
	}
	if info, err := os.Lstat(inside(c, "/dev/"+name)); err == nil && name == "ptmx" && info.Mode()&fs.ModeCharDevice != 0 {
		return nil // bound from pts, which does as well
	}
	seen := fmt.Sprintf("it leads to %q", got)
	if err != nil {
		seen = err.Error()
	}
	return check.Fail(fmt.Sprintf("/dev/%s is a link to ...%s", name, target), seen, "shells and scripts write to /dev/stderr: symlink(2) after the tmpfs is mounted")
}

// hasPts fails unless /dev/pts is a devpts that is not the host's.
func hasPts(c *check.Container) error {
	const expected = "/dev/pts is a devpts of the container's own"
	fs, err := statfs(inside(c, "/dev/pts"))
	if err != nil || fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return check.Fail(expected, fmt.Sprintf("file system type %#x (%v)", fs.Type, err), "mount a devpts on it, with newinstance,ptmxmode=0666")
	}
	theirs, err := device(inside(c, "/dev/pts"))
	if err != nil {
		return err
	}
	if ours, err := device("/dev/pts"); err == nil && theirs == ours {
		return check.Fail(expected, "it is the host's: its terminals can be opened from the container", "it was bound from the host; mount a new devpts")
	}
	return nil
}

func hasShm(c *check.Container) error {
	const expected = "/dev/shm is a tmpfs with mode 1777"
	fs, err := statfs(inside(c, "/dev/shm"))
	if err != nil || fs.Type != unix.TMPFS_MAGIC {
		return check.Fail(expected, fmt.Sprintf("file system type %#x (%v)", fs.Type, err), "shm_open(3) wants it: mount a tmpfs there")
	}
	info, err := os.Stat(inside(c, "/dev/shm"))
	if err != nil {
		return err
	}
	if st := info.Sys().(*syscall.Stat_t); st.Mode&0o7777 != 0o1777 {
		return check.Fail(expected, fmt.Sprintf("mode %#o", st.Mode&0o7777), "not only root uses it: mode=1777 in the mount's data")
	}
	return nil
}

// noDisks fails if a block device can be named in the container: who opens the host's
// disk reads and writes all its files, whatever / is.
func noDisks(c *check.Container) error {
	return filepath.WalkDir(inside(c, "/dev"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type()&fs.ModeDevice != 0 && entry.Type()&fs.ModeCharDevice == 0 {
			return check.Fail("no block device in /dev", strings.TrimPrefix(path, inside(c, "")),
				"the host's /dev was bound, or a devtmpfs mounted, which is the same one for all: make a tmpfs and six nodes")
		}
		return nil
	})
}

var readOnly = check.Check{
	Name:    "read-only",
	Title:   "with --read-only / cannot be written, but /dev/null and /dev/shm can; without it, / can",
	Needs:   []string{"root", "dev"},
	Section: chapter + "#pivot_root-step-by-step",
	Hints: []string{
		"Mounting the directory read-only from the start is too early: what do you still want to make in it?",
		"Read-only is a property of a mount, and each mount has its own: that of / leaves the tmpfs on /dev as it is, if it is not made recursive.",
		"Last, in the new root: mount(\"\", \"/\", \"\", MS_REMOUNT|MS_BIND|MS_RDONLY, \"\").",
	},
	Explain: []string{
		"ENGINE run --read-only --rootfs rootfs grep ' / ' /proc/mounts     # ro",
		"ENGINE run --read-only --rootfs rootfs sh -c 'echo >/dev/null; echo >/file'; echo $?     # Read-only file system, 1",
	},
	Run: func(t *check.Trial) error {
		writable, refused, broken := t.Status(), t.Status(), t.Status()
		script := fmt.Sprintf("echo 1 >/dev/null && echo 1 >/dev/shm/file || exit %d; if (echo 1 >/written) 2>/dev/null; then exit %d; fi; exit %d", broken, writable, refused)
		for _, try := range []struct {
			flags []string
			want  int
			cause string
		}{
			{[]string{"--read-only"}, refused, "--read-only is taken and nothing done about it: remount / with MS_RDONLY after the pivot"},
			{nil, writable, "/ is read-only without being asked for"},
		} {
			out, err := t.Run(try.flags, busybox, "sh", "-c", script)
			if err != nil {
				return err
			}
			how := strings.Join(append(try.flags, "run"), ": ")
			switch {
			case out.Status == try.want:
			case out.Status == broken:
				return check.Fail(how+": /dev/null and /dev/shm can be written", strings.TrimSpace(out.Stderr), "MS_REC made the mounts below / read-only, too")
			case out.Status == writable:
				return check.Fail(how+": a file in / cannot be made (EROFS)", "it was made", try.cause)
			case out.Status == refused:
				return check.Fail(how+": a file in / can be made", "it could not be made", try.cause)
			default:
				return check.Fail(fmt.Sprintf("%s: the script ends with status %d", how, try.want), fmt.Sprintf("status %d; %s", out.Status, strings.TrimSpace(out.Stderr)), "the command did not run")
			}
		}
		return nil
	},
}
