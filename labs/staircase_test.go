package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"minidocker/labs/check"
)

// The staircase: lab N passes on stage N, fails on stage N-1 as its table says, passes on
// the finished mydocker, and sees each mistake that it says it sees.

// needsDisposable skips what runs engines on a machine that is not marked.
func needsDisposable(t *testing.T) {
	t.Helper()
	if os.Getenv("MYDOCKER_DISPOSABLE") != "1" {
		t.Skip("runs engines as root: MYDOCKER_DISPOSABLE=1 says that this machine may be broken")
	}
	if os.Geteuid() != 0 {
		t.Fatal("not root: go test -exec labs/as-root.sh ...")
	}
}

// top is the project's directory.
var top = sync.OnceValue(func() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err)
	}
	return dir
})

// programs is where what was built stands: removed by TestMain.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "labs-programs"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(programs)
	os.Exit(status)
}

// build gives the path of a program, built from a package of the project; with changes,
// text by file, in place of what is there. A machine without Go has them ready, in
// MYDOCKER_BOOK_BIN.
func build(t *testing.T, name, pkg string, changes map[string]string) string {
	t.Helper()
	if ready := os.Getenv("MYDOCKER_BOOK_BIN"); ready != "" && changes == nil {
		return filepath.Join(ready, name)
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go on this machine to build with")
	}
	out := filepath.Join(programs, name)
	if _, err := os.Stat(out); err == nil && changes == nil {
		return out
	}
	args := []string{"build", "-tags", "urfave_cli_no_docs", "-o", out}
	if changes != nil {
		overlay := struct{ Replace map[string]string }{map[string]string{}}
		for file, text := range changes {
			with := filepath.Join(t.TempDir(), filepath.Base(file))
			if err := os.WriteFile(with, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			overlay.Replace[filepath.Join(top(), file)] = with
		}
		data, _ := json.Marshal(overlay)
		file := filepath.Join(t.TempDir(), "overlay.json")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", file)
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = top()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return out
}

// stage builds stage n of the book.
func stage(t *testing.T, n int) string {
	t.Helper()
	found, err := filepath.Glob(fmt.Sprintf("%s/chapters/%02d-*", top(), n))
	if err != nil || len(found) != 1 {
		t.Fatalf("stage %d: directories %v, %v", n, found, err)
	}
	return build(t, fmt.Sprintf("step%d", n), "./"+strings.TrimPrefix(found[0], top()+"/"), nil)
}

// Deadlines cost time only where something is to fail. The test machine is slow.
const (
	patient = 40 * time.Second
	brisk   = 5 * time.Second
)

// run checks an engine, and gives the results by the checks' names.
func run(t *testing.T, lab *check.Lab, command, seed string, deadline time.Duration) map[string]check.Result {
	t.Helper()
	engine, err := check.NewEngine(command)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	results, err := check.Run(lab, engine, check.Options{Seed: seed, Deadline: deadline, Patience: deadline / 5})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]check.Result{}
	for _, r := range results {
		byName[r.Check] = r
	}
	t.Logf("lab %d on %s: %.1f s", lab.Number, command, time.Since(begun).Seconds())
	return byName
}

// compare tells each check whose verdict is not what it is to be: Passed, unless want
// has another.
func compare(t *testing.T, lab *check.Lab, results map[string]check.Result, want map[string]check.Verdict) {
	t.Helper()
	for _, c := range lab.Checks {
		expected := check.Passed
		if v, ok := want[c.Name]; ok {
			expected = v
		}
		if r := results[c.Name]; r.Verdict != expected {
			t.Errorf("%s: %s, want %s\n%s", c.Name, r.Verdict, expected, show(r))
		}
	}
}

func show(r check.Result) string {
	var text strings.Builder
	(&check.Text{Writer: &text}).Result(r)
	return text.String()
}

// full tells whether the whole matrix is wanted: make staircase.
func full() bool { return os.Getenv("MYDOCKER_STAIRCASE") == "full" }

func TestStaircase(t *testing.T) {
	needsDisposable(t)
	for _, lab := range labs {
		t.Run(lab.Name+"/stage", func(t *testing.T) {
			compare(t, lab, run(t, lab, stage(t, lab.Number), "staircase", patient), nil)
		})
		t.Run(lab.Name+"/before", func(t *testing.T) {
			compare(t, lab, run(t, lab, stage(t, lab.Number-1), "staircase", brisk), lab.Before)
		})
		t.Run(lab.Name+"/mydocker", func(t *testing.T) {
			compare(t, lab, run(t, lab, adapter(t, "mydocker"), "staircase", patient), nil)
		})
	}
}

// TestStaircaseLater checks what a stage keeps of the steps before: all of it.
func TestStaircaseLater(t *testing.T) {
	needsDisposable(t)
	if !full() {
		t.Skip("part of make staircase")
	}
	for _, lab := range labs {
		for _, later := range labs {
			if later.Number <= lab.Number {
				continue
			}
			t.Run(fmt.Sprintf("%s/stage %d", lab.Name, later.Number), func(t *testing.T) {
				command := stage(t, later.Number)
				if later.Rootfs && !lab.Rootfs {
					command = script(t, check.Quote("exec", command, "run", "--rootfs", plainRootfs(t))+` "$@"`)
				}
				compare(t, lab, run(t, lab, command, "later", patient), nil)
			})
		}
	}
}

// plainRootfs makes a root file system that has what lab 1 finds on the host.
func plainRootfs(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile("/bin/busybox")
	if err == nil {
		err = check.WriteProgram(filepath.Join(root, "bin/busybox"), program)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "etc/passwd"), nil, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestStaircaseSeeds: no verdict hangs on the names and numbers that were drawn.
func TestStaircaseSeeds(t *testing.T) {
	needsDisposable(t)
	if !full() {
		t.Skip("part of make staircase")
	}
	for _, lab := range labs {
		for i := range 10 {
			compare(t, lab, run(t, lab, stage(t, lab.Number), fmt.Sprint(i), patient), nil)
		}
	}
}

// adapter is the command line of the adapter for an engine.
func adapter(t *testing.T, engine string) string {
	t.Helper()
	if engine == "mydocker" {
		bin := os.Getenv("MYDOCKER_BIN")
		if bin == "" {
			bin = build(t, "mydocker", "./mydocker", nil)
		}
		dir, err := os.MkdirTemp("/var/tmp", "labs-mydocker") // on a disk
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("MYDOCKER_BIN", bin)
		t.Setenv("MYDOCKER_ROOT", dir+"/root")
		t.Setenv("MYDOCKER_RUN_ROOT", dir+"/run")
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	command := filepath.Join(top(), "labs/adapter.sh") + " " + engine
	t.Cleanup(func() {
		if out, err := exec.Command(filepath.Join(top(), "labs/adapter.sh"), engine, "clean").CombinedOutput(); err != nil {
			t.Errorf("remove the images made for %s: %v\n%s", engine, err, out)
		}
	})
	return command
}

// TestMutants builds each mistake into the engine. The check named must fail, and none
// but those that may be harmed too.
func TestMutants(t *testing.T) {
	needsDisposable(t)
	for _, lab := range labs {
		for i, m := range lab.Mutants {
			t.Run(lab.Name+"/"+strings.ReplaceAll(m.Name, " ", "-"), func(t *testing.T) {
				t.Parallel() // deadlines are waited for; as many at a time as there are processors
				source, err := os.ReadFile(filepath.Join(top(), m.File))
				if err != nil {
					t.Fatal(err)
				}
				changed := strings.Replace(string(source), m.Old, m.New, 1)
				// A name of its own: that of its cgroups, and others run beside it.
				engine := build(t, fmt.Sprintf("mutant%d-%d", lab.Number, i), "./chapters/"+lab.Name, map[string]string{m.File: changed})
				results := run(t, lab, engine, "mutant", brisk)
				for _, c := range lab.Checks {
					r := results[c.Name]
					switch {
					case c.Name == m.Fails && r.Verdict != check.Failed:
						t.Errorf("%s does not see it: %s %s", c.Name, r.Verdict, r.Reason)
					case c.Name == m.Fails:
						t.Logf("%s", show(r))
					case r.Verdict != check.Passed && !slices.Contains(m.May, c.Name):
						t.Errorf("%s is harmed, which May does not say\n%s", c.Name, show(r))
					}
				}
			})
		}
	}
}

// TestStarters: a starter compiles, and its first check says what is to be done.
func TestStarters(t *testing.T) {
	needsDisposable(t)
	for _, lab := range labs {
		t.Run(lab.Name, func(t *testing.T) {
			results := run(t, lab, build(t, fmt.Sprintf("starter%d", lab.Number), "./labs/"+lab.Name+"/starter", nil), "starter", brisk)
			if r := results[lab.Checks[0].Name]; r.Verdict != check.Failed || !strings.Contains(r.Seen, "not written yet") {
				t.Errorf("%s says nothing of a function that is not written yet:\n%s", lab.Checks[0].Name, show(r))
			}
		})
	}
}
