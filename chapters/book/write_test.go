package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExcerpt(t *testing.T) {
	for what, want := range map[string]string{
		"Limit":  "// Limit is a constant in a group.\nconst (\n\tLimit = 7\n\tOther = 8\n)",
		"Other":  "// Limit is a constant in a group.\nconst (\n\tLimit = 7\n\tOther = 8\n)",
		"T":      "// T is a type.\ntype T struct{}",
		"T.Do":   "// Do does\n// it.\nfunc (t *T) Do() int {\n\tif Limit > Other {\n\t\treturn 1\n\t}\n\treturn 0\n}",
		"Do":     "// Do is a function of the same name.\nfunc Do() {}",
		"#inner": "if Limit > Other {\n\treturn 1\n}",
		"init":   "error: mydocker/a/a.go has 2 declarations of init: mark the one that is meant as a region",
		"do":     "error: mydocker/a/a.go has no symbol do, but Do",
		"T.Sing": "error: mydocker/a/a.go has no symbol T.Sing",
		"#outer": `error: mydocker/a/a.go must have one line "// #outer" and one "// /outer" after it; it has 0 and 0`,
	} {
		lines, err := Excerpt("testdata/book", "mydocker/a/a.go", what)
		got := strings.Join(lines, "\n")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%s:\n%s\nexpected\n%s", what, got, want)
		}
	}
	whole, err := Excerpt("testdata/book", "mydocker/a/a.go", "")
	if text := strings.Join(whole, "\n"); err != nil || !strings.HasPrefix(text, "// Package a") || !strings.HasSuffix(text, "func init() {}") || strings.Contains(text, "inner") {
		t.Errorf("the whole file: %v\n%s", err, text)
	}
}

func TestAnchors(t *testing.T) {
	d := ParseDocument("x.md", "# 1. One\n## `pivot_root`: Invalid argument\n## A [link](x.md) & more\n## 什么是容器？\n## 1. One\n### A--b\n```text\n# not this\n```\n<a id=\"here\"></a>\n")
	want := []string{"1-one", "1-one-1", "a--b", "a-link--more", "here", "pivot_root-invalid-argument", "什么是容器"}
	var got []string
	for name := range d.Anchors() {
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

// TestWrite: what was changed by hand comes back as the source has it.
func TestWrite(t *testing.T) {
	top := madeUp(t)
	readme, diff := filepath.Join(top, "chapters/01-one/README.md"), filepath.Join(top, "chapters/01-one/main.diff")
	good := read(t, readme) + read(t, diff)
	replace(t, readme, "\tif Limit > Other {\n\t\treturn 1\n\t}\n", "")
	replace(t, readme, "if Limit > Other {\n\treturn 1\n}\n", "one\ntwo\nthree\nfour\nfive\n")
	replace(t, diff, "a.Do", "a.Undo")
	for range 2 {
		b, err := OpenBook(top)
		if err != nil {
			t.Fatal(err)
		}
		problems, err := b.Write(b.Chapters[1])
		if err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		if got := read(t, readme) + read(t, diff); got != good {
			t.Errorf("%s\nexpected\n%s", got, good)
		}
	}
	report(t, everything(t, top, madeUpPlan))
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestTranslation: a translation has the commands and excerpts of its source, keeps its
// own words and drawings, and is told to be stale until it names the source it is of.
func TestTranslation(t *testing.T) {
	top := madeUp(t)
	source, file := filepath.Join(top, "chapters/01-one/README.md"), filepath.Join(top, "chapters/01-one/README.zh.md")
	state := func() (string, *Book) {
		b, err := OpenBook(top)
		if err != nil {
			t.Fatal(err)
		}
		problems, warnings, err := b.CheckTranslations(b.Chapters[1])
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(problems, warnings), b
	}
	got, b := state()
	for _, want := range []string{"README.zh.md:19: fence 1 of chapters/01-one/README.md differs", "README.zh.md:73: fence 6 of", "has changed since"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if problems, err := b.Translate(b.Chapters[1]); err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	text := read(t, file)
	for _, want := range []string{"$ cat file\n", "return 0\n", "│ 这里 │", "即：一个方框。", "source: 0000"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	replace(t, file, "source: 0000", fmt.Sprintf("source: %x", sha256.Sum256([]byte(read(t, source)))))
	if got, _ := state(); got != "[] []" {
		t.Error(got)
	}
	replace(t, file, "```go sketch", "```text")
	if got, _ := state(); !strings.Contains(got, "fence 5 is ```go sketch in chapters/01-one/README.md") {
		t.Error(got)
	}
	replace(t, file, "```text\nwrong()\n```\n", "")
	if got, _ := state(); !strings.Contains(got, "has 6 fences, chapters/01-one/README.md has 7") {
		t.Error(got)
	}
}
