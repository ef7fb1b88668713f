package rootfs

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"minidocker/labs/check"
)

var root = check.Check{
	Name:    "root",
	Title:   "/ is the directory DIR, and the command's working directory is /",
	Section: chapter + "#pivot_root-step-by-step",
	Hints: []string{
		"Which system calls change what / means? There are two; the first one you find is not the one to keep.",
		"pivot_root(2) answers EINVAL unless the new root is a mount point: bind the directory on itself first (MS_BIND|MS_REC).",
		"The working directory is something a process keeps open. After the change of root call chdir(\"/\"), or \".\" is still on the host.",
	},
	Explain: []string{
		"cat /proc/$PID/root/etc/labs-marker     # a file that is in DIR only",
		"stat -c '%d:%i %n' / /proc/$PID/root/ /proc/$PID/cwd/     # the host's /, its /, its working directory",
		"ls -l /proc/$PID/fd",
	},
	Run: func(t *check.Trial) error {
		c, err := start(t)
		if err != nil {
			return err
		}
		if err := hasMarker(t, c); err != nil {
			return err
		}
		if err := worksInside(c); err != nil {
			return err
		}
		return finish(c)
	},
}

// hasMarker fails if the container's / is not the directory that was given.
func hasMarker(t *check.Trial, c *check.Container) error {
	const marker = "/etc/labs-marker"
	content, err := os.ReadFile(inside(c, marker))
	if strings.TrimSpace(string(content)) == t.Marker() {
		return nil
	}
	expected := fmt.Sprintf("%s in the container says %s, as in %s", marker, t.Marker(), t.Rootfs())
	same, err2 := sameFile("/", inside(c, "/"))
	if err2 != nil {
		return err2
	}
	if same {
		return check.Fail(expected, "the container's / is the host's /", "neither pivot_root(2) nor chroot(2) was called, or another process called it")
	}
	return check.Fail(expected, fmt.Sprintf("%q (%v)", content, err), "/ is another directory than DIR")
}

// worksInside fails if the command holds a directory that is not its own: from there
// all of the host is a few ".." away.
func worksInside(c *check.Container) error {
	own, err := sameFile(inside(c, "/"), proc(c.Process, "cwd"))
	if err != nil {
		return err
	}
	if !own {
		path, _ := os.Readlink(proc(c.Process, "cwd"))
		return check.Fail("the working directory is the container's /", fmt.Sprintf("/proc/%d/cwd is %s of another root", c.Pid, path),
			"chdir(\"/\") is missing after the change of root: \".\" stays where it was")
	}
	open, err := c.Descriptors()
	if err != nil {
		return err
	}
	for number, name := range open {
		if info, err := os.Stat(proc(c.Process, fmt.Sprintf("fd/%d", number))); err == nil && info.IsDir() {
			return check.Fail("no directory is open in the command", fmt.Sprintf("descriptor %d is the directory %s", number, name),
				"it was opened without O_CLOEXEC, and execve(2) keeps it: fchdir(2) leads out of the container")
		}
	}
	return nil
}

// sameFile tells whether two paths lead to the same file. (Mounts do not matter: one of
// the host's files is the host's wherever it is mounted.)
func sameFile(a, b string) (bool, error) {
	first, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second), err
}

var propagation = check.Check{
	Name:    "propagation",
	Title:   "what the engine mounts does not appear on the host, whose / is shared",
	Needs:   []string{"root"},
	Section: chapter + "#propagation-onto-the-host",
	Hints: []string{
		"A new mount namespace is a copy. What does findmnt -o TARGET,PROPAGATION say in it before your engine mounts anything?",
		"systemd makes / shared: then the copy's mounts and the host's are peers, and a mount in one appears in both.",
		"The first mount call of all: mount(\"\", \"/\", \"\", MS_REC|MS_PRIVATE, \"\"). Before the bind of DIR, too.",
	},
	Explain: []string{
		"grep shared: /proc/$PID/mountinfo     # its peer groups: none, or none that is in the host's /proc/self/mountinfo, too",
		"unshare -m --propagation shared bash     # to try it: this stands in for a host whose / is shared. Run the engine in there",
		"findmnt | grep rootfs     # in there, while it runs and afterwards: nothing",
	},
	Run: func(t *check.Trial) error {
		before, err := t.Host()
		if err != nil {
			return err
		}
		groups, err := t.Groups()
		if err != nil {
			return err
		}
		c, err := start(t)
		if err != nil {
			return err
		}
		if err := unchanged(t, before, "while the container runs"); err != nil {
			return err
		}
		mounts, err := c.Mounts()
		if err != nil {
			return err
		}
		for _, m := range mounts {
			for _, group := range m.Peers {
				if slices.Contains(groups, group) {
					return check.Fail("no mount of the container is a peer of one of the host's",
						fmt.Sprintf("%s is in peer group %s, and so is a mount of the host", m, strings.TrimPrefix(group, "shared:")),
						"what the container mounts below it appears on the host: the mounts were copied and left shared")
				}
			}
		}
		if err := finish(c); err != nil {
			return err
		}
		return unchanged(t, before, "after the container's end")
	},
}

// unchanged fails if the host has other mounts than before.
func unchanged(t *check.Trial, before []check.Mount, when string) error {
	now, err := t.Host()
	if err != nil {
		return err
	}
	had := func(list []check.Mount, id int) bool {
		return slices.ContainsFunc(list, func(m check.Mount) bool { return m.ID == id })
	}
	for _, m := range now {
		if !had(before, m.ID) {
			return check.Fail("the host has the mounts it had before", fmt.Sprintf("%s, it also has %s", when, m),
				"it was mounted before / was made private in the container's mount namespace, or outside of that")
		}
	}
	for _, m := range before {
		// The kernel takes away what is mounted on a directory that somebody else removes.
		if _, err := os.Lstat(m.Point); err == nil && !had(now, m.ID) {
			return check.Fail("the host has the mounts it had before", fmt.Sprintf("%s, %s is gone", when, m),
				"the old root was unmounted while its mounts were still peers of the host's")
		}
	}
	return nil
}
