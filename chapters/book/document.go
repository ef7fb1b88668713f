package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Problem is something in the book that is not as it should be, and where.
type Problem struct {
	Path string // relative to the top of the project
	Line int    // from 1; 0 for the file as a whole
	Text string // what was expected, and what mends it
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.Path, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Text)
}

// Document is a Markdown file, taken apart.
type Document struct {
	Path     string // relative to the top of the project
	Lines    []string
	Front    Front
	Headings []Heading
	Fences   []Fence
	Prose    []string // Lines, with front matter, fences and comments empty
	Problems []Problem
}

// Front is the front matter: "key: value" lines between two lines of "---", the
// part of YAML that needs no library. A key without a value has a list below it.
type Front struct {
	Line   map[string]int // of a key, or of a list's item
	Values map[string]string
	Lists  map[string][]string
}

// Heading is a heading: "## The idea" is at level 2.
type Heading struct {
	Line, Level int
	Text        string
}

// Fence is a block between ``` lines.
type Fence struct {
	Line, End int // those of the two ``` lines
	Info      []string
	Body      []string
	Comment   string // of the HTML comment before it, if it is about this fence
}

// Is tells whether the fence's info begins with these words.
func (f Fence) Is(words ...string) bool {
	return len(f.Info) >= len(words) && strings.Join(f.Info[:len(words)], " ") == strings.Join(words, " ")
}

var headingLine = regexp.MustCompile(`^(#{1,6}) +(.*?) *#*$`)

// ReadDocument reads the file path below top.
func ReadDocument(top, path string) (*Document, error) {
	data, err := os.ReadFile(filepath.Join(top, path))
	if err != nil {
		return nil, err
	}
	return ParseDocument(path, string(data)), nil
}

// ParseDocument takes text apart. What is wrong with its form is in Problems.
func ParseDocument(path, text string) *Document {
	d := &Document{Path: path, Lines: strings.Split(strings.TrimSuffix(text, "\n"), "\n")}
	d.Prose = make([]string, len(d.Lines))
	comment, commented := "", false // the last comment; whether it is still open
	for i := d.parseFront(); i < len(d.Lines); i++ {
		line := d.Lines[i]
		switch {
		case commented || strings.HasPrefix(line, "<!--"):
			if !commented {
				comment = ""
			}
			comment += line + "\n"
			commented = !strings.Contains(line, "-->")
		case strings.HasPrefix(line, "```"):
			i = d.parseFence(i, comment)
			comment = ""
		case strings.HasPrefix(strings.TrimLeft(line, " \t>"), "```"):
			d.problem(i+1, "a fence begins in the first column, else nothing tests it")
		default:
			d.Prose[i] = line
			if m := headingLine.FindStringSubmatch(line); m != nil {
				d.Headings = append(d.Headings, Heading{i + 1, len(m[1]), m[2]})
			}
			if strings.TrimSpace(line) != "" {
				comment = ""
			}
		}
	}
	return d
}

// parseFront parses the front matter, if there is any, and returns the index of
// the first line after it.
func (d *Document) parseFront() int {
	d.Front = Front{map[string]int{}, map[string]string{}, map[string][]string{}}
	if d.Lines[0] != "---" {
		return 0
	}
	list := ""
	for i, line := range d.Lines[1:] {
		key, value, ok := strings.Cut(line, ":")
		item, isItem := strings.CutPrefix(strings.TrimSpace(line), "- ")
		switch {
		case line == "---":
			return i + 2
		case isItem && list != "":
			d.Front.Lists[list] = append(d.Front.Lists[list], item)
			d.Front.Line[item] = i + 2
		case ok && !isItem && !strings.HasPrefix(line, " "):
			list, d.Front.Line[key] = key, i+2
			if value = strings.TrimSpace(value); value != "" {
				d.Front.Values[key], list = value, ""
			}
		default:
			d.problem(i+2, `front matter has lines "key: value" and "  - item", not %q`, line)
		}
	}
	d.problem(1, "the front matter has no second line of ---")
	return len(d.Lines)
}

// parseFence parses the fence that begins at index i and returns the index of its last line.
func (d *Document) parseFence(i int, comment string) int {
	info := strings.TrimLeft(d.Lines[i], "`")
	ticks := d.Lines[i][:len(d.Lines[i])-len(info)]
	f := Fence{Line: i + 1, Info: strings.Fields(info), Comment: comment}
	for j := i + 1; j < len(d.Lines); j++ {
		if strings.HasPrefix(d.Lines[j], ticks) && strings.Trim(d.Lines[j], "` ") == "" {
			f.End, f.Body = j+1, d.Lines[i+1:j]
			d.Fences = append(d.Fences, f)
			return j
		}
	}
	d.problem(i+1, "this fence has no end: %s", ticks)
	return len(d.Lines)
}

func (d *Document) problem(line int, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{d.Path, line, fmt.Sprintf(format, args...)})
}

// Section names the heading of level 2 that a line is below.
func (d *Document) Section(line int) (name string) {
	for _, h := range d.Headings {
		if h.Line <= line && h.Level <= 2 {
			name = h.Text
		}
	}
	return name
}

// line returns a line by its number, "" where there is none.
func (d *Document) line(number int) string {
	if number > len(d.Lines) {
		return ""
	}
	return d.Lines[number-1]
}
