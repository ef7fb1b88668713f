package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"minidocker/labs/check"

	"github.com/urfave/cli/v2"
)

func TestFlagsFirst(t *testing.T) {
	known := []*cli.Command{{Name: "check", Flags: []cli.Flag{&cli.StringFlag{Name: "engine"}, &cli.BoolFlag{Name: "here"}}}}
	for line, want := range map[string]string{
		"labs check 1 --engine X":             "labs check --engine X -- 1",
		"labs check --here 1 --engine=X":      "labs check --here --engine=X -- 1",
		"labs check 1 --here --engine X more": "labs check --here --engine X -- 1 more",
		"labs check 1 -- --here":              "labs check -- 1 --here",
		"labs check --engine":                 "labs check --engine --",
		"labs check":                          "labs check",
		"labs other 1 --engine X":             "labs other 1 --engine X",
		"labs --help":                         "labs --help",
	} {
		if got := flagsFirst(known, strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, want %s", line, got, want)
		}
	}
}

// labsRun runs the program labs, and gives its exit status.
func labsRun(t *testing.T, env []string, words ...string) (out string, status int) {
	t.Helper()
	cmd := exec.Command(build(t, "labs", "./labs", nil), words...)
	cmd.Env = append(os.Environ(), env...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	cmd.Run()
	return both.String(), cmd.ProcessState.ExitCode()
}

// TestRefusals: what labs check does not even begin.
func TestRefusals(t *testing.T) {
	for line, want := range map[string]string{
		"check":                                      "usage: labs check LAB",
		"check 99 --engine /bin/true":                `no lab "99"`,
		"check 1":                                    "--engine is missing",
		"check 1 --engine 'x":                        "a quote",
		"check 1 --engine /no/such/program":          "no such file",
		"check 1 --engine /bin/true --hold":          "--only",
		"check 1 --engine /bin/true --nonsense":      "nonsense",
		"check 1 --engine /bin/true --format xml":    "text or json",
		"check 1 --engine /bin/true --only nonsense": `no check "nonsense"`,
		"hint 1 nonsense":                            `no check "nonsense"`,
		"hint 1":                                     "usage: labs hint LAB CHECK",
		"start 1":                                    "usage: labs start LAB",
		"nonsense":                                   `no command "nonsense"`,
	} {
		words := strings.Fields(line)
		if strings.HasPrefix(line, "check") && os.Geteuid() == 0 {
			words = append(words, "--here")
		}
		out, status := labsRun(t, nil, words...)
		if os.Geteuid() != 0 && strings.Contains(out, "sudo") {
			continue // root is asked for first
		}
		if status != exitUnclear || !strings.Contains(out, want) {
			t.Errorf("labs %s: status %d, %s", line, status, out)
		}
	}
}

// TestNotDisposable: a machine that is not marked is refused, with what to type instead.
func TestNotDisposable(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("labs check asks for root first")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Skip("this machine is marked: " + mark)
	}
	out, status := labsRun(t, []string{"MYDOCKER_DISPOSABLE="}, "check", "1", "--engine", "/bin/true -x", "--seed", "s")
	if status != exitUnclear || !strings.Contains(out, " check 1 --engine '/bin/true -x' --seed s --here\n") {
		t.Errorf("status %d, %s", status, out)
	}
}

// TestStatus: 0 all pass, 1 something failed; JSON says the same as text.
func TestStatus(t *testing.T) {
	needsDisposable(t)
	engine := stage(t, 1)
	out, status := labsRun(t, nil, "check", "1", "--engine", engine, "--format", "json", "--seed", "s", "--timeout", "40s")
	var report check.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s", status, err, out)
	}
	if len(report.Results) != len(labs[0].Checks) || len(report.Engine.Files) != 1 || len(report.Engine.Files[0].SHA256) != 64 || report.Seed != "s" {
		t.Errorf("%s", out)
	}
	if out, status := labsRun(t, nil, "check", "1", "--engine", "/bin/true"); status != exitNo || !strings.Contains(out, "0 of 12 pass, 1 FAIL, 11 BLOCKED") {
		t.Errorf("status %d, %s", status, out)
	}
}

// TestHold: the container stays, and goes with the next run.
func TestHold(t *testing.T) {
	needsDisposable(t)
	t.Setenv("MYDOCKER_LABS_DIR", t.TempDir())
	out, status := labsRun(t, nil, "check", "1", "--engine", stage(t, 1), "--only", "pid", "--hold", "--timeout", "40s")
	_, rest, found := strings.Cut(out, "PID=")
	pid, _, _ := strings.Cut(rest, "\n")
	if status != 0 || !found {
		t.Fatalf("status %d, %s", status, out)
	}
	if text, err := os.ReadFile("/proc/" + pid + "/cmdline"); err != nil || !strings.Contains(string(text), check.Probe) {
		t.Errorf("process %s is not the container's: %v", pid, err)
	}
	labsRun(t, nil, "check", "1", "--engine", "/bin/true", "--only", "pid", "--timeout", "40s")
	if text, err := os.ReadFile("/proc/" + pid + "/cmdline"); err == nil && len(text) > 0 {
		t.Errorf("process %s is still there: %s", pid, out)
	}
	if found, _ := filepath.Glob(os.Getenv("MYDOCKER_LABS_DIR") + "/*"); len(found) > 0 {
		t.Errorf("%v are left", found)
	}
}

func TestHint(t *testing.T) {
	env := []string{"XDG_STATE_HOME=" + t.TempDir()}
	hints := labs[0].Find("pid").Hints
	for i := range hints {
		if out, status := labsRun(t, env, "hint", "1", "pid"); status != 0 || !strings.Contains(out, hints[i]) || strings.Count(out, "\n") != 1 {
			t.Errorf("hint %d: status %d, %s", i+1, status, out)
		}
	}
	if out, _ := labsRun(t, env, "hint", "1", "pid"); !strings.Contains(out, "That was all") {
		t.Errorf("one too many: %s", out)
	}
	if out, _ := labsRun(t, env, "hint", "1", "pid", "--again"); strings.Count(out, "\n") != len(hints) {
		t.Errorf("again: %s", out)
	}
	if out, _ := labsRun(t, env, "hint", "1", "mounts", "--again"); !strings.Contains(out, "none yet") {
		t.Errorf("another check's: %s", out)
	}
	labsRun(t, env, "hint", "1", "pid", "--reset")
	if out, _ := labsRun(t, env, "hint", "1", "pid"); !strings.Contains(out, hints[0]) {
		t.Errorf("after a reset: %s", out)
	}
}

// TestStart: what is made builds without network, and a directory with files is refused.
func TestStart(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go on this machine to build with")
	}
	for _, lab := range labs {
		dir := filepath.Join(t.TempDir(), "new", "my engine")
		if out, status := labsRun(t, nil, "start", lab.Name, dir, "--top", top()); status != 0 {
			t.Fatalf("start: status %d, %s", status, out)
		}
		cmd := exec.Command("make", "build")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("lab %d: make build: %v\n%s", lab.Number, err, out)
		}
		if out, status := labsRun(t, nil, "start", lab.Name, dir, "--top", top()); status != exitUnclear || !strings.Contains(out, "not empty") {
			t.Errorf("a second time: status %d, %s", status, out)
		}
	}
}
