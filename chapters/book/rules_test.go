package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// sections are a chapter's headings of level 2, in this order.
var sections = []string{"Two questions first", "What you will have at the end", "The idea", "Try it by hand", "First version",
	"What goes wrong", "What ours adds", "How Docker does it", "Check yourself"}

const (
	minWords, maxWords = 1500, 4000
	maxExcerptLines    = 250 // in What ours adds
	maxFirstLines      = 80
)

// CheckStructure tells where a chapter has another form than the others.
func (b *Book) CheckStructure(c *Chapter) []Problem {
	var problems []Problem
	report := func(line int, format string, args ...any) {
		problems = append(problems, Problem{c.Path, line, fmt.Sprintf(format, args...)})
	}
	checkFront(c, report)
	checkHeadings(c, report)
	checkLength(c, report)
	checkFences(c, report)
	checkPredictions(c, report)
	if b.previous(c) != "" && !c.links("main.diff") {
		report(0, "must link main.diff, what this chapter changes in the engine's main.go")
	}
	return append(problems, b.checkFirst(c)...)
}

type reporter func(line int, format string, args ...any)

var frontForms = map[string]*regexp.Regexp{
	"chapter":  regexp.MustCompile(`^\d+$`),
	"title":    regexp.MustCompile(`.`),
	"minutes":  regexp.MustCompile(`^read \d+(, type \d+)?(, lab \d+)?( \(estimated\))?$`),
	"commands": regexp.MustCompile(`.`),
}

func checkFront(c *Chapter, report reporter) {
	for key, form := range frontForms {
		if value := c.Front.Values[key]; !form.MatchString(value) {
			report(max(1, c.Front.Line[key]), "the front matter needs a line %q of the form %s, it has %q", key+": ...", form, value)
		}
	}
	if number := c.Front.Values["chapter"]; number != strconv.Itoa(c.Number) {
		report(max(1, c.Front.Line["chapter"]), "chapter: %s in the directory %s", number, c.Dir)
	}
	for key, line := range c.Front.Line {
		if _, ok := frontForms[key]; !ok && key != "files" && !slices.Contains(c.Files, key) {
			report(line, "the front matter has an unknown key %q", key)
		}
	}
	if c.Number > 0 && len(c.Files) == 0 {
		report(1, `the front matter needs "files:", a list of the engine's files that this chapter introduces`)
	}
}

func checkHeadings(c *Chapter, report reporter) {
	want := fmt.Sprintf("%d. %s", c.Number, c.Title)
	next, titles := 0, 0
	for _, h := range c.Headings {
		switch {
		case h.Level == 1:
			if titles++; h.Text != want || titles > 1 || next > 0 {
				report(h.Line, "the title must be %q, once, before all sections", "# "+want)
			}
		case h.Level > 2:
		case next < len(sections) && h.Text == sections[next]:
			next++
		case next < len(sections):
			report(h.Line, "section %q: expected %q here; the order is: %s", h.Text, sections[next], strings.Join(sections, " · "))
			return
		default:
			report(h.Line, "section %q: %q is the last", h.Text, sections[next-1])
		}
	}
	if titles == 0 {
		report(0, "has no title %q", "# "+want)
	}
	if next < len(sections) {
		report(0, "has no section %q", "## "+sections[next])
	}
}

func checkLength(c *Chapter, report reporter) {
	words := 0
	for word := range strings.FieldsSeq(strings.Join(c.Prose, "\n")) {
		if strings.ContainsFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			words++
		}
	}
	if words < minWords || words > maxWords {
		report(0, "has %d words outside of fences, expected %d to %d", words, minWords, maxWords)
	}
	excerpts := 0
	for _, f := range c.Fences {
		if _, _, ok := f.source(c.Dir); ok && c.Section(f.Line) == "What ours adds" {
			if excerpts += len(f.Body); excerpts > maxExcerptLines {
				report(f.Line, "with this excerpt What ours adds has %d lines of excerpts, at most %d", excerpts, maxExcerptLines)
				break
			}
		}
	}
}

// boxes are characters that are drawn with, not written.
var boxes = regexp.MustCompile(`[─-╿▲▼◀▶]|\+--`)

func checkFences(c *Chapter, report reporter) {
	pictured := false
	for _, f := range c.Fences {
		switch {
		case len(f.Info) == 0:
			report(f.Line, "a fence says what it is: go FILE SYMBOL, go sketch, console run, text, mermaid, ...")
		case f.Is("go") && len(f.Info) == 1:
			report(f.Line, "go that nothing tests: name its file and symbol (```go mydocker/trace/trace.go Step), or write ```go sketch")
		case f.Is("console"):
			if _, err := ParseBlock(f); err != nil {
				report(f.Line, "%v", err)
			}
			if f.Is("console", "show") && !recorded.MatchString(c.line(f.End+1)) {
				report(f.Line, "not recorded: on a disposable machine run sudo MYDOCKER_DISPOSABLE=1 make book")
			}
		case f.Is("mermaid"), f.Is("text") && boxes.MatchString(strings.Join(f.Body, "\n")):
			pictured = pictured || c.Section(f.Line) == "The idea"
			if !strings.HasPrefix(c.paragraph(f.End+1), "In words:") {
				report(f.Line, `a diagram is followed by a paragraph that says the same and begins "In words:"`)
			}
		}
	}
	if !pictured {
		report(0, "The idea has no diagram (```mermaid, or a drawing of lines in ```text)")
	}
}

// paragraph returns the first line from the given one on that is not empty.
func (c *Chapter) paragraph(line int) string {
	for ; line <= len(c.Lines); line++ {
		if text := strings.TrimLeft(c.Lines[line-1], "*_"); text != "" {
			return text
		}
	}
	return ""
}

const predict = "> **Predict:**"

// checkPredictions wants an experiment below each prediction, and words below that.
func checkPredictions(c *Chapter, report reporter) {
	for i, line := range c.Prose {
		if !strings.HasPrefix(line, predict) {
			continue
		}
		experiment, answer := 0, false
		for _, f := range c.Fences {
			if experiment == 0 && f.Line > i && f.Is("console") {
				experiment = f.End
			}
		}
		for j := i + 1; j < len(c.Prose) && !strings.HasPrefix(c.Prose[j], predict) && !strings.HasPrefix(c.Prose[j], "## "); j++ {
			answer = answer || experiment > 0 && j >= experiment && strings.TrimSpace(c.Prose[j]) != "" && c.Prose[j][0] != '#'
		}
		if !answer {
			report(i+1, "a prediction is followed by its experiment (```console ...) and then the answer, before the next one")
		}
	}
}

// checkFirst wants the first version to be short and without the engine.
func (b *Book) checkFirst(c *Chapter) (problems []Problem) {
	file := path.Join(c.Dir, "first/main.go")
	lines := b.lines(file)
	if len(lines) == 0 || len(lines) > maxFirstLines {
		problems = append(problems, Problem{file, 0, fmt.Sprintf("has %d lines, expected 1 to %d: it is to be typed", len(lines), maxFirstLines)})
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, strings.Join(lines, "\n"), parser.ImportsOnly)
	if err != nil {
		return append(problems, Problem{file, 0, err.Error()})
	}
	for _, spec := range parsed.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		host, _, _ := strings.Cut(name, "/")
		if host == "minidocker" || strings.Contains(host, ".") && !strings.HasPrefix(name, "golang.org/x/sys/") {
			problems = append(problems, Problem{file, files.Position(spec.Pos()).Line, "imports " + name + ": a first version has the standard library and golang.org/x/sys only"})
		}
	}
	return problems
}
