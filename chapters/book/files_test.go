package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const engineDir = "mydocker"

// Source is a file of the engine.
type Source struct {
	Path    string   // mydocker/...
	Chapter int      // that introduces it; -1 if none does
	Planned string   // the entry of the plan that says so
	Imports []string // packages of the engine, mydocker/...
	Lines   int
	Embeds  []string // patterns of files that are compiled in
}

// Sources lists the engine's files, tests left out, with their chapters.
func (b *Book) Sources(plan map[string]int) (sources []Source, err error) {
	homes := b.homes()
	err = filepath.WalkDir(filepath.Join(b.Top, engineDir), func(file string, entry fs.DirEntry, err error) error {
		ext := filepath.Ext(file)
		if err != nil || entry.IsDir() || ext != ".go" && ext != ".s" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		name, err := filepath.Rel(b.Top, file)
		if err != nil {
			return err
		}
		s := Source{Path: name, Chapter: -1}
		if chapters := homes[name]; len(chapters) > 0 {
			s.Chapter = chapters[0].Number
		} else if entry, ok := b.planned(plan, name); ok {
			s.Chapter, s.Planned = plan[entry], entry
		}
		if err := s.read(file); err != nil {
			return err
		}
		sources = append(sources, s)
		return nil
	})
	return sources, err
}

// homes are the written chapters that name a file; it should be one.
func (b *Book) homes() map[string][]*Chapter {
	homes := map[string][]*Chapter{}
	for _, c := range b.Chapters {
		for _, file := range c.Files {
			homes[file] = append(homes[file], c)
		}
	}
	return homes
}

// planned is the entry of the plan for a file, or else that for its package. What the plan
// says of a chapter that is written does not count.
func (b *Book) planned(plan map[string]int, file string) (entry string, ok bool) {
	entry = strings.TrimPrefix(file, engineDir+"/")
	if _, ok = plan[entry]; !ok {
		entry = path.Dir(entry)
		_, ok = plan[entry]
	}
	return entry, ok && !b.written(plan[entry])
}

func (b *Book) written(chapter int) bool {
	return slices.ContainsFunc(b.Chapters, func(c *Chapter) bool { return c.Number == chapter })
}

// read finds out what a source needs beside it.
func (s *Source) read(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s.Lines = strings.Count(string(data), "\n")
	if filepath.Ext(file) != ".go" {
		return nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, data, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range parsed.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		if inside, ok := strings.CutPrefix(name, "minidocker/"); ok {
			s.Imports = append(s.Imports, inside)
		}
	}
	for line := range strings.Lines(string(data)) {
		if patterns, ok := strings.CutPrefix(line, "//go:embed "); ok {
			s.Embeds = append(s.Embeds, strings.Fields(patterns)...)
		}
	}
	return nil
}

// CheckFiles wants each file of the engine to be named by exactly one chapter, once in
// its front matter and once more, as a link, in What ours adds.
func (b *Book) CheckFiles(plan map[string]int) (problems []Problem, err error) {
	sources, err := b.Sources(plan)
	if err != nil {
		return nil, err
	}
	there, needed := map[string]bool{}, map[string]bool{} // files; entries of the plan
	for _, s := range sources {
		there[s.Path], needed[s.Planned] = true, true
		if s.Chapter < 0 {
			problems = append(problems, Problem{s.Path, 0, `no chapter introduces it: name it in the "files:" of one, or, if that is not written, in chapters/book/plan_test.go`})
		}
	}
	homes := b.homes()
	for _, c := range b.Chapters {
		for _, file := range c.Files {
			line := c.Front.Line[file]
			if !there[file] {
				problems = append(problems, Problem{c.Path, line, fmt.Sprintf("names %s, which the engine does not have (without tests)", file)})
			}
			if first := homes[file][0]; first != c {
				problems = append(problems, Problem{c.Path, line, fmt.Sprintf("names %s, as %s does", file, first.Path)})
			}
			if !c.linksIn("What ours adds", file) {
				problems = append(problems, Problem{c.Path, line, fmt.Sprintf("names %s, and does not link it in What ours adds: [%s](../../%s)", file, path.Base(file), file)})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(plan)) {
		if b.written(plan[name]) {
			problems = append(problems, Problem{planFile, 0, fmt.Sprintf("has %q for chapter %d, which is written: its front matter says it; take the entry out", name, plan[name])})
		} else if !needed[name] {
			problems = append(problems, Problem{planFile, 0, fmt.Sprintf("has %q, which no file of the engine needs; take the entry out", name)})
		}
	}
	return problems, nil
}

const planFile = "chapters/book/plan_test.go"

// linksIn tells whether a section links a file of the project.
func (c *Chapter) linksIn(section, file string) bool {
	return slices.ContainsFunc(c.Links(), func(l Link) bool {
		target, _, _ := strings.Cut(l.Target, "#")
		return path.Join(c.Dir, target) == file && c.Section(l.Line) == section
	})
}
