package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Translation is a README.LANGUAGE.md beside a README.md. Its front matter names the
// source that it was made from (source: SHA256).
type Translation struct {
	*Document
	stale string // a warning if that is not the present one, else ""
}

func (b *Book) translations(c *Chapter) (found []Translation, err error) {
	source, err := os.ReadFile(filepath.Join(b.Top, c.Path))
	if err != nil {
		return nil, err
	}
	hash := fmt.Sprintf("%x", sha256.Sum256(source))
	files, _ := filepath.Glob(filepath.Join(b.Top, c.Dir, "README.*.md"))
	for _, file := range files {
		d, err := ReadDocument(b.Top, path.Join(c.Dir, filepath.Base(file)))
		if err != nil {
			return nil, err
		}
		t := Translation{Document: d}
		if d.Front.Values["source"] != hash {
			t.stale = fmt.Sprintf("%s: %s has changed since; when the two agree again, write into the front matter\nsource: %s", d.Path, c.Path, hash)
		}
		found = append(found, t)
	}
	return found, nil
}

// changes lists the fences that are not those of the source: the n-th has the commands or
// the excerpt of the n-th there. Drawings and sketches may be translated.
func (t Translation) changes(source *Document) (changes []Change, problems []Problem) {
	problems = append(problems, t.Problems...)
	if len(t.Fences) != len(source.Fences) {
		return nil, append(problems, Problem{t.Path, 0, fmt.Sprintf("has %d fences, %s has %d: each needs its own, in the same order", len(t.Fences), source.Path, len(source.Fences))})
	}
	for i, f := range t.Fences {
		from := source.Fences[i]
		_, _, excerpt := from.source(path.Dir(t.Path))
		switch {
		case (excerpt || from.Is("console")) && !(slices.Equal(f.Info, from.Info) && slices.Equal(f.Body, from.Body)):
			changes = append(changes, Change{f.Line, f.End, source.Lines[from.Line-1 : from.End-1], fmt.Sprintf("fence %d of %s", i+1, source.Path)})
		case !slices.Equal(f.Info, from.Info):
			problems = append(problems, Problem{t.Path, f.Line, fmt.Sprintf("fence %d is ```%s in %s", i+1, strings.Join(from.Info, " "), source.Path)})
		}
	}
	return changes, problems
}

// Translate gives the translations of a chapter the commands and excerpts of their source.
func (b *Book) Translate(c *Chapter) (problems []Problem, err error) {
	translations, err := b.translations(c)
	for _, t := range translations {
		if t.stale != "" {
			fmt.Println("warning:", t.stale)
		}
		changes, more := t.changes(c.Document)
		problems = append(problems, more...)
		if err := b.apply(t.Document, changes); err != nil {
			return problems, err
		}
	}
	return problems, err
}
