package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"minidocker/labs/check"
	"minidocker/labs/grade"
)

// TestHostile: engines that are broken in ways that no check asks for. The checker comes to
// a verdict on each check that is not its own error, in time, and the host is as before.
func TestHostile(t *testing.T) {
	needsDisposable(t)
	t.Setenv("MYDOCKER_LABS_DIR", t.TempDir())
	deadline, slow := time.Second, os.Getenv("MYDOCKER_BOOK_BIN") != "" // a machine without Go is most likely emulated
	if slow {
		deadline = brisk
	}
	const container = `[ "$1" != --hostname ] || shift 2; ` // then "$@" is the command
	for name, c := range map[string]struct{ lines, check, seen string }{
		"forks without end":        {`b() { b | b & b; }; b`, "argv-vector", ""},
		"ignores all signals":      {`trap '' $(seq 1 64); while :; do sleep 1004; done`, "argv-vector", "still running"},
		"leaves its process group": {`exec perl -e 'setpgrp(0, getpgrp(getppid())); sleep 1004'`, "argv-vector", "still running"},
		"prints without end":       {`exec yes`, "argv-vector", "ended with status 153"}, // by SIGXFSZ
		"is no program":            {"", "argv-vector", "exec format error"},
		"mounts on the root":       {container + `mount -t tmpfs labs-test /; exec "$@"`, "mounts", ""},
		"unmounts all":             {container + `umount -a -l; umount -l /; exec "$@"`, "pid", ""},
		"joins the real host":      {container + `exec nsenter --mount=/proc/$PPID/ns/mnt "$@"`, "mounts", "it is the host's namespace"},
		"kills its command":        {container + `"$@" & sleep 0.1; kill -9 $!; wait $!`, "hostname", ""},
		"ends before its command":  {container + `"$@" & sleep 0.1`, "exit-status", ""},
		"closes its descriptors":   {container + `exec 0<&- 1>&- 2>&- "$@"`, "hostname", ""},
		"hides what it leaves":     {container + `env -i setsid sleep 1004 & exec "$@"`, "leftovers", "sleep 1004"},
	} {
		t.Run(name, func(t *testing.T) {
			command := script(t, c.lines)
			if c.lines == "" {
				os.WriteFile(command, []byte("no program\n"), 0o755)
			}
			before, begun := mountsHere(t), time.Now()
			engine, err := check.NewEngine(command)
			if err != nil {
				t.Fatal(err)
			}
			lab := *labs[0]
			if slow {
				lab.Checks = []check.Check{*lab.Find("argv-vector"), *lab.Find("leftovers")}
			}
			results, err := check.Run(&lab, engine, check.Options{Deadline: deadline, Patience: deadline / 5})
			if err != nil {
				t.Error(err)
			}
			for _, r := range results {
				if r.Verdict == check.Broken {
					t.Errorf("%s", show(r))
				}
				if r.Check == c.check && (r.Verdict == check.Passed || !strings.Contains(r.Seen, c.seen)) {
					t.Errorf("not seen:\n%s", show(r))
				}
			}
			if after := mountsHere(t); after != before {
				t.Errorf("the host's mounts were\n%s\nand are\n%s", before, after)
			}
			if out, _ := exec.Command("pgrep", "-a", "-f", "^sleep 1004|"+command).Output(); len(out) > 0 {
				t.Errorf("still there: %s", out)
			}
			for _, pattern := range []string{os.Getenv("MYDOCKER_LABS_DIR") + "/*", "/sys/fs/cgroup/labs????????????", "/sys/fs/cgroup/*/labs????????????"} {
				if found, _ := filepath.Glob(pattern); len(found) > 0 {
					t.Errorf("left: %v", found)
				}
			}
			t.Logf("%.1f s", time.Since(begun).Seconds())
		})
	}
}

// mountsHere are the mounts of this test, those of other tests' and of Docker's containers
// left out, which come and go.
func mountsHere(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "docker") && !strings.Contains(line, "containers") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// TestEndsEarly: an engine whose command ends while it is looked at fails; the checker does
// not take its own trouble with that for a reason to say nothing.
func TestEndsEarly(t *testing.T) {
	needsDisposable(t)
	engine, err := check.NewEngine(script(t, `"$@" & until pgrep -P $! -f "sleep 1000000"; do sleep 0.1; done; sleep 0.3; kill -9 $!; wait $!`))
	if err != nil {
		t.Fatal(err)
	}
	lab := &check.Lab{Number: 1, Name: "one", Checks: []check.Check{
		{Name: "reads", Run: func(trial *check.Trial) error {
			c, err := trial.Start(nil, "wait")
			if err != nil || !trial.Poll(c.Gone) {
				return err
			}
			return c.Own("uts")
		}},
		{Name: "releases", Run: func(trial *check.Trial) error {
			c, err := trial.Start(nil, "wait")
			if err != nil || !trial.Poll(c.Gone) {
				return err
			}
			return c.Release()
		}},
	}}
	results, err := check.Run(lab, engine, check.Options{Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Verdict != check.Failed || !strings.Contains(r.Seen, "has ended") {
			t.Errorf("%s", show(r))
		}
	}
}

// TestNeighbour: on a machine where another engine of the same name runs containers, and
// others make cgroups, an engine without fault passes, and the neighbour is not disturbed.
func TestNeighbour(t *testing.T) {
	needsDisposable(t)
	engine := stage(t, 3)
	lab := *labs[2]
	lab.Checks = nil
	for _, c := range labs[2].Checks {
		if c.Name == "own-cgroup" || c.Name == "bad-values" || c.Name == "gone" || c.Name == "leftovers" {
			c.Needs = nil
			lab.Checks = append(lab.Checks, c)
		}
	}
	root := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		containers := 0
		fresh := func() string { // as each is before its container comes
			containers++
			dir := filepath.Join(root, fmt.Sprintf("step3-%012x", containers))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Error(err)
			}
			return dir
		}
		move := func(process *os.Process, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(fmt.Sprint(process.Pid)), 0); err != nil {
				t.Errorf("the neighbour's container: %v", err)
			}
		}
		var groups []string
		var sleepers []*exec.Cmd
		for next, over := fresh(), false; !over; {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-stop:
				over = true
			}
			// A tenant of the machine, whose processes are in a group below.
			tenant := filepath.Join(root, fmt.Sprintf("labs-test-%d", containers))
			if err := os.MkdirAll(tenant+"/inner", 0o755); err != nil {
				t.Error(err)
			}
			groups = append(groups, tenant, tenant+"/inner")
			for _, dir := range []string{next, tenant + "/inner"} {
				sleeper := exec.Command("sleep", "1000")
				if err := sleeper.Start(); err != nil {
					t.Error(err)
				}
				move(sleeper.Process, dir)
				sleepers = append(sleepers, sleeper)
			}
			groups = append(groups, next)
			if !over {
				next = fresh()
			}
		}
		for _, sleeper := range sleepers {
			sleeper.Process.Kill()
			sleeper.Wait()
		}
		for _, dir := range slices.Backward(groups) {
			os.Remove(dir)
		}
	}()
	compare(t, &lab, run(t, &lab, engine, "neighbour", brisk), nil)
	close(stop)
	<-stopped
}

// TestVerdicts: what each verdict comes to: in the exit status, in JSON, in a mark.
func TestVerdicts(t *testing.T) {
	needsDisposable(t)
	engine, err := check.NewEngine("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		errs           []error // of checks of which each needs the one before
		verdicts       string
		status         int
		passed, graded int
	}{
		"all pass":       {[]error{nil, nil}, "PASS PASS", 0, 2, 2},
		"one fails":      {[]error{check.Fail("a", "b", "c"), nil}, "FAIL BLOCKED", exitNo, 0, 2},
		"host lacks":     {[]error{nil, check.CannotCheck("no"), nil}, "PASS CANNOT-CHECK BLOCKED", exitUnclear, 1, 1},
		"checker errs":   {[]error{nil, errors.New("no"), nil, nil}, "PASS HARNESS-ERROR BLOCKED BLOCKED", exitUnclear, 1, 1},
		"both, and fail": {[]error{nil, check.Fail("a", "b", "c"), nil}, "PASS FAIL BLOCKED", exitNo, 1, 3},
	} {
		lab := &check.Lab{Number: 1, Name: "one"}
		for i, err := range c.errs {
			one := check.Check{Name: fmt.Sprint("c", i), Run: func(*check.Trial) error { return err }}
			if i > 0 {
				one.Needs = []string{fmt.Sprint("c", i-1)}
			}
			lab.Checks = append(lab.Checks, one)
		}
		results, err := check.Run(lab, engine, check.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var verdicts []string
		for _, r := range results {
			verdicts = append(verdicts, string(r.Verdict))
		}
		report := check.Report{Results: results}
		if got := strings.Join(verdicts, " "); got != c.verdicts || report.Status() != c.status {
			t.Errorf("%s: %s, status %d, want %s, %d", name, got, report.Status(), c.verdicts, c.status)
		}
		var out bytes.Buffer
		report.JSON(&out)
		if !strings.Contains(out.String(), `"verdict": "`+verdicts[1]+`"`) {
			t.Errorf("%s: %s", name, out.String())
		}
		g := grade.Grader{Labs: []*check.Lab{lab}}
		graded := g.Engine("/bin/true", "s")
		if p, n, _ := graded.Score(); p != c.passed || n != c.graded || (gradeStatus([]*grade.Report{graded}) != c.status) {
			t.Errorf("%s: %d of %d, status %d, want %d of %d, %d", name, p, n, gradeStatus([]*grade.Report{graded}), c.passed, c.graded, c.status)
		}
	}
	// An engine that does nothing is graded in all: nothing of it is the host's fault.
	g := grade.Grader{Labs: labs[:1]}
	if p, n, _ := g.Engine("/bin/true", "s").Score(); p != 0 || n != len(labs[0].Checks) {
		t.Errorf("/bin/true: %d of %d", p, n)
	}
}
