package check

import (
	"errors"
	"fmt"
	"strings"
)

// errNothing is the reason why nothing can be said of what an engine left.
var errNothing = errors.New("no check saw a container, so there was nothing to leave")

// Leftovers is the last check of a lab: what all checks before it found on the host that
// was not there when they began.
func Leftovers(section string, hints ...string) Check {
	return Check{
		Name:    "leftovers",
		Title:   "when the engine has ended, the host is as before: no process, mount, cgroup, link or rule is left",
		Section: section,
		Hints:   hints,
		Explain: []string{
			`findmnt; ip link; find /sys/fs/cgroup -type d; nft list ruleset     # before and after, compared with diff`,
			`pgrep -a busybox                                                  # processes of the container`,
		},
		Run: func(t *Trial) error {
			left := t.session.left
			if len(left) == 0 && !t.session.seen {
				return errNothing
			}
			if len(left) == 0 {
				return nil
			}
			var all []string
			for _, f := range left {
				all = append(all, f.String())
			}
			return Fail("nothing that was not there before", strings.Join(all, "\n"), causeOf(left[0]))
		},
	}
}

func causeOf(f Finding) string {
	switch f.Kind {
	case "process":
		return "the engine ended before its container: it does not wait for it, or not for all of it"
	case "mount":
		return "the engine mounted on the host, or in a mount namespace that still shares its mounts with the host's"
	case "cgroup":
		return "the engine does not remove the cgroup once its last process has ended (rmdir; EBUSY as long as one is in it)"
	}
	return fmt.Sprintf("the engine does not take back each %s that it made, perhaps only when the command fails", f.Kind)
}
