package main

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// TestContents holds the pages beside the chapters to what the chapters say.
func TestContents(t *testing.T) {
	b := openBook(t)
	if len(b.Chapters) == 0 {
		t.Skip("no chapter is written")
	}
	report(t, b.CheckPages())
}

// CheckPages looks at the table of contents, that of what others lost their way on, the
// glossary and the cheat sheet.
func (b *Book) CheckPages() (problems []Problem) {
	for _, page := range []struct {
		name  string
		check func(*Document, reporter)
	}{
		{"README.md", b.checkContents}, {"README.md", b.checkLosses}, {"GLOSSARY.md", checkGlossary}, {"CHEATSHEET.md", checkCheatSheet},
	} {
		file := path.Join("chapters", page.name)
		d, err := ReadDocument(b.Top, file)
		if err != nil {
			problems = append(problems, Problem{file, 0, err.Error()})
			continue
		}
		page.check(d, func(line int, format string, args ...any) {
			problems = append(problems, Problem{file, line, fmt.Sprintf(format, args...)})
		})
	}
	return problems
}

// Table is a table of a document. Its cells are found by the names of their columns.
type Table struct {
	Line   int
	Header []string
	Rows   [][]string
}

// table finds the table that has all these columns.
func (d *Document) table(columns ...string) (t Table, ok bool) {
	for i, line := range d.Prose {
		switch {
		case !strings.HasPrefix(line, "|"):
			if ok {
				return t, true
			}
			t = Table{}
		case t.Line == 0:
			t = Table{Line: i + 1, Header: cells(line)}
			ok = !slices.ContainsFunc(columns, func(name string) bool { return !slices.Contains(t.Header, name) })
		case i+1 > t.Line+1: // after the line of dashes
			t.Rows = append(t.Rows, cells(line))
		}
	}
	return t, ok
}

// row is the line of a row.
func (t Table) row(i int) int { return t.Line + 2 + i }

// cell is a row's cell in a column, "" if it has none.
func (t Table) cell(row []string, column string) string {
	if i := slices.Index(t.Header, column); i >= 0 && i < len(row) {
		return row[i]
	}
	return ""
}

func cells(line string) (list []string) {
	line = strings.ReplaceAll(line, `\|`, "\x00")
	for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
		list = append(list, strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|")))
	}
	return list
}

// full wants each row to have something in each column.
func (t Table) full(report reporter) {
	for i, row := range t.Rows {
		if len(row) != len(t.Header) || slices.Contains(row, "") {
			report(t.row(i), "the row needs something in each of: %s", strings.Join(t.Header, ", "))
		}
	}
}

const lastChapter = 14

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	linkCell = regexp.MustCompile(`^\[(.*)\]\((.*)\)$`)
)

// checkContents compares the table of contents with the front matter of what is written.
func (b *Book) checkContents(d *Document, report reporter) {
	t, ok := d.table("chapter", "read", "type", "lab")
	if !ok || len(t.Rows) != lastChapter+1 {
		report(t.Line, "needs a table of contents, columns chapter, read, type, lab and what the engine gains, with the chapters 0 to %d", lastChapter)
		return
	}
	for i, row := range t.Rows {
		if row[0] != strconv.Itoa(i) {
			report(t.row(i), "expected chapter %d here, not %s", i, row[0])
		}
		title := linkCell.FindStringSubmatch(t.cell(row, "chapter"))
		k := slices.IndexFunc(b.Chapters, func(c *Chapter) bool { return c.Number == i })
		if k < 0 {
			if title != nil {
				report(t.row(i), "links chapter %d, which is not written", i)
			}
			continue
		}
		c := b.Chapters[k]
		if link := path.Base(c.Dir) + "/README.md"; title == nil || title[1] != c.Title || title[2] != link {
			report(t.row(i), "the chapter is to be [%s](%s)", c.Title, link)
		}
		for _, what := range []string{"read", "type", "lab"} {
			if minutes := c.minutes(what); t.cell(row, what) != minutes {
				report(t.row(i), "%s: %q minutes, %q in the front matter of %s", what, t.cell(row, what), minutes, c.Path)
			}
		}
		var commands []string
		for _, m := range codeSpan.FindAllStringSubmatch(row[len(row)-1], -1) {
			commands = append(commands, m[1])
		}
		if gains := b.gains(c); !slices.Equal(commands, gains) {
			report(t.row(i), "the engine gains %q (what is in `code`), by the front matter of %s and those before: %q", commands, c.Path, gains)
		}
	}
}

// gains are the commands of a chapter that no chapter before has.
func (b *Book) gains(c *Chapter) (gains []string) {
	for command := range strings.SplitSeq(c.Commands, ", ") {
		had := func(other *Chapter) bool {
			return other.Number < c.Number && slices.Contains(strings.Split(other.Commands, ", "), command)
		}
		if !slices.ContainsFunc(b.Chapters, had) {
			gains = append(gains, command)
		}
	}
	return gains
}

// minutes are those that the front matter gives for "read", "type" or "lab".
func (c *Chapter) minutes(what string) string {
	for part := range strings.SplitSeq(c.Minutes, ",") {
		if fields := strings.Fields(part); len(fields) > 1 && fields[0] == what {
			return fields[1]
		}
	}
	return ""
}

const losses = 11 // at least

var (
	number   = regexp.MustCompile(`\d+`)
	labCheck = regexp.MustCompile("lab (\\d+), (`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*)")
)

// checkLosses wants each of what earlier readers were lost on to lead to an experiment in
// each of its chapters that are written, and to a check that exists.
func (b *Book) checkLosses(d *Document, report reporter) {
	t, ok := d.table("chapter", "experiment", "check")
	if !ok || len(t.Rows) < losses {
		report(t.Line, "needs a table of the %d places where others lost their way, with columns chapter, experiment, check", losses)
		return
	}
	for i, row := range t.Rows {
		written := true
		for _, n := range number.FindAllString(t.cell(row, "chapter"), -1) {
			chapter, _ := strconv.Atoi(n)
			if !b.written(chapter) {
				written = false
			} else if !strings.Contains(t.cell(row, "experiment"), fmt.Sprintf("](%02d-", chapter)) || !strings.Contains(t.cell(row, "experiment"), "#") {
				report(t.row(i), "needs a link to the experiment in chapter %d: [title](%02d-name/README.md#anchor)", chapter, chapter)
			}
		}
		if !number.MatchString(t.cell(row, "chapter")) {
			report(t.row(i), "names no chapter")
		}
		checks := labCheck.FindAllStringSubmatch(t.cell(row, "check"), -1)
		for _, m := range checks {
			for _, name := range codeSpan.FindAllStringSubmatch(m[2], -1) {
				if !b.hasCheck(m[1], name[1]) {
					report(t.row(i), "lab %s has no check %q", m[1], name[1])
				}
			}
		}
		if written && len(checks) == 0 && !strings.Contains(t.cell(row, "check"), "`labs doctor`") {
			report(t.row(i), "needs a check: lab N, `name`")
		}
	}
}

// hasCheck tells whether a lab has a check of that name: a string in its source.
func (b *Book) hasCheck(lab, name string) bool {
	n, _ := strconv.Atoi(lab)
	files, _ := filepath.Glob(filepath.Join(b.Top, "labs", fmt.Sprintf("%02d-*", n), "*.go"))
	return slices.ContainsFunc(files, func(file string) bool {
		relative, _ := filepath.Rel(b.Top, file)
		return slices.ContainsFunc(b.lines(relative), func(line string) bool { return strings.Contains(line, strconv.Quote(name)) })
	})
}

func checkGlossary(d *Document, report reporter) {
	t, ok := d.table("term", "中文", "see it with")
	if !ok || len(t.Rows) == 0 {
		report(0, "needs a table with columns term, 中文, see it with")
		return
	}
	t.full(report)
	for i, row := range t.Rows {
		if !strings.ContainsFunc(t.cell(row, "中文"), func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
			report(t.row(i), "%s has no Chinese term", row[0])
		}
		if i > 0 && strings.ToLower(t.Rows[i-1][0]) >= strings.ToLower(row[0]) {
			report(t.row(i), "%q stands after %q: terms are sorted, and each is there once", row[0], t.Rows[i-1][0])
		}
	}
}

func checkCheatSheet(d *Document, report reporter) {
	t, ok := d.table("docker", "system calls", "kernel object", "look at")
	if !ok || len(t.Rows) == 0 {
		report(0, "needs a table with columns docker, system calls, kernel object, look at")
		return
	}
	t.full(report)
	for i, row := range t.Rows {
		if !codeSpan.MatchString(row[0]) {
			report(t.row(i), "%s: a docker command or flag, in `code`", row[0])
		}
	}
}
