package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// madeUp copies testdata/book, a project with two chapters in which all is well, to a
// directory of the test's.
func madeUp(t *testing.T) (top string) {
	t.Helper()
	top = t.TempDir()
	if err := command("cp", "-r", "testdata/book/.", top); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"chapters/00-zero/README.md", "chapters/01-one/README.md"} {
		replace(t, filepath.Join(top, file), "<filler>", strings.Repeat("word ", minWords))
	}
	return top
}

// replace changes a file; the old text has to be in it.
func replace(t *testing.T, file, old, new string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

var madeUpPlan = map[string]int{"b": 7}

// everything is what all rules say of a project, but of its translations.
func everything(t *testing.T, top string, plan map[string]int) (problems []Problem) {
	t.Helper()
	b, err := OpenBook(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.Chapters {
		problems = slices.Concat(problems, c.Problems, b.CheckStructure(c), b.CheckLinks(c.Document), b.CheckGenerated(c))
	}
	files, err := b.CheckFiles(plan)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(problems, files, b.CheckPages())
}

func TestRulesHold(t *testing.T) {
	report(t, everything(t, madeUp(t), madeUpPlan))
}

// TestRulesBroken breaks each rule once in the made-up project: exactly that is told.
func TestRulesBroken(t *testing.T) {
	const one = "chapters/01-one/README.md"
	for _, c := range []struct{ file, old, new, want string }{
		// Front matter.
		{one, "---\nchapter", "chapter", one + `:1: the front matter needs a line "`},
		{one, "(estimated)\n", "(estimated)\nauthor: me\n", one + `:5: the front matter has an unknown key "author"`},
		{one, "chapter: 1", "chapter: 2", one + ":2: chapter: 2 in the directory chapters/01-one"},
		{one, "read 40", "40", one + `:4: the front matter needs a line "minutes: ..."`},
		{one, "files:\n", "", one + `:6: front matter has lines "key: value"`},
		{one, "files:\n  - mydocker/a/a.go\n", "", one + `:1: the front matter needs "files:"`},
		{one, "commands: run, --hostname\n", "", one + `:1: the front matter needs a line "commands: ..."`},
		// Headings.
		{one, "# 1. One", "# 1. Two", one + `:9: the title must be "# 1. One"`},
		{one, "# 1. One\n", "", one + `: has no title "# 1. One"`},
		{one, "# 1. One\n", "# 1. One\n# 1. One\n", one + `:10: the title must be "# 1. One", once`},
		{one, "## The idea", "## Ideas", one + `:24: section "Ideas": expected "The idea" here`},
		{one, "## How Docker does it\n", "", `section "Check yourself": expected "How Docker does it" here`},
		{one, "## Check yourself\n", "", one + `: has no section "## Check yourself"`},
		{one, "## Check yourself\n", "## Check yourself\n\n## More\n", `section "More": "Check yourself" is the last`},
		// Length.
		{one, strings.Repeat("word ", minWords), "", one + ": has 62 words"},
		{one, "word", strings.Repeat("word ", maxWords), one + ": has 5561 words"},
		{one, "T.Do\n", "T.Do\n" + strings.Repeat("x\n", maxExcerptLines), ":72: with this excerpt What ours adds has 258 lines of excerpts, at most 250"},
		// Fences.
		{one, "```go sketch", "```go", one + ":63: go that nothing tests"},
		{one, "```go sketch", "```", one + ":63: a fence says what it is"},
		{one, "wrong()\n```", "wrong()\n", `section "How Docker does it": expected "What ours adds" here`},
		{one, "\treturn 1\n}\n```", "\treturn 1\n}\n", ":83: this fence has no end"},
		{one, "```go sketch", " ```go sketch", ":63: a fence begins in the first column"},
		{one, "```console run", "```console", ":18: a transcript is ```console run"},
		{one, "varies: ", "varies: (", ":18: error parsing regexp"},
		{one, `varies: \b\d{4,}\b`, `varies: \d*`, ":18: varies \"\\\\d*\" matches even nothing"},
		{one, "varies: ", "setup: step9 · varies: ", `:18: setup "step9" is unknown`},
		{one, "varies: ", "setup: step1 · vary: ", ":18: before a transcript may stand"},
		{one, "$ echo one > file", "echo one > file", ":18: a transcript begins with a command"},
		{one, "<!-- recorded 2026-11-21, Linux 6.18 -->\n", "", ":38: not recorded"},
		{one, "In words: a box", "A box", ":26: a diagram is followed by a paragraph"},
		{one, "│ here │", "here", ""},
		{one, "```text\n┌──────┐\n│ here │\n└──────┘\n", "```text\nhere\n", ": The idea has no diagram"},
		{one, "```text\n┌──────┐\n│ here │\n└──────┘\n```\n\nIn words:", "```mermaid\ngraph\n```\n\nA", ":26: a diagram is followed"},
		// Predictions.
		{one, "The kernel's name. See [the experiment](#what-goes-wrong).", "", ":36: a prediction is followed by"},
		{one, "```console show\n$ uname -s\nLinux\n```\n<!-- recorded 2026-11-21, Linux 6.18 -->\n", "", ":36: a prediction is followed by"},
		{one, "> **Predict:** what is this?", "> **Predict:** what?\n\n> **Predict:** what is this?", ":36: a prediction is followed by"},
		// The first version.
		{"chapters/01-one/first/main.go", "func main", strings.Repeat("\n", maxFirstLines) + "func main", "first/main.go: has 90 lines"},
		{"chapters/01-one/first/main.go", `"os"`, `"minidocker/mydocker/a"`, "first/main.go:5: imports minidocker/mydocker/a"},
		{"chapters/01-one/first/main.go", `"os"`, `"github.com/x/y"`, "first/main.go:5: imports github.com/x/y"},
		// Links.
		{one, "(#what-goes-wrong)", "(#what-goes-right)", ":44: link #what-goes-right: " + one + " has no heading"},
		{one, "(../../labs/01-one/README.md)", "(../../labs/01-one/README)", "link ../../labs/01-one/README: there is no labs/01-one/README"},
		{one, "(../../labs/01-one/README.md)", "(../../labs/01-one/README.md#no)", "labs/01-one/README.md has no heading for #no"},
		{one, "(../../labs/01-one/README.md)", "(../../labs/01-one/lab.go#L1)", "lab.go has no anchors"},
		{one, "(../../labs/01-one/README.md)", "(../../labs/01-one#x)", "labs/01-one is a directory"},
		{one, "(../../labs/01-one/README.md)", "(../../../x)", "leads out of the project"},
		{one, "(../../labs/01-one/README.md)", "(/labs)", "must be relative"},
		{one, "(../../labs/01-one/README.md)", "(https://example.org/x#y)", ""},
		{one, "Now [lab", "Now `[code](nowhere)` [lab", ""},
		{one, "[differs](main.diff)", "differs", ": must link main.diff"},
		// What is generated.
		{one, "// it.\n", "", ":73: the excerpt mydocker/a/a.go T.Do differs"},
		{"mydocker/a/a.go", "if Limit > Other", "if Limit < Other", ":73: the excerpt mydocker/a/a.go T.Do differs"},
		{"mydocker/a/a.go", "if Limit > Other", "if Limit < Other", ":84: the excerpt mydocker/a/a.go #inner differs"},
		{one, "a.go T.Do", "a.go T.do", ":72: excerpt: mydocker/a/a.go has no symbol T.do, but T.Do; "},
		{one, "a.go T.Do", "a.go init", ":72: excerpt: mydocker/a/a.go has 2 declarations of init"},
		{one, "a.go T.Do", "c.go T.Do", ":72: excerpt: there is no file mydocker/a/c.go"},
		{"mydocker/a/a.go", "// /inner", "", ":83: excerpt: mydocker/a/a.go must have one line"},
		{"mydocker/a/a.go", "// /inner", "// /inner\n\t// #inner\n\t// /inner", "it has 2 and 2"},
		{"mydocker/a/a.go", "// #inner\n\tif Limit > Other {\n\t\treturn 1\n\t}\n\t// /inner", "// /inner\n\t// #inner", "it has 1 and 1"},
		{"chapters/00-zero/main.go", "{}", "{ println() }", "01-one/main.diff: is not the difference between the two main.go"},
		{"chapters/01-one/main.diff", "a.Do", "a.Undo", "01-one/main.diff: is not the difference between the two main.go"},
		// Files.
		{one, "[a](../../mydocker/a/a.go)", "a", one + ":7: names mydocker/a/a.go, and does not link it in What ours adds"},
		{one, "a/a.go\n---", "a/a.go\n  - mydocker/a/a_test.go\n---", ":8: names mydocker/a/a_test.go, which the engine does not have"},
		{"chapters/00-zero/README.md", "files:\n", "files:\n  - mydocker/a/a.go\n", one + ":7: names mydocker/a/a.go, as chapters/00-zero/README.md does"},
		{one, "- mydocker/a/a.go", "- mydocker/b/b.go", "mydocker/a/a.go: no chapter introduces it"},
		// Pages beside the chapters.
		{"chapters/README.md", "[One]", "[Two]", "chapters/README.md:6: the chapter is to be [One](01-one/README.md)"},
		{"chapters/README.md", "| 3 | Chapter 3", "| 3 | [Three](../README.md)", ":8: links chapter 3, which is not written"},
		{"chapters/README.md", "| 3 | Chapter 3 | | | | |\n", "", ":3: needs a table of contents"},
		{"chapters/README.md", "| 3 |", "| 33 |", ":8: expected chapter 3 here, not 33"},
		{"chapters/README.md", "(01-one/README.md) | 40 | 30", "(01-one/README.md) | 40 | 35", `:6: type: "35" minutes, "30" in the front matter`},
		{"chapters/README.md", "`--hostname`", "`--memory`", `:6: the engine gains ["--memory"]`},
		{"chapters/README.md", "(01-one/README.md#what-goes-wrong)", "(01-one/README.md)", ":23: needs a link to the experiment in chapter 1"},
		{"chapters/README.md", "`own-host-name`", "`host-name`", `:23: lab 1 has no check "host-name"`},
		{"chapters/README.md", "lab 1, `own-host-name`", "", ":23: needs a check"},
		{"chapters/README.md", "| loss 5 | 7 |", "| loss 5 | - |", ":27: names no chapter"},
		{"chapters/README.md", "| loss 5 |", "\n| loss 5 |", ":21: needs a table of the 11 places"},
		{"chapters/GLOSSARY.md", "| talk |", "| |", ":6: the row needs something in each of"},
		{"chapters/GLOSSARY.md", "进程间通信", "IPC", ":6: IPC has no Chinese term"},
		{"chapters/GLOSSARY.md", "| IPC |", "| pid |", `:7: "PID" stands after "pid"`},
		{"chapters/GLOSSARY.md", "中文", "Chinese", "GLOSSARY.md: needs a table"},
		{"chapters/CHEATSHEET.md", "| namespaces |", "| |", ":5: the row needs something"},
		{"chapters/CHEATSHEET.md", "| `run` |", "| run |", ":5: run: a docker command"},
		{"chapters/CHEATSHEET.md", "system calls", "calls", "CHEATSHEET.md: needs a table"},
	} {
		t.Run(strings.ReplaceAll(c.file+" "+c.new, "/", "-")[:min(40, len(c.file+" "+c.new))], func(t *testing.T) {
			top := madeUp(t)
			replace(t, filepath.Join(top, c.file), c.old, c.new)
			problems := everything(t, top, madeUpPlan)
			if c.want == "" {
				report(t, problems)
				return
			}
			if !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), c.want) }) {
				t.Errorf("expected %q, found %q", c.want, problems)
			}
		})
	}
}

// TestPlanGivesWay: a chapter that is written takes over from the plan.
func TestPlanGivesWay(t *testing.T) {
	top := madeUp(t)
	for _, c := range []struct {
		plan map[string]int
		want []string
	}{
		{map[string]int{"b": 7}, nil},
		{map[string]int{"b": 7, "a": 1}, []string{planFile + `: has "a" for chapter 1, which is written: its front matter says it; take the entry out`}},
		{map[string]int{"b": 7, "a": 7}, []string{planFile + `: has "a", which no file of the engine needs; take the entry out`}},
		{map[string]int{"b": 7, "c": 8}, []string{planFile + `: has "c", which no file of the engine needs; take the entry out`}},
		{map[string]int{"b": 7, "a/a.go": 7}, []string{planFile + `: has "a/a.go", which no file of the engine needs; take the entry out`}},
		{map[string]int{"b": 1}, []string{
			`mydocker/b/b.go: no chapter introduces it: name it in the "files:" of one, or, if that is not written, in ` + planFile,
			`mydocker/b/b_amd64.s: no chapter introduces it: name it in the "files:" of one, or, if that is not written, in ` + planFile,
			planFile + `: has "b" for chapter 1, which is written: its front matter says it; take the entry out`}},
		{map[string]int{"b/b.go": 7, "b": 8}, nil},
	} {
		b, err := OpenBook(top)
		if err != nil {
			t.Fatal(err)
		}
		problems, err := b.CheckFiles(c.plan)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("plan %v:\n%q, expected\n%q", c.plan, got, c.want)
		}
	}
}
