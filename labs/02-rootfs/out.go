package rootfs

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"minidocker/labs/check"

	"golang.org/x/sys/unix"
)

var hostGone = check.Check{
	Name:    "host-gone",
	Title:   "who enters the container's mount namespace, without its root, finds nothing of the host",
	Needs:   []string{"root"},
	Section: chapter + "#the-hosts-mounts-are-still-in-the-namespace",
	Hints: []string{
		"The root of a process and the root of its mount namespace are two things. chroot(2) changes the first only.",
		"pivot_root(2) changes the second, and puts the old root somewhere. Where is it in your container, and who unmounts it?",
		"chdir(DIR); pivot_root(\".\", \".\"); umount2(\".\", MNT_DETACH); chdir(\"/\"): the old root is stacked over the new one, and \".\" is what lies on top.",
	},
	Explain: []string{
		"nsenter -t $PID -m ls /     # its mount namespace, without its root: DIR's files, or the host's?",
		"nsenter -t $PID -m -p cat /proc/self/mountinfo     # no mount of the host: compare with cat /proc/self/mountinfo",
	},
	Run: func(t *check.Trial) error {
		hosts, err := os.ReadFile(proc(t.Control, "mountinfo"))
		if err != nil {
			return err
		}
		c, err := start(t)
		if err != nil {
			return err
		}
		if err := leftOfHost(t, c, parse(string(hosts))); err != nil {
			return err
		}
		return finish(c)
	},
}

// leftOfHost fails if one of the host's mounts is in the container's mount namespace.
func leftOfHost(t *check.Trial, c *check.Container, hosts []mount) error {
	layers, err := peel(c)
	if err != nil {
		return err
	}
	host, err := os.Stat(proc(t.Control, "root/"))
	if err != nil {
		return err
	}
	own, err := os.Stat(inside(c, "/"))
	if err != nil {
		return err
	}
	const expected = "every way into its mount namespace ends in the container's files"
	covers := slices.ContainsFunc(layers, func(l layer) bool { return os.SameFile(l.root, own) })
	for i, l := range layers {
		switch {
		case !os.SameFile(l.root, host):
		case i == 0 && covers:
			return check.Fail(expected, "who enters it is in the host's /, which lies over the container's",
				"after pivot_root(\".\", \".\") the old root is not unmounted: umount2(\".\", MNT_DETACH)")
		case i == 0:
			return check.Fail(expected, "who enters it is in the host's /: the root of the namespace is still the host's",
				"chroot(2) moves the root of one process, and the namespace keeps its own. That is for pivot_root(2) to change")
		default:
			return check.Fail(expected, "below what is mounted on / the host's / is still mounted",
				"chroot(2) into a mount over / only covers the host: umount of / uncovers it. Use pivot_root(2)")
		}
	}
	for _, m := range layers[0].mounts {
		if m.point != "/" && slices.ContainsFunc(hosts, m.same) {
			return check.Fail(expected, fmt.Sprintf("the host's %s is mounted on %s", m, m.point),
				"the old root, or a part of it, is still mounted: umount2(OLD, MNT_DETACH) after pivot_root")
		}
	}
	return nil
}

// layer is what is mounted on / of a mount namespace, and all mounts as seen from there.
type layer struct {
	root   os.FileInfo
	mounts []mount
}

// peel looks at a copy of the container's mount namespace from its root, which need not
// be that of its processes, and then takes off what is mounted on / and looks again.
func peel(c *check.Container) (layers []layer, err error) {
	hosts, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer hosts.Close()
	open := func(name string) (*os.File, error) { // the container may have no /proc
		fd, err := unix.Openat(int(hosts.Fd()), "thread-self/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return os.NewFile(uintptr(fd), name), err
	}
	err = c.Join(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("copy the container's mount namespace: %w", err)
		}
		for {
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("make the copy's / private: %w", err)
			}
			table, err := open("mountinfo")
			if err != nil {
				return err
			}
			text, err := io.ReadAll(table)
			table.Close()
			if err != nil {
				return err
			}
			root, err := os.Stat("/")
			if err != nil {
				return err
			}
			layers = append(layers, layer{root, parse(string(text))})
			if err := unix.Unmount("/", unix.MNT_DETACH); err != nil {
				return nil // nothing is below
			}
			again, err := open("ns/mnt")
			if err != nil {
				return err
			}
			err = unix.Setns(int(again.Fd()), unix.CLONE_NEWNS) // leads to what is on top now
			again.Close()
			if err != nil {
				return nil // nothing is left
			}
		}
	}, "mnt")
	return layers, err
}

// mount is what a line of mountinfo says about what is mounted: proc_pid_mountinfo(5).
type mount struct{ device, root, point, kind string }

func (m mount) String() string { return fmt.Sprintf("%s (%s, device %s)", m.root, m.kind, m.device) }

// same tells whether the same directory of the same file system is mounted. A cgroup
// tree is one file system for all, and not what this is about.
func (m mount) same(n mount) bool {
	return m.device == n.device && m.root == n.root && !strings.HasPrefix(m.kind, "cgroup")
}

func parse(mountinfo string) (mounts []mount) {
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if dash := slices.Index(f, "-"); dash >= 6 && dash+1 < len(f) {
			mounts = append(mounts, mount{device: f[2], root: f[3], point: f[4], kind: f[dash+1]})
		}
	}
	return mounts
}

var chrootEscape = check.Check{
	Name:    "chroot-escape",
	Title:   "root in the container tries three ways out of a chroot, and stays inside",
	Needs:   []string{"root"},
	Section: chapter + "#the-way-out-of-chroot",
	Hints: []string{
		"chroot(2) says it itself, in its NOTES: it is not meant for this. What does it not change?",
		"A process whose working directory is outside of its root walks up with \"..\" as far as the mounts go. Which mounts are above your container's /?",
		"With pivot_root(2), and the old root unmounted, nothing is above it: then \"..\" of / is /, for everybody.",
	},
	Explain: []string{
		"cat labs/02-rootfs/escape.sh     # the three ways, to be tried in a container by hand",
		"ENGINE run --rootfs rootfs nsenter -m/proc/self/ns/mnt ls /     # the second: rootfs's files, or the host's?",
	},
	Run: func(t *check.Trial) error {
		outside, err := os.MkdirTemp(t.Dir(), "outside")
		if err != nil {
			return err
		}
		if err := os.Chmod(outside, 0o777); err != nil {
			return err
		}
		status := t.Status()
		out, err := t.Run(nil, busybox, "sh", "-c", escape, "escape", outside, strconv.Itoa(status))
		if err != nil {
			return err
		}
		for _, way := range ways {
			if _, err := os.Stat(filepath.Join(outside, way.name)); err == nil {
				return check.Fail("no file of the host is in reach of root in the container",
					fmt.Sprintf("the container has made the file %s on the host: %s", filepath.Join(outside, way.name), way.how), way.cause)
			}
		}
		if out.Status != status {
			return check.Fail(fmt.Sprintf("the script of the attempts ends, with status %d", status),
				fmt.Sprintf("status %d; it wrote: %s", out.Status, strings.TrimSpace(out.Stderr)), "the command does not run to its end: see lab 1")
		}
		return nil
	},
}

// escape is the script of the attempts. It ends with status in any case.
//
//go:embed escape.sh
var escape string

// ways are what it tries: the file that each makes if it succeeds.
var ways = []struct{ name, how, cause string }{
	{"walk", "from a working directory outside of its root, by \"..\"", "the host's / is still mounted there: the root was changed by chroot(2), or the old root was not unmounted after pivot_root(2)"},
	{"enter", "by setns(2) to the mount namespace that it is in already, which leads to that namespace's root",
		"the namespace's root is the host's: by chroot(2), or since the old root lies over the new one still"},
	{"uncover", "by unmounting / and entering its mount namespace again", "the host's / was covered and not let go of: pivot_root(2), then umount2(2)"},
}
