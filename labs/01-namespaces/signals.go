package namespaces

import (
	"fmt"
	"strconv"
	"syscall"

	"minidocker/labs/check"
)

var signals = check.Check{
	Name:    "signals",
	Title:   "signals to the engine reach the command, which decides what they do",
	Needs:   needsWords,
	Section: chapter + "a-sigterm-that-stops-the-wrong-process",
	Hints: []string{
		"Whoever stops a container has the engine's process number, not the command's. What does your engine do when it gets SIGTERM?",
		"The engine must not end by the signal: it passes it on and keeps waiting. The command may end, with a status of its own, or stay.",
		"In Go: signal.Notify(channel, syscall.SIGTERM, ...) before the command is started, then for s := range channel { process.Signal(s) } in a goroutine.",
	},
	Explain: []string{
		`PARENT=$(awk '/^PPid/ { print $2 }' /proc/$PID/status); ps -o pid,comm -p $PARENT   # the engine, if it is the command's parent`,
		`kill -TERM $PARENT; ps -o pid,comm -p $PARENT,$PID                                  # does the command get it, and does the engine stay?`,
		`grep -E 'Sig(Blk|Ign|Cgt)' /proc/$PID/status                  # which signals it handles: bit n-1 is signal n`,
	},
	Run: func(t *check.Trial) error {
		if err := endsByTerm(t); err != nil {
			return err
		}
		c, err := t.Start(nil, "note")
		if err != nil {
			return err
		}
		for _, s := range []struct {
			name   string
			signal syscall.Signal
		}{{"HUP", syscall.SIGHUP}, {"USR2", syscall.SIGUSR2}, {"INT", syscall.SIGINT}, {"QUIT", syscall.SIGQUIT}, {"TERM", syscall.SIGTERM}} {
			if err := c.SignalEngine(s.signal); err != nil {
				return err
			}
			if !t.Poll(func() bool { return c.Result() == s.name || c.Engine().Gone() }) {
				return check.Fail(fmt.Sprintf("SIG%s to the engine (process %d) reaches the command (process %d)", s.name, c.Engine().Pid, c.Pid),
					"the command did not get it",
					"the engine does not pass this signal on, or the command was started with it ignored, as a shell starts with & what it shall not interrupt (SIGINT, SIGQUIT)")
			}
			if c.Engine().Gone() {
				status, _ := c.Wait()
				return check.Fail("the engine stays as long as the command, which handled the signal and goes on",
					fmt.Sprintf("the engine ended with status %d; the command (process %d) %s", status, c.Pid, presence(c)),
					fmt.Sprintf("SIG%s has its default effect in the engine: no handler was set for it", s.name))
			}
		}
		if err := c.SignalEngine(syscall.SIGUSR1); err != nil { // this one ends the probe
			return err
		}
		if !t.Poll(func() bool { return c.Engine().Gone() }) {
			return check.Fail(fmt.Sprintf("SIGUSR1 to the engine (process %d) reaches the command (process %d), which ends by it", c.Engine().Pid, c.Pid),
				"both are still there", "the engine does not pass this signal on")
		}
		return released(c)
	},
}

// endsByTerm has the command end by SIGTERM in its own way.
func endsByTerm(t *check.Trial) error {
	want := t.Status()
	c, err := t.Start(nil, "exit", strconv.Itoa(want))
	if err != nil {
		return err
	}
	if err := c.SignalEngine(syscall.SIGTERM); err != nil {
		return err
	}
	expected := fmt.Sprintf("after SIGTERM to the engine (process %d) the command exits with %d, and so does the engine", c.Engine().Pid, want)
	if !t.Poll(func() bool { return c.Engine().Gone() }) {
		return check.Fail(expected, "both are still there", "the engine ignores SIGTERM, or handles it and does not pass it on, or to a process that is not the command")
	}
	status, err := c.Wait()
	if err != nil || status == want {
		return err
	}
	seen := fmt.Sprintf("the engine ended with status %d; the command (process %d) %s", status, c.Pid, presence(c))
	cause := "the engine does not give the command's status after a signal"
	switch {
	case status == 143:
		cause = "SIGTERM has its default effect in the engine: no handler was set for it, and it dies alone; or its waiting was interrupted, and taken for the end of the command"
	case status == 137:
		cause = "the engine killed the command instead of passing the signal on"
	}
	return check.Fail(expected, seen, cause)
}

func presence(c *check.Container) string {
	if c.Gone() {
		return "is gone"
	}
	return "is still there"
}

// released waits for the end of a container that was released.
func released(c *check.Container) error {
	status, err := c.Wait()
	if err != nil || status == c.Exits {
		return err
	}
	cause := "see exit-status"
	if status > 128 {
		cause = fmt.Sprintf("signal %d ended the engine, or its waiting (as the shell's wait), and that was taken for the end of the command: wait again", status-128)
	}
	return check.Fail(fmt.Sprintf("exit status %d, the command's", c.Exits), fmt.Sprintf("exit status %d", status), cause)
}
