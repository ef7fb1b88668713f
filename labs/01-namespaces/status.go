package namespaces

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"minidocker/labs/check"
)

var exitStatus = check.Check{
	Name:    "exit-status",
	Title:   "the engine exits with the command's status; 128+n, 125, 126, 127 as a shell and docker do",
	Needs:   needsWords,
	Section: chapter + "an-exit-status-that-is-lost",
	Hints: []string{
		"Whoever runs your engine in a script wants to know how the command ended. wait4(2) tells the engine; what does the engine tell?",
		"Three things can end a run: the command exits (its status), a signal kills it (128 and the signal's number), or it never ran (127 not found, 126 found and not executable, 125 the engine's own error, a bad flag too).",
		"In Go: state.Sys().(syscall.WaitStatus) has Signaled() and Signal(); ExitCode() is -1 after a signal. errors.Is(err, fs.ErrNotExist) is 127; other errors of execve are 126.",
	},
	Explain: []string{
		`ENGINE run /bin/busybox sh -c 'exit 42'; echo $?        # 42`,
		`ENGINE run sleep 1042 & sleep 1; kill -KILL $(pgrep -xf 'sleep 1042'); wait $!; echo $?    # 137: 128 + 9`,
		`ENGINE run /bin/no-such-program; echo $?                # 127`,
		`ENGINE run /etc/passwd; echo $?                         # 126: a file that is no program`,
		`ENGINE run --no-such-flag /bin/busybox true; echo $?    # 125`,
	},
	Run: func(t *check.Trial) error {
		for range 2 {
			if err := exits(t); err != nil {
				return err
			}
		}
		if err := killed(t); err != nil {
			return err
		}
		missing := t.Name()
		for _, c := range []struct {
			what  string
			words []string
			want  int
			cause string
		}{
			{"a program that is not there", []string{"run", "/bin/" + missing}, 127, "the error of execve(2), ENOENT, is not told from others"},
			{"a name that is nowhere in PATH", []string{"run", missing}, 127, "a name that was not found in PATH is not told from other errors"},
			{"a file that is no program", []string{"run", "/etc/passwd"}, 126, "the error of execve(2), EACCES, is not told from others"},
			{"a flag that the engine does not have", []string{"run", "--" + missing, "/bin/busybox", "true"}, 125, "the error of the command line is not told from those of the command"},
		} {
			out, err := t.Raw(c.words...)
			if err != nil {
				return err
			}
			if out.Status != c.want {
				if out.Status == 0 {
					c.cause = "the engine says what went wrong, if at all, and then exits as if nothing had"
				}
				return check.Fail(fmt.Sprintf("exit status %d for %s", c.want, c.what), shown(out), c.cause)
			}
		}
		return nil
	},
}

// exits has a command exit by itself.
func exits(t *check.Trial) error {
	want := t.Status()
	out, err := t.Run(nil, "/bin/busybox", "sh", "-c", "exit "+strconv.Itoa(want))
	if err != nil || out.Status == want {
		return err
	}
	cause := "the engine turns the status into another"
	switch out.Status {
	case 0:
		cause = "the engine does not look at the status that wait4(2) gives, or does not wait"
	case 1:
		cause = "the engine takes a status that is not 0 for an error of its own, and exits with 1 for all of them"
	case 125:
		cause = "one of the engine's own steps failed, and not each time: its message says which"
		if strings.Contains(out.Stderr, "/proc/") {
			cause = "the host's /proc is hidden: by the one that an earlier run has mounted over it. See mounts, and what is left"
		}
	}
	return check.Fail(fmt.Sprintf("exit status %d, the command's", want), shown(out), cause)
}

// shown is how a run ended, and what its engine wrote.
func shown(out check.Output) string {
	seen := fmt.Sprintf("exit status %d", out.Status)
	if text := strings.TrimSpace(out.Stderr); text != "" {
		seen += "; the engine wrote:\n" + text[max(0, len(text)-1000):]
	}
	return seen
}

// killed has a signal kill the command that nothing can hold back.
func killed(t *check.Trial) error {
	c, err := t.Start(nil, "wait")
	if err != nil {
		return err
	}
	if err := c.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	status, err := c.Wait()
	if err != nil || status == 137 {
		return err
	}
	cause := "the engine turns the end by a signal into another status"
	switch status {
	case 255:
		cause = "os.ProcessState.ExitCode is -1 after a signal, and exit(-1) shows as 255"
	case 9:
		cause = "128 is missing: 9 alone is what a command that exits with 9 gives"
	case 0:
		cause = "the engine asks for the exit status only, which is 0 after a signal (wait(2), WEXITSTATUS)"
	}
	return check.Fail("exit status 137 after the command was killed by signal 9", fmt.Sprintf("exit status %d", status), cause)
}
