package incident

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// alone is the head of a script whose mounts stay in its namespace: where the host's /
// is shared, a mount on its /proc would hide the host's.
const alone = `set -e
root=$1/root
mount --make-rprivate /
mount --bind "$root" "$root"
`

// enter makes DIR/root the root of what follows, which has the container's name as $0.
const enter = alone + `mount -t proc proc "$root/proc"
`

// inside runs the container's work with root as its root.
const inside = `
exec busybox chroot "$root" /bin/busybox sh -c "$work" "$0"
`

var rootfsCases = []Case{
	{
		Lab: 2, Cause: "shared-propagation", Title: "its mounts are peers of the host's, so what it mounts appears on the host",
		Start: func(c *Container) error {
			shared := filepath.Join(c.Dir, "shared")
			if err := os.MkdirAll(filepath.Join(shared, "data"), 0o755); err != nil {
				return err
			}
			// A mount of our own, in a peer group of its own: not in that of the host's /.
			if err := unix.Mount(shared, shared, "", unix.MS_BIND, ""); err != nil {
				return err
			}
			for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
				if err := unix.Mount("", shared, "", propagation, ""); err != nil {
					return err
				}
			}
			return c.start(isolated, false, `mount -t tmpfs tmpfs "$1/shared/data"; echo draft >"$1/shared/data/file"; : >"$1/ready"; while :; do sleep 100; done`)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("rmdir %s/shared/data says: Device or resource busy, although nobody has mounted", c.Dir),
				fmt.Sprintf("anything there on the host. Container %s (process %d) has mounted something for itself.", c.Name, c.Pid),
				"Repaired is: the host has no mount there any more. The container may run on.",
			}
		},
		Repaired: func(c *Container) error {
			at := filepath.Join(c.Dir, "shared/data")
			if _, err := mountAt(os.Getpid(), at); err == nil {
				return fmt.Errorf("something is mounted on %s on the host", at)
			}
			return nil
		},
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("grep %s /proc/self/mountinfo /proc/%d/mountinfo   # shared:N with the same N on both sides: one peer group", c.Name, c.Pid),
				fmt.Sprintf("umount %s/shared/data", c.Dir),
			}
		},
	},
	{
		Lab: 2, Cause: "dev-null-file", Title: "its /dev/null is a regular file, not the device 1:3",
		Start: func(c *Container) error {
			root, err := c.makeRoot()
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(root, "dev/null"), nil, 0o666); err != nil {
				return err
			}
			return c.start(isolated, false, enter+`work='while :; do busybox seq 1000 >>/dev/null; busybox sleep 0.2; done'; : >"$1/ready"`+inside)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("The disk of container %s (process %d, its files are in %s/root) fills up, although its", c.Name, c.Pid, c.Dir),
				"program throws away all that it prints.",
				"Repaired is: the program runs on, and what it throws away takes no room.",
			}
		},
		Repaired: func(c *Container) error {
			if !c.alive(c.Pid) {
				return errors.New("the container is gone: its program was to run on")
			}
			var st unix.Stat_t
			path := fmt.Sprintf("/proc/%d/root/dev/null", c.Pid)
			if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
				return fmt.Errorf("/dev/null of the container is not the character device 1:3")
			}
			if st.Mode&0o666 != 0o666 {
				return fmt.Errorf("/dev/null of the container has the mode %o: not everybody can write to it", st.Mode&0o777)
			}
			return nil
		},
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("ls -l /proc/%d/root/dev/null                       # -rw-: a file", c.Pid),
				fmt.Sprintf("cd /proc/%d/root/dev && rm null && mknod -m 666 null c 1 3", c.Pid),
			}
		},
	},
	{
		Lab: 2, Cause: "host-proc", Title: "its /proc is the host's, not that of its own pid namespace",
		Start: func(c *Container) error {
			if _, err := c.makeRoot(); err != nil {
				return err
			}
			return c.start(isolated, false, alone+`mount --bind /proc "$root/proc"
work='while :; do busybox ps >/dev/null; busybox sleep 1; done'; : >"$1/ready"`+inside)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("In container %s (process %d) ps lists processes that are not the container's, and kill", c.Name, c.Pid),
				"of a number that it shows hits another process, or none.",
				"Repaired is: ps in the running container shows its processes by its own numbers.",
			}
		},
		Repaired: func(c *Container) error {
			if !c.alive(c.Pid) {
				return errors.New("the container is gone: it was to be repaired while it runs")
			}
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/root/proc/1/cmdline", c.Pid))
			if !strings.Contains(string(line), c.Name) {
				return errors.New("process 1 of the container's /proc is not the container's process 1")
			}
			return nil
		},
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("grep proc /proc/%d/mountinfo; tr '\\0' ' ' </proc/%d/root/proc/1/cmdline    # process 1 of the host", c.Pid, c.Pid),
				fmt.Sprintf("nsenter -t %d -m -p mount -t proc proc %s/root/proc   # a proc of its pid namespace, in its mount namespace", c.Pid, c.Dir),
			}
		},
	},
	{
		Lab: 2, Cause: "read-only-mount", Title: "the mount that is its root is read-only",
		Start: func(c *Container) error {
			root, err := c.makeRoot()
			if err != nil {
				return err
			}
			// It could write once.
			if err := os.WriteFile(filepath.Join(root, "data/count"), []byte("tick\n"), 0o644); err != nil {
				return err
			}
			return c.start(isolated, false, enter+`mount -o remount,ro,bind "$root"
work='while :; do echo tick >>/data/count; busybox sleep 0.2; done'; : >"$1/ready"`+inside)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("The program in container %s (process %d) can no longer write its file /data/count, which is", c.Name, c.Pid),
				fmt.Sprintf("%s/root/data/count on the host. Modes and owners are right, and the disk is not full.", c.Dir),
				"Repaired is: the same process writes again.",
			}
		},
		Repaired: func(c *Container) error {
			if !c.alive(c.Pid) {
				return errors.New("the container is gone: it was to be repaired while it runs")
			}
			return c.grows("root/data/count")
		},
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("cat /proc/%d/mountinfo     # the sixth field of / begins with ro: the mount, not the file system", c.Pid),
				fmt.Sprintf("nsenter -t %d -m mount -o remount,rw,bind %s/root", c.Pid, c.Dir),
			}
		},
	},
}

// mountAt gives the line of /proc/PID/mountinfo for a mount point.
func mountAt(pid int, path string) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return line, nil
		}
	}
	return "", fmt.Errorf("nothing is mounted on %s", path)
}
