package namespaces

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"minidocker/labs/check"

	"golang.org/x/sys/unix"
)

var mounts = check.Check{
	Name:    "mounts",
	Title:   "the container has a mount table of its own, and what is mounted in it stays in it",
	Needs:   needsWords,
	Section: chapter + "a-mount-that-reaches-the-host",
	Hints: []string{
		"A new mount namespace is a copy of the old one. What is a copy of a shared mount? See mount_namespaces(7), \"Shared subtrees\".",
		"Most hosts have / shared (systemd does that). The copies in the new namespace are peers of the host's mounts: what is mounted below one appears below the other.",
		"First thing in the child, before any mount: unix.Mount(\"\", \"/\", \"\", unix.MS_REC|unix.MS_PRIVATE, \"\"). Without MS_REC it holds for / alone, not for /proc, /dev, /sys.",
	},
	Explain: []string{
		`readlink /proc/self/ns/mnt /proc/$PID/ns/mnt`,
		`grep -o 'shared:[0-9]*' /proc/$PID/mountinfo                # the same number on the host: peers. It should print nothing`,
		`nsenter -t $PID -m mount -t tmpfs seen-by-whom /tmp; grep seen-by-whom /proc/self/mountinfo`,
	},
	Run: func(t *check.Trial) error {
		c, err := t.Start(nil, "wait")
		if err != nil {
			return err
		}
		if err := c.Own("mnt"); err != nil {
			return err
		}
		if err := peers(t, c); err != nil {
			return err
		}
		const at = "/tmp"
		err = c.Join(func() error { return unix.Mount(c.Nonce, at, "tmpfs", 0, "") }, "mnt")
		if errors.Is(err, unix.ENOENT) {
			return check.Fail("a directory /tmp in the container", "there is none", "the container's root is not the host's, as it is to be in this lab")
		} else if err != nil {
			return err
		}
		host, err := t.Host()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(host, func(m check.Mount) bool { return m.Source == c.Nonce }) {
			return check.Fail("a file system mounted in the container is not on the host", "it appeared on the host, on "+at,
				"the mounts of the new namespace are still shared with the host's: make them private, all of them (MS_REC), before the first mount")
		}
		return c.Release()
	},
}

// peers looks for mounts of the container that are still peers of mounts of the host.
func peers(t *check.Trial, c *check.Container) error {
	groups, err := t.Groups()
	if err != nil {
		return err
	}
	own, err := c.Mounts()
	if err != nil {
		return err
	}
	var at []string
	for _, m := range own {
		for _, peer := range m.Peers {
			if slices.Contains(groups, peer) {
				at = append(at, m.Point)
			}
		}
	}
	if len(at) == 0 {
		return nil
	}
	cause := "the mounts of the new namespace are copies, and peers, of the host's: make / private with MS_REC before the first mount"
	if !slices.Contains(at, "/") {
		cause = "/ was made private without MS_REC: what is mounted below it is still shared"
	}
	return check.Fail(fmt.Sprintf("no mount in /proc/%d/mountinfo is in a peer group (shared:N) with one of the host", c.Pid),
		"peers of the host's mounts: "+strings.Join(at, " "), cause)
}
