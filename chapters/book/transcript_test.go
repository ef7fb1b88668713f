package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block parses a transcript, the only fence of text.
func block(t *testing.T, text string) Block {
	t.Helper()
	d := ParseDocument("x.md", text)
	if len(d.Fences) != 1 || len(d.Problems) > 0 {
		t.Fatalf("%d fences, %v", len(d.Fences), d.Problems)
	}
	b, err := ParseBlock(d.Fences[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseBlock(t *testing.T) {
	b := block(t, "<!-- setup: step1 rootfs · varies: a.b -->\n\n```console run v2\n$ cat <<END\n> a\n> END\na\n> b\n$ true\n```\n")
	if b.Kind != "run" || b.Cgroup != 2 || !slices.Equal(b.Setup, []string{"step1", "rootfs"}) {
		t.Errorf("%+v", b)
	}
	if len(b.Commands) != 2 || b.Commands[0].Text != "cat <<END\na\nEND" || b.Commands[0].Line != 4 || b.Commands[1].Line != 9 {
		t.Errorf("%+v", b.Commands)
	}
	if got := b.Commands[0].Output; !slices.Equal(got, []string{"a", "> b"}) { // after output it is output
		t.Errorf("%q", got)
	}
}

func TestParseBlockComment(t *testing.T) {
	for comment, want := range map[string]struct{ setup, varies string }{
		"<!-- setup: step1 -->\n":                       {"step1", ""},
		"<!-- varies: \\b\\d{4,}\\b -->\n":              {"", `\b\d{4,}\b`},
		"<!-- setup: step1\n rootfs · varies: x+ -->\n": {"step1 rootfs", "x+"},
		"<!-- recorded 2026-11-21, Linux 6.18 -->\n":    {"", ""},
		"<!-- setup: step1 -->\nwords\n":                {"", ""}, // not about this one
		"<!-- setup: step1 -->\n<!-- varies: x -->\n":   {"", "x"},
	} {
		b := block(t, comment+"```console run\n$ true\n```\n")
		varies := ""
		if b.Varies != nil {
			varies = b.Varies.String()
		}
		if got := strings.Join(b.Setup, " "); got != want.setup || varies != want.varies {
			t.Errorf("%q: setup %q, varies %q", comment, got, varies)
		}
	}
}

func TestSameLine(t *testing.T) {
	for _, c := range []struct {
		varies, want, got string
		same              bool
	}{
		{"", "one", "one", true},
		{"", "one ", "one", true},
		{"", "one", " one", false},
		{"", "one…", "one", true},
		{"", "…one", "and one", true},
		{"", "a…b…c", "a 1 b 2 c", true},
		{"", "a…b…c", "a 1 c", false},
		{"", "a…a", "a", false},
		{"", "…", "", true},
		{`\d+`, "pid 12", "pid 3456", true},
		{`\d+`, "pid 12", "pid x", false},
		{`\d+`, "pid 12…", "pid 3 and more", true},
	} {
		b := Block{}
		if c.varies != "" {
			b.Varies = regexp.MustCompile(c.varies)
		}
		if got := b.sameLine(c.want, c.got); got != c.same {
			t.Errorf("%q %q %q: %v", c.varies, c.want, c.got, got)
		}
	}
}

func TestCompare(t *testing.T) {
	b := block(t, "```console run\n$ one\na\n…\nz\n$ two\n$ echo $?\n3\n$ four\n```\n")
	for name, c := range map[string]struct {
		outcome Outcome
		want    []string // the beginning of each problem
	}{
		"good":    {Outcome{Status: []int{0, 3, 0, 0}, Output: [][]string{{"a", "m", "n", "z"}, nil, {"3"}, nil}}, nil},
		"no gap":  {Outcome{Status: []int{0, 3, 0, 0}, Output: [][]string{{"a", "z"}, nil, {"3"}, nil}}, nil},
		"output":  {Outcome{Status: []int{0, 3, 0, 0}, Output: [][]string{{"a", "m", "y"}, nil, {"3"}, nil}}, []string{"x:2: $ one\nprints something else than the book says (-: the book, +: this machine)\n     m\n     y\n    -z"}},
		"extra":   {Outcome{Status: []int{0, 3, 0, 0}, Output: [][]string{{"a", "z"}, {"what"}, {"3"}, nil}}, []string{"x:6: $ two\nprints something else than the book says (-: the book, +: this machine)\n    +what"}},
		"status":  {Outcome{Status: []int{5, 3, 0, 0}, Output: [][]string{{"a", "z"}, nil, {"3"}, nil}}, []string{"x:2: $ one\nends with status 5;"}},
		"last":    {Outcome{Status: []int{0, 3, 0, 1}, Output: [][]string{{"a", "z"}, nil, {"3"}, nil}}, []string{"x:9: $ four\nends with status 1;"}},
		"ended":   {Outcome{Status: []int{0, 3}, Output: [][]string{{"a", "z"}, nil, nil, nil}}, []string{"x:7: $ echo $?\ndid not end", "x:7: $ echo $?\nprints something else"}},
		"finding": {Outcome{Status: []int{0, 3, 0, 0}, Output: [][]string{{"a", "z"}, nil, {"3"}, nil}, Findings: []string{"left"}}, []string{"x:1: left"}},
	} {
		problems := b.Compare("x", c.outcome)
		if len(problems) != len(c.want) {
			t.Errorf("%s: %q", name, problems)
			continue
		}
		for i, p := range problems {
			if !strings.HasPrefix(p.String(), c.want[i]) {
				t.Errorf("%s: %q, expected %q", name, p, c.want[i])
			}
		}
	}
}

func TestAsSeen(t *testing.T) {
	for _, c := range []struct {
		output    string
		wasKilled bool
		want      []string
	}{
		{"", false, nil},
		{"one\r\ntwo", false, []string{"one", "two"}},
		{"bash: line 3: x: command not found\n", false, []string{"bash: x: command not found"}},
		{"bash: eval: line 3: syntax error\n", false, []string{"bash: syntax error"}},
		{"bash: 1234 Killed                  sh -c 'kill -9 $$'\n", true, []string{"Killed"}},
		{"bash: 1234 Killed                  sleep 9\nx\n", false, []string{"x"}},
		{"[1]+  Terminated              sleep 100\n[2]-  Done   true\nx\n", false, []string{"x"}},
		{"[1] is an index\n", false, []string{"[1] is an index"}},
	} {
		if got := asSeen(c.output, c.wasKilled); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q", c.output, got)
		}
	}
}

func TestAlign(t *testing.T) {
	wild := func(line string) bool { return line == "*" }
	for _, c := range []struct {
		a, b, want string
	}{
		{"a b c", "a b c", " a b c"},
		{"a b c", "a c", " a-b c"},
		{"a c", "a b c", " a+b c"},
		{"a x c", "a y c", " a-x+y c"},
		{"", "a", "+a"},
		{"a *", "a b c", " a b c"},
		{"* c", "c b c", " c b c"},
		{"* * z", "z", " z"},
		{"a * d", "a b c", " a b c-d"},
	} {
		edits, equal := Align(strings.Fields(c.a), strings.Fields(c.b), func(a, b string) bool { return a == b }, wild)
		got := ""
		for _, e := range edits {
			got += string(e.Op) + e.Text
		}
		if got != c.want || equal == strings.ContainsAny(got, "+-") {
			t.Errorf("%q, %q: %q, equal %v", c.a, c.b, got, equal)
		}
	}
}
