package grade

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"minidocker/labs/check"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// class is two students: one with every verdict, one whose submission did not build.
var class = []*Report{
	{Student: "ada", Seed: "ada", Origin: Origin{Language: "Go", Packages: []string{"namespace"}, Notes: []string{"lab 1: package namespace is the answer"}},
		Results: []check.Result{
			{Lab: 1, Check: "pid", Verdict: check.Passed, Seconds: 0.25},
			{Lab: 1, Check: "hostname", Verdict: check.Failed, Expected: "lab", Seen: "host", Cause: "no UTS namespace", Reproduce: "./engine run"},
			{Lab: 1, Check: "signals", Verdict: check.Blocked, Reason: "it needs hostname"},
			{Lab: 3, Check: "memory", Verdict: check.Unchecked, Reason: "no controller <memory>"},
			{Lab: 3, Check: "cpu", Verdict: check.Broken, Reason: "read: EIO"},
		}},
	{Student: "bob", Seed: "bob", Origin: Origin{Language: "unknown"}, Error: "make: no rule\nat all"},
}

func TestScore(t *testing.T) {
	passed, graded, ungraded := class[0].Score()
	if passed != 1 || graded != 3 || ungraded != 2 {
		t.Errorf("Score() = %d of %d, %d not graded; want 1 of 3, 2", passed, graded, ungraded)
	}
	if mark, ok := class[0].Mark(); !ok || mark < 23.3 || mark > 23.4 {
		t.Errorf("Mark() = %v, %v; want a third of %d", mark, ok, Automatic)
	}
	if mark, ok := class[1].Mark(); ok {
		t.Errorf("a submission that did not build has the mark %v; want none", mark)
	}
}

// TestSettle: blocked by a failure is a zero, blocked by what the host lacks is none.
func TestSettle(t *testing.T) {
	lab := &check.Lab{Checks: []check.Check{{Name: "a"}, {Name: "b", Needs: []string{"a"}}, {Name: "c", Needs: []string{"b"}}, {Name: "d"}, {Name: "e", Needs: []string{"d", "a"}}, {Name: "leftovers"}}}
	results := []check.Result{
		{Check: "a", Verdict: check.Unchecked}, {Check: "b", Verdict: check.Blocked}, {Check: "c", Verdict: check.Blocked},
		{Check: "d", Verdict: check.Failed}, {Check: "e", Verdict: check.Blocked}, {Check: "leftovers", Verdict: check.Blocked},
	}
	settle(lab, results)
	var got []check.Verdict
	for _, r := range results {
		got = append(got, r.Verdict)
	}
	if diff := cmp.Diff([]check.Verdict{check.Unchecked, check.Unchecked, check.Unchecked, check.Failed, check.Blocked, check.Blocked}, got); diff != "" {
		t.Error(diff)
	}
}

func TestText(t *testing.T) {
	want := `== ada
   origin: Go, uses namespace
   look at: lab 1: package namespace is the answer
   FAIL          lab 1 hostname: expected lab, saw host
   BLOCKED       lab 1 signals: it needs hostname
   CANNOT-CHECK  lab 3 memory: no controller <memory>
   HARNESS-ERROR lab 3 cpu: read: EIO
== bob
   origin: unknown
   NOT GRADED: make: no rule
   at all

STUDENT  PASSED  OF  NOT GRADED  MARK (of 70)
ada      1       3   2           23.3
bob      0       0   0           none
`
	var out bytes.Buffer
	if err := Write(&out, "text", class); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFormats(t *testing.T) {
	write := func(format string) *bytes.Buffer {
		var out bytes.Buffer
		if err := Write(&out, format, class); err != nil {
			t.Fatal(err)
		}
		return &out
	}
	var back []*Report
	if err := json.Unmarshal(write("json").Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(class, back, cmpopts.IgnoreUnexported(check.Result{})); diff != "" {
		t.Errorf("json: %s", diff)
	}
	if marks := write("json").String(); !strings.Contains(marks, `"mark": "23.3"`) || !strings.Contains(marks, `"mark": "none"`) {
		t.Errorf("json has not the marks: %s", marks)
	}
	rows, err := csv.NewReader(write("csv")).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+5+1 || rows[2][3] != "FAIL" || rows[2][7] != "lab 1: package namespace is the answer" || rows[6][3] != "NOT-GRADED" {
		t.Errorf("csv: %q", rows)
	}
	var suites junitSuites
	if err := xml.Unmarshal(write("junit").Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	ada, bob := suites.Suites[0], suites.Suites[1]
	if ada.Tests != 5 || ada.Failures != 2 || ada.Skipped != 1 || ada.Errors != 1 || bob.Errors != 1 {
		t.Errorf("junit: %+v", suites)
	}
	if err := Write(&bytes.Buffer{}, "yaml", class); err == nil {
		t.Error("yaml: no error")
	}
}

// TestSubmissions builds what students hand in, without running a lab on it.
func TestSubmissions(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("submissions are built with go, which this machine does not have (the test machine has binaries only)")
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	stage, err := os.ReadFile(filepath.Join(top, "chapters/02-rootfs/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	gomod, _ := os.ReadFile(filepath.Join(top, "go.mod"))
	gosum, _ := os.ReadFile(filepath.Join(top, "go.sum"))
	module := strings.Replace(string(gomod), "module minidocker", "module engine", 1) +
		"\nrequire minidocker v0.0.0\nreplace minidocker => /where/the/student/had/it\n"
	tests := []struct {
		name     string
		files    map[string]string
		language string
		packages []string
		note     string // in the notes; "": there are none
		err      string
	}{
		{name: "own-go", language: "Go",
			files: map[string]string{"go.mod": "module engine\ngo 1.26\n", "main.go": "package main\nfunc main() {}\n"}},
		{name: "copied", language: "Go", packages: []string{"namespace", "rootfs", "trace"}, note: "lab 2: package rootfs is the answer",
			files: map[string]string{"go.mod": module, "go.sum": string(gosum), "main.go": string(stage)}},
		{name: "script", language: "unknown", files: map[string]string{"engine": "#!/bin/sh\n"}},
		{name: "make", language: "unknown", files: map[string]string{"Makefile": "engine:\n\tprintf '#!/bin/sh\\n' >engine && chmod +x engine\n"}},
		{name: "broken-go", language: "unknown", err: "undefined: nothing",
			files: map[string]string{"go.mod": "module engine\ngo 1.26\n", "main.go": "package main\nfunc main() { nothing() }\n"}},
		{name: "empty", language: "unknown", err: `no program "engine"`, files: map[string]string{"notes.txt": "later"}},
	}
	g := Grader{Top: top}
	g.Labs = []*check.Lab{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			r := g.Submission(dir, "ada")
			if !strings.Contains(r.Error, test.err) || (r.Error == "") != (test.err == "") {
				t.Fatalf("error %q; want %q", r.Error, test.err)
			}
			if r.Origin.Language != test.language {
				t.Errorf("language %q; want %q", r.Origin.Language, test.language)
			}
			if diff := cmp.Diff(test.packages, r.Origin.Packages); diff != "" {
				t.Errorf("packages: %s", diff)
			}
			if test.note == "" {
				return
			}
			scratch := t.TempDir()
			g := Grader{Top: top, Labs: []*check.Lab{{Number: 2, Name: "02-rootfs"}}}
			if err := g.moveModule(dir, scratch); err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(g.origin(dir, scratch).Notes, "\n"); !strings.Contains(notes, test.note) || !strings.Contains(notes, "chapters/02-rootfs/main.go") {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

func TestBatch(t *testing.T) {
	dir := t.TempDir()
	g := Grader{}
	if err := g.Batch(dir, func(*Report) {}); err == nil {
		t.Error("an empty class: no error")
	}
	for _, name := range []string{"ada", "bob", ".git"} {
		os.Mkdir(filepath.Join(dir, name), 0o755)
	}
	os.WriteFile(filepath.Join(dir, "list.txt"), nil, 0o644)
	var names []string
	if err := g.Batch(dir, func(r *Report) { names = append(names, r.Student) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ada", "bob"}, names); diff != "" {
		t.Error(diff)
	}
}
