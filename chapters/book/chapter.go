package main

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Book is all that is written of it.
type Book struct {
	Top      string     // the project's directory
	Chapters []*Chapter // those that are written, by number
}

// Chapter is a chapter that is written: a directory with a README.md.
type Chapter struct {
	*Document
	Dir      string // chapters/NN-name
	Number   int
	Title    string
	Minutes  string
	Commands string
	Files    []string // mydocker/...: the engine's files that it introduces
}

var chapterDir = regexp.MustCompile(`^(\d\d)-[a-z0-9-]+$`)

// OpenBook reads the chapters below top.
func OpenBook(top string) (*Book, error) {
	b := &Book{Top: top}
	entries, err := os.ReadDir(filepath.Join(top, "chapters"))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !chapterDir.MatchString(entry.Name()) {
			continue
		}
		dir := path.Join("chapters", entry.Name())
		d, err := ReadDocument(top, path.Join(dir, "README.md"))
		if os.IsNotExist(err) {
			continue // not written yet; its program may be there
		}
		if err != nil {
			return nil, err
		}
		b.Chapters = append(b.Chapters, newChapter(dir, d))
	}
	slices.SortFunc(b.Chapters, func(a, b *Chapter) int { return cmp.Compare(a.Number, b.Number) })
	return b, nil
}

// newChapter understands the front matter.
func newChapter(dir string, d *Document) *Chapter {
	c := &Chapter{Document: d, Dir: dir, Title: d.Front.Values["title"], Minutes: d.Front.Values["minutes"],
		Commands: d.Front.Values["commands"], Files: d.Front.Lists["files"]}
	c.Number, _ = strconv.Atoi(path.Base(dir)[:2])
	return c
}

// previous is the directory of the chapter before, whether it is written or not; "" if there is none.
func (b *Book) previous(c *Chapter) string {
	found, _ := filepath.Glob(filepath.Join(b.Top, "chapters", fmt.Sprintf("%02d-*", c.Number-1)))
	if c.Number == 0 || len(found) != 1 {
		return ""
	}
	return path.Join("chapters", filepath.Base(found[0]))
}

// lines reads a file of the project as lines, none if it cannot be read.
func (b *Book) lines(file string) []string {
	data, err := os.ReadFile(filepath.Join(b.Top, file))
	if err != nil {
		return nil
	}
	return split(string(data))
}

// split makes lines of a text; none of an empty one.
func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
