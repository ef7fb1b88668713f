package check

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Container is a probe that an engine runs, as the host sees it.
type Container struct {
	Process        // its first process
	Nonce   string // in that process's words
	Exits   int    // what it exits with when it is released

	trial *Trial
	run   *run
}

// Start has the engine run the probe, finds it in the host's /proc, and waits until it
// is ready. The modes and their arguments stand in probe.sh.
func (t *Trial) Start(flags []string, mode string, args ...string) (*Container, error) {
	c := &Container{trial: t, Nonce: t.session.nonce(), Exits: t.Status()}
	argv := slices.Concat([]string{busybox, "sh", "-c", Probe, c.Nonce, mode, strconv.Itoa(c.Exits)}, args)
	var err error
	if c.run, err = t.start(t.words(flags, argv)); err != nil {
		return nil, err
	}
	found := t.Poll(func() bool {
		c.Pid = find(argv)
		return c.Pid != 0 && c.sleeper() != 0 || c.run.over()
	})
	if !found || c.run.over() {
		return nil, t.absent(c, argv)
	}
	c.run.container = c
	t.session.seen = true
	return c, t.remember(c.Process)
}

// find gives the process with these words whose parent has others, 0 if there is none.
func find(argv []string) int {
	same := func(p Process) bool {
		words, err := p.Cmdline()
		return err == nil && slices.Equal(words, argv)
	}
	for _, p := range processes(same) {
		if parent, err := p.Parent(); err == nil && !same(Process{parent}) {
			return p.Pid
		}
	}
	return 0
}

// sleeper is the child by which the probe shows that it is ready.
func (c *Container) sleeper() int {
	for _, child := range c.Children() {
		if words, err := child.Cmdline(); err == nil && slices.Equal(words, []string{busybox, "sleep", "1000000"}) {
			return child.Pid
		}
	}
	return 0
}

// absent says why there is no container to look at.
func (t *Trial) absent(c *Container, argv []string) error {
	expected := "a process whose words are exactly those after \"run\" and its flags, on the host seen in /proc"
	if c.Pid != 0 && !c.Gone() {
		return Fail("the command keeps running until it is released", "its process was there, and did not get ready", "the engine stopped it, or it cannot start processes of its own")
	}
	if c.run.over() {
		text := strings.TrimSpace(c.run.text(".stderr"))
		seen := fmt.Sprintf("no such process; the engine ended with status %d", c.run.status())
		if text != "" {
			seen += ", and wrote:\n" + text[max(0, len(text)-1000):]
		}
		return Fail(expected, seen, whyOver(c.run.status(), text))
	}
	for _, p := range processes(func(p Process) bool { return p.marked(c.Nonce) }) {
		words, err := p.Cmdline()
		name, _ := p.read("comm")
		isShell := len(words) > 0 && (filepath.Base(words[0]) == "sh" || strings.TrimSpace(name) == "busybox")
		if err == nil && isShell && p.Pid != c.Engine().Pid && !slices.Equal(words, argv) {
			return Fail(expected, fmt.Sprintf("process %d has the words %q", p.Pid, withoutProbe(words)), whyOther(words, argv, c.Nonce))
		}
	}
	return Fail(expected, "no such process; the engine is still running", "the engine does not start its command")
}

// whyOther is the likely reason why a process has other words than those that were given.
func whyOther(words, argv []string, nonce string) string {
	if !slices.Contains(words, nonce) {
		return "the engine joined the words to one, and a shell split them again"
	}
	for i, word := range argv {
		if i >= len(words) || words[i] != word {
			return fmt.Sprintf("the engine changed the words, or left some out, from the %dth on: there it was given %q", i+1, word)
		}
	}
	return "the engine added words"
}

// withoutProbe shows words with the script cut short.
func withoutProbe(words []string) []string {
	short := slices.Clone(words)
	for i := range short {
		short[i] = strings.ReplaceAll(short[i], Probe, "PROBE")
	}
	return short
}

// whyOver is the likely reason why an engine has ended and no command was seen.
func whyOver(status int, text string) string {
	switch {
	case strings.Contains(strings.ToLower(text), "syntax error"):
		return "the engine joined the words to one line, and a shell read it: its message speaks of syntax"
	case status == 0:
		return "the engine did not run the command, or did not wait for it"
	case strings.Contains(text, "/proc/self/exe: no such file"):
		return "the host's /proc is hidden: by the one that an earlier run has mounted over it. See what is left above"
	case strings.Contains(strings.ToLower(text), "cannot allocate memory"):
		return "fork(2) says so in a PID namespace whose process 1 has ended: the first child made in it must be the command"
	case status == 125:
		return "the engine refused its command line, or one of its own steps failed: its message says which"
	case status == 126 || status == 127:
		return "execve(2) failed: " + busybox + " is not there, or cannot be executed, where the command runs"
	}
	return "the engine, or the process that was to become the command, ended before execve(2)"
}

// Result is how what the mode does went: RESULT in probe.sh.
func (c *Container) Result() string {
	words, _ := Process{c.sleeper()}.Environment()
	for _, word := range words {
		if value, ok := strings.CutPrefix(word, "RESULT="); ok {
			return value
		}
	}
	return ""
}

// Engine is the process that the checker started: the engine.
func (c *Container) Engine() Process { return Process{c.run.cmd.Process.Pid} }

// Signal sends a signal to the container's process, from the host.
func (c *Container) Signal(signal syscall.Signal) error { return c.signal(c.Process, signal) }

// SignalEngine sends a signal to the engine.
func (c *Container) SignalEngine(signal syscall.Signal) error { return c.signal(c.Engine(), signal) }

func (c *Container) signal(p Process, signal syscall.Signal) error {
	if c.trial.hold {
		return errHeld
	}
	c.run.signals = append(c.run.signals, sent{signal, p == c.Engine()})
	switch {
	case p == c.Engine():
		c.run.cmd.Process.Signal(signal) // an error: it has ended, which is for others to see
	case p.marked(c.Nonce): // and not somebody else, whose number was the container's
		syscall.Kill(p.Pid, signal)
	}
	return nil
}

// Release lets the probe end: it exits with Exits. It fails if the probe has ended already.
func (c *Container) Release() error {
	if len(c.run.signals) == 0 && c.Gone() {
		return Fail("the command keeps running until it is released", fmt.Sprintf("process %d has ended by itself", c.Pid),
			"the engine ends its command, or something of the command's after a time")
	}
	return c.Signal(syscall.SIGUSR1)
}

// Wait waits for the engine's end, and gives its exit status.
func (c *Container) Wait() (int, error) { return c.trial.wait(c.run) }

// Descendants are the processes that the probe started, and those that these started,
// wherever their parents are.
func (c *Container) Descendants() []Process {
	return processes(func(p Process) bool {
		words, err := p.Environment()
		return err == nil && slices.Contains(words, "LABS_PROBE="+c.Nonce)
	})
}
