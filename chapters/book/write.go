package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Change is a piece of text to be written: new lines in place of those from Begin on,
// up to but without End.
type Change struct {
	Begin, End int
	Lines      []string
	Why        string // what differs
}

// Excerpts lists the excerpts of a chapter that are not as the source is. Those of
// which there is no source are problems.
func (b *Book) Excerpts(d *Document) (changes []Change, problems []Problem) {
	for _, f := range d.Fences {
		file, what, ok := f.source(path.Dir(d.Path))
		if !ok {
			continue
		}
		body, err := Excerpt(b.Top, file, what)
		if err != nil {
			problems = append(problems, Problem{d.Path, f.Line, fmt.Sprintf("excerpt: %v; correct the name in the ``` line, then: make book", err)})
		} else if diff := Unified(d.Path, file, f.Body, body); diff != "" {
			changes = append(changes, Change{f.Line + 1, f.End, body, fmt.Sprintf("is not as %s is; write it anew with: make book\n%s", strings.TrimSpace(file+" "+what), diff)})
		}
	}
	return changes, problems
}

// CheckExcerpts tells which excerpts are not as the source is, and whether main.diff is
// the difference to the chapter before.
func (b *Book) CheckExcerpts(c *Chapter) []Problem {
	changes, problems := b.Excerpts(c.Document)
	for _, change := range changes {
		problems = append(problems, Problem{c.Path, change.Begin - 1, change.Why})
	}
	file, want := b.mainDiff(c)
	if diff := Unified(file, "as it is to be", b.lines(file), want); diff != "" {
		problems = append(problems, Problem{file, 0, "is not the difference between the two main.go; write it anew with: make book\n" + diff})
	}
	return problems
}

// mainDiff is what a chapter changes in the engine's main.go; nothing in the first.
func (b *Book) mainDiff(c *Chapter) (file string, lines []string) {
	file = path.Join(c.Dir, "main.diff")
	before := b.previous(c)
	if before == "" {
		return file, nil
	}
	older, newer := path.Join(before, "main.go"), path.Join(c.Dir, "main.go")
	return file, strings.Split(strings.TrimSuffix(Unified(older, newer, b.lines(older), b.lines(newer)), "\n"), "\n")
}

// Write brings what is generated in a chapter up to date: excerpts, main.diff, and its
// translation.
func (b *Book) Write(c *Chapter) ([]Problem, error) {
	changes, problems := b.Excerpts(c.Document)
	if err := b.apply(c.Document, changes); err != nil {
		return problems, err
	}
	if file, lines := b.mainDiff(c); !slices.Equal(lines, b.lines(file)) {
		if err := b.write(file, lines); err != nil {
			return problems, err
		}
	}
	return problems, nil
}

// apply writes changes, which are in the order of their lines, into a document.
func (b *Book) apply(d *Document, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	lines := slices.Clone(d.Lines)
	for _, change := range slices.Backward(changes) { // so that line numbers above stay
		lines = slices.Replace(lines, change.Begin-1, change.End-1, change.Lines...)
	}
	if err := b.write(d.Path, lines); err != nil {
		return err
	}
	*d = *ParseDocument(d.Path, strings.Join(lines, "\n")+"\n")
	return nil
}

func (b *Book) write(file string, lines []string) error {
	fmt.Println("writes", file)
	return os.WriteFile(filepath.Join(b.Top, file), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// Record runs the ```console show blocks that have no line "recorded" yet, or all of
// them, and writes down what they print. What cannot run here stays as it is, and is named.
func (b *Book) Record(c *Chapter, s *Setups, all bool) (problems []Problem, err error) {
	var changes []Change
	for _, f := range c.Fences {
		below := c.line(f.End + 1)
		block, err := ParseBlock(f)
		if !f.Is("console", "show") || err != nil || recorded.MatchString(below) && !all {
			continue
		}
		outcome, err := s.Run(block)
		if err != nil {
			problems = append(problems, Problem{c.Path, f.Line, fmt.Sprintf("is left as it was: %v", err)})
			continue
		}
		if names := block.missing(outcome); len(names) > 0 {
			problems = append(problems, Problem{c.Path, f.Line, "is left as it was, for want of a program: " + strings.Join(names, "; ")})
			continue
		}
		if wrong := block.CompareStatus(c.Path, outcome); len(wrong) > 0 {
			problems = append(problems, append(wrong, Problem{c.Path, f.Line, "is left as it was"})...)
			continue
		}
		end := f.End + 1
		if recorded.MatchString(below) {
			end++
		}
		changes = append(changes, Change{f.Line + 1, end, append(block.with(outcome.Output), "```", recording()), ""})
	}
	return problems, b.apply(c.Document, changes)
}

// with is the body of a block with other output.
func (b Block) with(output [][]string) (body []string) {
	for i, c := range b.Commands {
		body = append(body, "$ "+strings.ReplaceAll(c.Text, "\n", "\n> "))
		for _, line := range output[i] {
			body = append(body, strings.TrimRight(line, " \t"))
		}
	}
	return body
}

func recording() string {
	var name unix.Utsname
	unix.Uname(&name)
	version := strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)
	minor := strings.TrimRightFunc(version[1], func(r rune) bool { return r < '0' || r > '9' })
	return fmt.Sprintf("<!-- recorded %s, Linux %s.%s -->", time.Now().Format(time.DateOnly), version[0], minor)
}
