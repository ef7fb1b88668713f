package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"minidocker/labs/check"
)

// script makes an engine of a few lines of shell. Its words after "run" are "$@", the
// flags still among them.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine")
	if err := check.WriteProgram(path, []byte("#!/bin/bash\nshift\n"+lines+"\n")); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLazy: engines that do nothing, or only what can be seen from outside, pass nothing
// that they have not earned.
func TestLazy(t *testing.T) {
	needsDisposable(t)
	for name, c := range map[string]struct {
		lines  string
		passes []string // of lab 1
	}{
		"ends":     {"exit 0", nil},
		"says it":  {"echo 'hostname 1 lo'; exit 0", nil},
		"sleeps":   {"exec sleep 1000", nil},
		"joins":    {`sh -c "$*"`, nil},
		"splits":   {`$*`, nil},
		"executes": {`[ "$1" != --hostname ] || shift 2; exec "$@"`, []string{"argv-vector", "signals"}},
		"runs":     {`[ "$1" != --hostname ] || shift 2; "$@"; exit 0`, []string{"argv-vector"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results := run(t, labs[0], script(t, c.lines), "lazy", brisk/2)
			for _, one := range labs[0].Checks {
				want := false
				for _, passed := range c.passes {
					want = want || passed == one.Name
				}
				if r := results[one.Name]; (r.Verdict == check.Passed) != want || r.Verdict == check.Broken {
					t.Errorf("%s\n%s", one.Name, show(r))
				}
			}
		})
	}
}

// TestLeftovers: what an engine leaves is found, named and removed.
func TestLeftovers(t *testing.T) {
	needsDisposable(t)
	for name, c := range map[string]struct{ lines, seen string }{
		"a process":    {`setsid sleep 1001 & exec unshare -fp --kill-child "$@"`, "process"},
		"a mount":      {`mount -t tmpfs labs-test /mnt; exec unshare -fp --kill-child "$@"`, "labs-test on /mnt"},
		"a cgroup":     {cgroupScript, "cgroup "},
		"a bind mount": {`mount --bind /tmp /mnt; exec "$@"`, "on /mnt"},
	} {
		t.Run(name, func(t *testing.T) {
			engine, err := check.NewEngine(script(t, c.lines))
			if err != nil {
				t.Fatal(err)
			}
			lab := &check.Lab{Number: 1, Name: "one", Checks: []check.Check{*labs[0].Find("argv-vector"), *labs[0].Find("leftovers")}}
			results, err := check.Run(lab, engine, check.Options{Deadline: 2 * time.Second, Patience: time.Second / 2})
			if err != nil {
				t.Fatal(err)
			}
			if results[0].Verdict != check.Passed || results[1].Verdict != check.Failed || !strings.Contains(results[1].Seen, c.seen) {
				t.Errorf("%s%s", show(results[0]), show(results[1]))
			}
			for _, f := range results[0].Left {
				if f.Kind == "cgroup" && f.Ours {
					if _, err := os.Stat(f.Object); err == nil {
						t.Errorf("%s is still there", f.Object)
					}
				}
			}
			if out, _ := exec.Command("pgrep", "-f", "^sleep 1001").Output(); len(out) > 0 {
				t.Errorf("sleep 1001 is still there: %s", out)
			}
		})
	}
}

// cgroupScript runs the command in a cgroup, and leaves it.
const cgroupScript = `
for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/memory; do
	[ ! -e $root/cgroup.procs ] || break
done
mkdir $root/labs-test-$$ && echo $$ > $root/labs-test-$$/cgroup.procs && exec "$@"`

// TestDeadChecker: the next run removes what a checker left that was killed; one that is
// interrupted cleans up itself.
func TestDeadChecker(t *testing.T) {
	needsDisposable(t)
	t.Setenv("MYDOCKER_LABS_DIR", t.TempDir()) // so that the dead are this test's
	labsBinary := build(t, "labs", "./labs", nil)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGTERM} {
		// The engine leaves its container behind a parent that is not the checker's.
		engine := script(t, `[ "$1" != --hostname ] || shift 2; env -i setsid sleep 1005 & setsid "$@" & sleep 1000`)
		checker := exec.Command(labsBinary, "check", "1", "--engine", engine, "--only", "exit-status", "--here", "--timeout", "1m")
		if err := checker.Start(); err != nil {
			t.Fatal(err)
		}
		marker := ""
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			found, _ := filepath.Glob(os.Getenv("MYDOCKER_LABS_DIR") + "/labs*")
			if len(found) == 1 {
				marker = filepath.Base(found[0])
				if out, _ := exec.Command("pgrep", "-f", "^sleep 1000").Output(); len(carriers(marker)) > 1 && len(out) > 0 {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("no container of the checker, marker %q", marker)
			}
		}
		checker.Process.Signal(signal)
		checker.Wait()
		if signal == syscall.SIGKILL {
			if len(carriers(marker)) == 0 {
				t.Fatal("nothing is left to clean up: this tests nothing")
			}
			next := exec.Command(labsBinary, "check", "1", "--engine", "/bin/true", "--only", "pid", "--here", "--timeout", "1s")
			if out, _ := next.CombinedOutput(); next.ProcessState.ExitCode() != 1 {
				t.Errorf("the next run: %s", out)
			}
		}
		left := carriers(marker)
		if out, _ := exec.Command("pgrep", "-f", "^sleep 1005").Output(); len(left) > 0 || len(out) > 0 {
			t.Errorf("%v: processes %v %s are left", signal, left, out)
		}
		for _, pattern := range []string{os.Getenv("MYDOCKER_LABS_DIR") + "/*", "/sys/fs/cgroup/" + marker, "/sys/fs/cgroup/*/" + marker} {
			if found, _ := filepath.Glob(pattern); len(found) > 0 {
				t.Errorf("%v: %v are left", signal, found)
			}
		}
	}
}

// carriers are the processes that carry a marker, zombies left out.
func carriers(marker string) (pids []string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environments {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), marker) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}
