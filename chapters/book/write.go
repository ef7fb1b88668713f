package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Change is a piece of a document that is not as it is to be: Lines belong in place of
// those from Begin on, up to but without End.
type Change struct {
	Begin, End int
	Lines      []string
	What       string // the piece
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
		} else if !slices.Equal(f.Body, body) {
			changes = append(changes, Change{f.Line + 1, f.End, body, "the excerpt " + strings.TrimSpace(file+" "+what)})
		}
	}
	return changes, problems
}

// MainDiff is what a chapter changes in the engine's main.go, as diff -u tells it; in the
// first chapter there is none.
func (b *Book) MainDiff(c *Chapter) (file string, lines []string, err error) {
	file = path.Join(c.Dir, "main.diff")
	before := b.previous(c)
	if before == "" {
		return file, nil, nil
	}
	older, newer := path.Join(before, "main.go"), path.Join(c.Dir, "main.go")
	diff := exec.Command("diff", "-u", "--label", older, "--label", newer, older, newer)
	diff.Dir = b.Top
	out, err := diff.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 { // they differ
		err = nil
	}
	if err != nil {
		return file, nil, fmt.Errorf("diff -u %s %s: %w", older, newer, err)
	}
	return file, split(string(out)), nil
}

// Write brings the excerpts and the main.diff of a chapter up to date.
func (b *Book) Write(c *Chapter) ([]Problem, error) {
	changes, problems := b.Excerpts(c.Document)
	if err := b.apply(c.Document, changes); err != nil {
		return problems, err
	}
	file, lines, err := b.MainDiff(c)
	if err == nil && !slices.Equal(lines, b.lines(file)) {
		err = b.write(file, lines)
	}
	return problems, err
}

// apply makes changes, which are in the order of their lines, to a document.
func (b *Book) apply(d *Document, changes []Change) error {
	lines := slices.Clone(d.Lines)
	for _, change := range slices.Backward(changes) { // so that line numbers above stay
		fmt.Printf("%s:%d: %s\n", d.Path, change.Begin, change.What)
		lines = slices.Replace(lines, change.Begin-1, change.End-1, change.Lines...)
	}
	if slices.Equal(lines, d.Lines) {
		return nil
	}
	*d = *ParseDocument(d.Path, strings.Join(lines, "\n"))
	return b.write(d.Path, lines)
}

func (b *Book) write(file string, lines []string) error {
	fmt.Println("writes", file)
	return os.WriteFile(filepath.Join(b.Top, file), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// Record runs the ```console show blocks that have no line "recorded" yet, and
// writes down what they print. What cannot run here stays as it is, and is named.
func (b *Book) Record(c *Chapter, s *Setups) (problems []Problem, err error) {
	var changes []Change
	for _, f := range c.Fences {
		block, err := ParseBlock(f)
		if !f.Is("console", "show") || err != nil || recorded.MatchString(c.line(f.End+1)) {
			continue
		}
		outcome, err := s.Run(block)
		wrong := block.Wrong(c.Path, outcome)
		if err != nil {
			wrong = []Problem{{c.Path, f.Line, err.Error()}}
		} else if i := slices.Index(outcome.Status, 127); i >= 0 {
			wrong = []Problem{{c.Path, f.Line, "there is no program for: $ " + block.Commands[i].Text}}
		}
		if len(wrong) > 0 {
			problems = append(problems, append(wrong, Problem{c.Path, f.Line, "is left as it was"})...)
			continue
		}
		changes = append(changes, Change{f.Line + 1, f.End + 1, append(block.with(outcome.Output), "```", recording()), "what is shown"})
	}
	return problems, b.apply(c.Document, changes)
}

// with is the body of a block with other output.
func (b Block) with(output [][]string) (body []string) {
	for i, c := range b.Commands {
		body = append(body, split("$ "+strings.ReplaceAll(c.Text, "\n", "\n> "))...)
		for _, line := range output[i] {
			body = append(body, strings.TrimRight(line, " \t"))
		}
	}
	return body
}

func recording() string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	version := regexp.MustCompile(`^\d+\.\d+`).Find(release)
	return fmt.Sprintf("<!-- recorded %s, Linux %s -->", time.Now().Format(time.DateOnly), version)
}
