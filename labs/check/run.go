package check

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options are how a lab is run. The zero value: every check, a deadline of 10 seconds.
type Options struct {
	Seed     string        // names, limits and statuses follow from it
	Only     string        // this check alone, without those it needs
	Hold     bool          // leave the container of the check Only, instead of releasing it
	Deadline time.Duration // for whatever must happen; 0: 10 seconds
	Patience time.Duration // for what an engine still cleans up after its end; 0: 4 seconds
	Done     func(Result)  // is told each result at once; nil: nobody is
}

// Run runs a lab on an engine and gives a result for each check, in the lab's order. An
// error means that nothing could be checked. An interrupt ends the program, cleanly.
func Run(lab *Lab, engine *Engine, o Options) (results []Result, err error) {
	if o.Only != "" && lab.Find(o.Only) == nil {
		return nil, fmt.Errorf("lab %d has no check %q", lab.Number, o.Only)
	}
	// What the checker's caller has open is not the engine's fault.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("close_range: %w", err)
	}
	s, err := newSession()
	if err != nil {
		return nil, err
	}
	defer s.endOnSignal()()
	if o.Deadline == 0 {
		o.Deadline = 10 * time.Second
	}
	if o.Patience == 0 { // Docker's daemon cleans up while its command line is already back
		o.Patience = 4 * time.Second
	}
	verdicts := map[string]Verdict{}
	for i := range lab.Checks {
		c := &lab.Checks[i]
		if o.Only != "" && o.Only != c.Name {
			continue
		}
		result := attempt(lab, c, engine, s, o, verdicts)
		verdicts[c.Name] = result.Verdict
		results = append(results, result)
		if o.Done != nil {
			o.Done(result)
		}
		if len(result.Held) > 0 {
			return results, nil // the next run ends them, and removes the session
		}
	}
	return results, s.end()
}

// Find gives the check of this name, nil if there is none.
func (l *Lab) Find(name string) *Check {
	if i := slices.IndexFunc(l.Checks, func(c Check) bool { return c.Name == name }); i >= 0 {
		return &l.Checks[i]
	}
	return nil
}

// attempt makes one check, or says why not.
func attempt(lab *Lab, c *Check, engine *Engine, s *session, o Options, verdicts map[string]Verdict) Result {
	result := Result{Lab: lab.Number, Check: c.Name, Title: c.Title, Section: c.Section, Explain: c.Explain}
	for _, need := range c.Needs {
		if o.Only == "" && verdicts[need] != Passed {
			result.Verdict, result.Reason = Blocked, fmt.Sprintf("it needs %s, which is %s", need, verdicts[need])
			return result
		}
	}
	begun := time.Now()
	t := &Trial{lab: lab, check: c, engine: engine, session: s, Deadline: o.Deadline, patience: o.Patience, hold: o.Hold, random: seeded(o.Seed, lab, c.Name)}
	err := t.begin()
	if err == nil {
		err = t.unasked(c.Run(t))
		if t.hold {
			result.Held = t.held()
		}
		if errors.Is(err, errHeld) && len(result.Held) == 0 {
			err = Fail("a container to be held", "it has ended", "the engine ends its command, or does not wait for it")
		}
		if len(result.Held) == 0 {
			err = errors.Join(err, t.end(&result))
		}
	}
	result.judge(err)
	result.Reproduce = t.reproduce()
	if len(t.runs) > 0 {
		if last := t.runs[len(t.runs)-1].container; last != nil {
			result.container, result.nonce = true, last.Nonce
		}
	}
	result.Seconds = time.Since(begun).Seconds()
	return result
}

// unasked makes a failure of an error that came of a container, or its engine, that ended
// while it was looked at: an engine is not to get away with that.
func (t *Trial) unasked(err error) error {
	var failed *failure
	var missing *lack
	if err == nil || errors.Is(err, errHeld) || errors.Is(err, errNothing) || errors.As(err, &failed) || errors.As(err, &missing) {
		return err
	}
	for _, r := range t.runs {
		if r.container == nil || len(r.signals) > 0 {
			continue
		}
		what := ""
		switch {
		case r.container.Gone():
			what = fmt.Sprintf("the command (process %d)", r.container.Pid)
		case r.over():
			what = fmt.Sprintf("the engine (process %d)", r.cmd.Process.Pid)
		default:
			continue
		}
		return Fail("the command, and its engine, keep running until the command is released", fmt.Sprintf("%s has ended while it was looked at (%v)", what, err),
			"the engine ends its command, or does not wait for it")
	}
	return err
}

// judge makes the verdict of what the check came back with.
func (r *Result) judge(err error) {
	var failed *failure
	var missing *lack
	switch {
	case err == nil:
		r.Verdict = Passed
	case errors.Is(err, errHeld):
		r.Verdict, r.Reason = Held, "nothing had failed when the check would have ended the container"
	case errors.As(err, &failed):
		r.Verdict, r.Expected, r.Seen, r.Cause = Failed, failed.expected, failed.seen, failed.cause
	case errors.As(err, &missing):
		r.Verdict, r.Reason = Unchecked, missing.reason
	case errors.Is(err, errNothing):
		r.Verdict, r.Reason = Blocked, err.Error()
	default:
		r.Verdict, r.Reason = Broken, err.Error()
	}
}

// begin makes the host's stand-in, starts the control process in it, and takes the ledger.
func (t *Trial) begin() (err error) {
	if t.host, err = newStandin(t.session.fence); err != nil {
		return err
	}
	control := exec.Command(busybox, "sleep", "1000000")
	control.Env = []string{"LABS_NONCE=" + t.session.marker}
	control.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := t.host.start(control); err != nil {
		return err
	}
	go control.Wait()
	t.Control = Process{control.Process.Pid}
	if t.lab.Rootfs {
		if err := t.makeRootfs(); err != nil {
			return err
		}
	}
	t.before, err = t.take()
	return err
}

// held are the containers that stay.
func (t *Trial) held() (pids []int) {
	for _, r := range t.runs {
		if r.container != nil && !r.over() {
			pids = append(pids, r.container.Pid)
		}
	}
	return pids
}

// end ends what the check left running, finds what the engine left behind, and removes
// what of it is ours.
func (t *Trial) end(result *Result) (err error) {
	willing := true
	for _, r := range t.runs {
		if r.container != nil && !r.over() {
			r.container.Release()
		}
		if r.container == nil || r.late || t.late(r) { // no finding of this check: it may have been about that
			if r.over() {
				continue
			}
			willing = false
			syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
			r.cmd.Process.Kill() // it may have left its process group
			t.late(r)
		}
	}
	if willing { // what an engine leaves that had to be killed is no wonder
		if result.Left, err = t.left(t.before); err != nil {
			return err
		}
		for _, f := range result.Left {
			if f.Ours {
				if f.Kind == "cgroup" && t.ours(f.Object) {
					if err := t.session.remember(f.Object); err != nil { // to be removed
						return err
					}
				}
				t.session.left = append(t.session.left, Finding{f.Kind, f.Object + ", after " + t.check.Name, true})
			}
		}
	}
	t.host.end()
	t.session.sweep()
	return nil
}
