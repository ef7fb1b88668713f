package namespaces

import (
	"fmt"
	"slices"
	"strings"

	"minidocker/labs/check"
)

var pid = check.Check{
	Name:    "pid",
	Title:   "the command is process 1 of a PID namespace of its own",
	Needs:   needsWords,
	Section: chapter + "pid-the-process-numbers",
	Hints: []string{
		"A process can have several numbers: one in its own PID namespace and one in each above it. The host sees it by its own.",
		"unshare(CLONE_NEWPID) does not move the caller: only its next child is process 1 of the new namespace.",
		"Clone the child with CLONE_NEWPID, and let that child become the command by execve: if it starts the command as a child of its own, the command is process 2.",
	},
	Explain: []string{
		`readlink /proc/self/ns/pid /proc/$PID/ns/pid`,
		`grep NSpid /proc/$PID/status     # its number on the host, and in its own namespace: 1`,
	},
	Run: func(t *check.Trial) error {
		c, err := t.Start(nil, "wait")
		if err != nil {
			return err
		}
		if err := c.Own("pid"); err != nil {
			mine, _ := c.Namespace("pid")
			if children, _ := c.Namespace("pid_for_children"); children != mine {
				return check.Fail(fmt.Sprintf("/proc/%d/ns/pid differs from that of a process of the host", c.Pid),
					"only its pid_for_children differs", "unshare(CLONE_NEWPID) is for the caller's children: the command must be one of them")
			}
			return err
		}
		numbers, err := c.Status("NSpid")
		if err != nil {
			return err
		}
		if all := strings.Fields(numbers); all[len(all)-1] != "1" {
			return check.Fail(fmt.Sprintf("NSpid in /proc/%d/status ends in 1", c.Pid), "NSpid: "+numbers,
				"another process came first in the namespace: an init that started the command as its child instead of becoming it")
		}
		return c.Release()
	},
}

var proc = check.Check{
	Name:    "proc",
	Title:   "/proc in the container shows its own processes, and the host's /proc is whole",
	Needs:   []string{"pid", "mounts"},
	Section: chapter + "the-wrong-ps",
	Hints: []string{
		"ps reads /proc. A new PID namespace does not change what is mounted there.",
		"A proc file system shows the PID namespace of the process that mounted it. So it must be mounted anew, by a process of the new namespace.",
		"In the child: first make / private with MS_REC, then unix.Mount(\"proc\", \"/proc\", \"proc\", MS_NOSUID|MS_NODEV|MS_NOEXEC, \"\"). In the other order the host's /proc is hidden.",
	},
	Explain: []string{
		`tr '\0' ' ' < /proc/$PID/root/proc/1/cmdline    # process 1 in the container's /proc: the command`,
		`tr '\0' ' ' < /proc/1/cmdline                   # and in the host's`,
		`nsenter -t $PID -m -p ps                        # what a ps in the container shows`,
	},
	Run: func(t *check.Trial) error {
		c, err := t.Start(nil, "wait")
		if err != nil {
			return err
		}
		first, err := wordsIn(c.Process, "/proc/1/cmdline")
		if err != nil {
			return check.Fail("process 1 of the container's /proc is the command", err.Error(), "no proc file system is mounted on /proc in the container")
		}
		if !slices.Contains(first, c.Nonce) {
			return check.Fail("process 1 of the container's /proc is the command", fmt.Sprintf("process 1 there is %q", strings.Join(first, " ")),
				"the host's proc is still mounted on /proc: none was mounted in the new namespaces")
		}
		hosts, err := wordsIn(t.Control, "/proc/1/cmdline")
		if err == nil && slices.Contains(hosts, c.Nonce) {
			return check.Fail("process 1 of the host's /proc is the host's", "it is the container's command",
				"the container's proc was mounted while / was still shared, and appeared on the host")
		}
		return c.Release()
	},
}

// wordsIn reads a file of words as a process would by its absolute path.
func wordsIn(p check.Process, path string) ([]string, error) {
	text, err := p.ReadRoot(path)
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00"), err
}

var orphans = check.Check{
	Name:    "orphans",
	Title:   "a process whose parent is gone belongs to the command, and ends with it",
	Needs:   []string{"pid"},
	Section: chapter + "process-1-is-special",
	Hints: []string{
		"When a process ends, its children get another parent: process 1. Of which PID namespace?",
		"When process 1 of a PID namespace ends, the kernel kills all that are left in it. Your engine has nothing to do for it, if the command is process 1.",
		"If the check fails although pid passes: the orphan was started outside, or the engine came back before its child was gone. Wait for the child that you cloned.",
	},
	Explain: []string{
		`ps -e -o pid,ppid,args | grep 'sleep 999999'    # its parent is $PID`,
		`kill -KILL $PID; ps -e | grep 999999            # and it is gone with it`,
	},
	Run: func(t *check.Trial) error {
		c, err := t.Start(nil, "orphan")
		if err != nil {
			return err
		}
		var orphan check.Process
		t.Poll(func() bool {
			for _, p := range c.Descendants() {
				if words, _ := p.Cmdline(); slices.Contains(words, "999999") {
					orphan = p
				}
			}
			return orphan.Pid != 0
		})
		parent, err := orphan.Parent()
		if err != nil {
			return check.Fail("a process that the command's child left, in /proc", "there is none", "the container's processes cannot start others, or were ended with their parent")
		}
		if parent != c.Pid {
			return check.Fail(fmt.Sprintf("the parent of an orphan (process %d) is the command (process %d)", orphan.Pid, c.Pid),
				fmt.Sprintf("it is process %d", parent), "another process is 1 in the PID namespace, or one is its subreaper (prctl(2))")
		}
		if err := c.Release(); err != nil {
			return err
		}
		if _, err := c.Wait(); err != nil {
			return err
		}
		if !orphan.Gone() {
			return check.Fail("when the engine has ended, nothing of the container is left", fmt.Sprintf("process %d (sleep 999999) is still there", orphan.Pid),
				"the engine came back without having waited for process 1 of the container")
		}
		return nil
	},
}
