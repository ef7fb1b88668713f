package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// Link is a link or picture in a document, or an address in HTML.
type Link struct {
	Line   int
	Target string
}

var (
	inlineCode = regexp.MustCompile("(?s)(`+)[^`].*?`+")
	inlineLink = regexp.MustCompile(`\]\(\s*<?([^\s()<>]+(?:\([^\s()]*\)[^\s()]*)*)>?(?:\s+"[^"]*")?\s*\)`)
	reference  = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)`)
	htmlAnchor = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	markup     = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
)

// Links lists what a document links to. A link may go over the end of a line.
func (d *Document) Links() (links []Link) {
	text := strings.Join(d.Prose, "\n")
	text = inlineCode.ReplaceAllStringFunc(text, func(code string) string {
		if strings.Contains(code, "\n\n") { // two lone backticks, not code
			return code
		}
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return 'x'
		}, code)
	})
	for _, form := range []*regexp.Regexp{inlineLink, reference} {
		for _, m := range form.FindAllStringSubmatchIndex(text, -1) {
			links = append(links, Link{strings.Count(text[:m[2]], "\n") + 1, text[m[2]:m[3]]})
		}
	}
	return links
}

// links tells whether the chapter links a file, by its path relative to the chapter.
func (c *Chapter) links(target string) bool {
	for _, l := range c.Links() {
		if path.Clean(l.Target) == target {
			return true
		}
	}
	return false
}

// Anchors are what "#..." can name in a document: its headings as GitHub writes them
// (small letters, hyphens for blanks, no punctuation, "-1" for the second of the same
// name), and HTML anchors.
func (d *Document) Anchors() map[string]bool {
	anchors := map[string]bool{}
	for _, h := range d.Headings {
		text := markup.ReplaceAllString(h.Text, "$1")
		base := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
				return unicode.ToLower(r)
			}
			return -1
		}, text)
		name := base
		for n := 1; anchors[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		anchors[name] = true
	}
	for _, line := range d.Prose {
		for _, m := range htmlAnchor.FindAllStringSubmatch(line, -1) {
			anchors[m[1]] = true
		}
	}
	return anchors
}

// CheckLinks wants what a document links to within the project to be there.
// Addresses elsewhere are not looked at.
func (b *Book) CheckLinks(d *Document) (problems []Problem) {
	for _, l := range d.Links() {
		if strings.Contains(l.Target, "://") || strings.HasPrefix(l.Target, "mailto:") {
			continue
		}
		if err := b.checkLink(d, l.Target); err != nil {
			problems = append(problems, Problem{d.Path, l.Line, fmt.Sprintf("link %s: %v", l.Target, err)})
		}
	}
	return problems
}

func (b *Book) checkLink(d *Document, target string) error {
	file, anchor, anchored := strings.Cut(target, "#")
	if strings.HasPrefix(file, "/") {
		return fmt.Errorf("must be relative")
	}
	to := d
	if file != "" {
		file = path.Join(path.Dir(d.Path), file)
		if file == ".." || strings.HasPrefix(file, "../") {
			return fmt.Errorf("leads out of the project")
		}
		info, err := os.Stat(filepath.Join(b.Top, file))
		if err != nil {
			return fmt.Errorf("there is no %s", file)
		}
		if anchored && info.IsDir() {
			return fmt.Errorf("%s is a directory: name its README.md", file)
		}
		if anchored && path.Ext(file) != ".md" {
			return fmt.Errorf("%s has no anchors, and lines move: link the file and name a symbol", file)
		}
		if anchored {
			if to, err = ReadDocument(b.Top, file); err != nil {
				return err
			}
		}
	}
	if anchored && !to.Anchors()[anchor] {
		return fmt.Errorf("%s has no heading for #%s", to.Path, anchor)
	}
	return nil
}
