package incident

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// well is the script of a container with nothing wrong: it counts, and ends on SIGTERM.
const well = `trap "exit 0" TERM
while :; do echo tick >>"$1/$2"; sleep 0.2 & wait $!; done`

var namespaceCases = []Case{
	{
		Lab: 1, Cause: "no-reaper", Title: "process 1 does not wait for the processes that end below it",
		Start: func(c *Container) error {
			// tail, which becomes process 1, has no reason to wait for anybody.
			script := `cd "$1"; for i in $(seq ` + fmt.Sprint(5+c.Number) + `); do sleep 0.5 & done; : >"$0" >ready; exec busybox tail -f "$0"`
			if err := c.start(isolated, false, script); err != nil {
				return err
			}
			return poll("zombies", func() error {
				if c.noZombies() == nil {
					return fmt.Errorf("none yet")
				}
				return nil
			})
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Container %s (process %d) fills the process table: its processes use no memory", c.Name, c.Pid),
				"and no time, and not even kill -9 makes them go. When the numbers run out, nothing starts any more.",
				"Repaired is: none of them is left.",
			}
		},
		Repaired: (*Container).repairedZombies,
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("ps -o pid,ppid,stat,args --ppid %d     # Z: ended, and its parent has not asked how", c.Pid),
				fmt.Sprintf("cat /proc/%d/status                     # the parent sleeps, and does not wait", c.Pid),
				fmt.Sprintf("kill -9 %d                              # when process 1 goes, the kernel takes all of its namespace", c.Pid),
			}
		},
	},
	{
		Lab: 1, Cause: "term-ignored", Title: "process 1 has no handler for SIGTERM, so the kernel does not deliver it",
		Start: func(c *Container) error {
			if err := c.withNeighbour(); err != nil {
				return err
			}
			return c.start(isolated, false, `: >"$1/ready"; while :; do sleep 100; done`)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("To stop container %s somebody sent SIGTERM to its process %d, again and again.", c.Name, c.Pid),
				"Nothing happens. Its neighbour of the same name stops at once when asked (do not: it is needed).",
				"Repaired is: the container has ended, and its neighbour runs.",
			}
		},
		Repaired: func(c *Container) error { return c.repairedByEnd() },
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("grep -E 'NSpid|SigCgt' /proc/%d/status   # process 1 of its namespace, and bit 15 (0x4000) is not caught", c.Pid),
				fmt.Sprintf("kill -9 %d                               # from outside SIGKILL works, even on process 1", c.Pid),
			}
		},
	},
	{
		Lab: 1, Cause: "stopped", Title: "its processes have been stopped by SIGSTOP",
		Start: func(c *Container) error {
			if err := c.start(isolated, false, `: >"$1/ready"; while :; do echo tick >>"$1/count"; sleep 0.2; done`); err != nil {
				return err
			}
			return unix.Kill(c.Pid, unix.SIGSTOP)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Container %s (process %d) is there, and does nothing: %s/count no longer grows.", c.Name, c.Pid, c.Dir),
				"Repaired is: the same process goes on with its work.",
			}
		},
		Repaired: func(c *Container) error {
			if !c.alive(c.Pid) {
				return fmt.Errorf("process %d is gone: it was to go on", c.Pid)
			}
			return c.grows("count")
		},
		Solution: func(c *Container) []string {
			return []string{
				fmt.Sprintf("grep State /proc/%d/status    # T (stopped)", c.Pid),
				fmt.Sprintf("kill -CONT %d", c.Pid),
			}
		},
	},
	{
		Lab: 1, Cause: "host-network", Title: "it was started without a network namespace of its own",
		Start: func(c *Container) error {
			if err := c.withNeighbour(); err != nil {
				return err
			}
			return c.start(isolated&^unix.CLONE_NEWNET, false, `: >"$1/ready"; trap "exit 0" TERM; while :; do sleep 100 & wait $!; done`)
		},
		Symptom: func(c *Container) []string {
			return []string{
				fmt.Sprintf("Two containers run under the name %s (ps shows their processes). A service that listens on the", c.Name),
				"host's 127.0.0.1 and nowhere else answers one of them. Find which of the two, and why it can.",
				"Repaired is: that one has ended, and the other runs.",
			}
		},
		Repaired: func(c *Container) error { return c.repairedByEnd() },
		Solution: func(c *Container) []string {
			return []string{
				"readlink /proc/self/ns/net; for p in $(pgrep -f " + c.Name + "); do echo $p $(readlink /proc/$p/ns/net); done",
				fmt.Sprintf("kill %d", c.Pid),
			}
		},
	},
}

// withNeighbour starts a second container of the same name that is well.
func (c *Container) withNeighbour() error {
	pid, err := c.spawn(isolated, false, well, "neighbour")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "neighbour.pid"), fmt.Append(nil, pid), 0o644)
}

func (c *Container) neighbour() (pid int) {
	data, _ := os.ReadFile(filepath.Join(c.Dir, "neighbour.pid"))
	fmt.Sscan(string(data), &pid)
	return pid
}

func (c *Container) repairedByEnd() error {
	// A process that was killed needs a moment to end.
	if within(time.Second, func() error {
		if c.alive(c.Pid) {
			return errors.New("alive")
		}
		return nil
	}) != nil {
		return fmt.Errorf("the container's process %d runs as before", c.Pid)
	}
	if !c.alive(c.neighbour()) {
		return fmt.Errorf("the neighbour, process %d, is gone: it had nothing to do with it", c.neighbour())
	}
	return nil
}

func (c *Container) repairedZombies() error { return within(time.Second, c.noZombies) }

func (c *Container) noZombies() error {
	for _, pid := range children(c.Pid) {
		if strings.HasPrefix(status(pid, "State"), "Z") {
			return fmt.Errorf("process %d has ended and is still there", pid)
		}
	}
	return nil
}
