package check

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Options are how a lab is run. The zero value: every check, a deadline of 10 seconds.
type Options struct {
	Seed     string        // names, limits and statuses follow from it
	Only     string        // this check, and those it needs
	Hold     bool          // leave the container of the check Only
	Deadline time.Duration // for whatever must happen; 0: 10 seconds
	Top      string        // of the project, for the paths in a report
}

// Run runs a lab on an engine.
func Run(lab *Lab, engine *Engine, o Options) (results []Result, err error) {
	s, err := newSession()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(s.dir)
	if o.Deadline == 0 {
		o.Deadline = 10 * time.Second
	}
	verdicts := map[string]Verdict{}
	for i := range lab.Checks {
		c := &lab.Checks[i]
		result := Result{Lab: lab.Number, Check: c.Name, Title: c.Title, Section: c.Section}
		begun := time.Now()
		if need := slices.IndexFunc(c.Needs, func(name string) bool { return verdicts[name] != Passed }); need >= 0 {
			result.Verdict, result.Reason = Blocked, fmt.Sprintf("it needs %s, which is %s", c.Needs[need], verdicts[c.Needs[need]])
		} else {
			attempt(lab, c, engine, s, o, &result)
		}
		result.Seconds = time.Since(begun).Seconds()
		verdicts[c.Name] = result.Verdict
		results = append(results, result)
	}
	return results, nil
}

// attempt makes one check.
func attempt(lab *Lab, c *Check, engine *Engine, s *session, o Options, result *Result) {
	t := &Trial{lab: lab, engine: engine, session: s, Deadline: o.Deadline, hold: o.Hold, random: seeded(o.Seed, lab, c.Name)}
	err := t.begin()
	if err == nil {
		err = c.Run(t)
		t.end()
	}
	var failed *failure
	var missing *lack
	switch {
	case err == nil:
		result.Verdict = Passed
	case errors.As(err, &failed):
		result.Verdict, result.Expected, result.Seen, result.Cause = Failed, failed.expected, failed.seen, failed.cause
		result.Reproduce = t.reproduce()
	case errors.As(err, &missing):
		result.Verdict, result.Reason = Unchecked, missing.reason
	default:
		result.Verdict, result.Reason = Broken, err.Error()
	}
}

// begin makes the host's stand-in and starts the control process in it.
func (t *Trial) begin() (err error) {
	if t.host, err = newStandin(); err != nil {
		return err
	}
	control := exec.Command(busybox, "sleep", "1000000")
	control.Env = []string{"LABS_NONCE=" + t.session.marker}
	control.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := t.host.start(control); err != nil {
		return err
	}
	t.Control = Process{control.Process.Pid}
	if t.lab.Rootfs {
		return t.makeRootfs()
	}
	return nil
}

// end ends what the check left running, and lets go of the host's stand-in.
func (t *Trial) end() {
	for _, r := range t.runs {
		if !r.over() {
			syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
			<-r.ended
		}
	}
	for _, p := range processes(func(p Process) bool { return p.marked(t.session.marker) && p.Pid != os.Getpid() }) {
		syscall.Kill(p.Pid, syscall.SIGKILL)
	}
	t.host.end()
}

// reproduce is the last run of the engine as it can be typed.
func (t *Trial) reproduce() string {
	if len(t.runs) == 0 {
		return ""
	}
	words := t.runs[len(t.runs)-1].words
	probe := "\"$(" + Quote(self()) + " probe)\""
	line := Quote(t.engine.words...)
	for _, word := range words {
		if word == Probe {
			line += " " + probe
		} else {
			line += " " + Quote(word)
		}
	}
	return line
}

// self is how this program is called from the directory one is in.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "labs"
	}
	if dir, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(relative, "..") {
			return "./" + relative
		}
	}
	return path
}
