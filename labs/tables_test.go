package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"minidocker/labs/check"
)

// TestTables reads what the labs say of themselves. It changes nothing on the host.
func TestTables(t *testing.T) {
	for i, lab := range labs {
		if lab.Number != i+1 || !strings.HasPrefix(lab.Name, "0") || len(lab.Grammar) == 0 {
			t.Errorf("lab %d is number %d, %q", i+1, lab.Number, lab.Name)
		}
		var names []string
		for _, c := range lab.Checks {
			if slices.Contains(names, c.Name) || !regexp.MustCompile("^[a-z]+(-[a-z]+)*$").MatchString(c.Name) {
				t.Errorf("lab %d: name %q", lab.Number, c.Name)
			}
			for _, need := range c.Needs {
				if !slices.Contains(names, need) {
					t.Errorf("lab %d: %s needs %s, which is no check before it", lab.Number, c.Name, need)
				}
			}
			names = append(names, c.Name)
			if len(c.Hints) < 2 || len(c.Explain) == 0 || c.Title == "" {
				t.Errorf("lab %d: %s: %d hints, %d lines to explain, title %q", lab.Number, c.Name, len(c.Hints), len(c.Explain), c.Title)
			}
			if err := section(c.Section); err != nil {
				t.Errorf("lab %d: %s: %v", lab.Number, c.Name, err)
			}
		}
		for name := range lab.Before {
			if !slices.Contains(names, name) {
				t.Errorf("lab %d: Before has %s, which is no check", lab.Number, name)
			}
		}
		for name, reason := range lab.Docker {
			if !slices.Contains(names, name) || reason == "" {
				t.Errorf("lab %d: Docker has %s: %q", lab.Number, name, reason)
			}
		}
		for _, m := range lab.Mutants {
			source, err := os.ReadFile(filepath.Join(top(), m.File))
			if err != nil {
				t.Error(err)
				continue
			}
			if n := strings.Count(string(source), m.Old); n != 1 {
				t.Errorf("lab %d: mutant %q: its text is %d times in %s", lab.Number, m.Name, n, m.File)
			}
			for _, name := range append(m.May, m.Fails) {
				if !slices.Contains(names, name) {
					t.Errorf("lab %d: mutant %q names %s, which is no check", lab.Number, m.Name, name)
				}
			}
		}
	}
}

// TestReadmes: each check is spoken of in its lab's README, and the probe is shown whole.
func TestReadmes(t *testing.T) {
	for _, lab := range labs {
		text, err := os.ReadFile(filepath.Join(top(), "labs", lab.Name, "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, c := range lab.Checks {
			if !strings.Contains(string(text), "`"+c.Name+"`") {
				t.Errorf("labs/%s/README.md does not name `%s`", lab.Name, c.Name)
			}
		}
		if lab.Number == 1 && !strings.Contains(string(text), "```sh\n"+check.Probe+"```\n") {
			t.Error("labs/01-namespaces/README.md shows another probe than labs/check/probe.sh")
		}
		for _, line := range lab.Grammar {
			if !strings.Contains(string(text), line) {
				t.Errorf("labs/%s/README.md does not have the grammar: %s", lab.Name, line)
			}
		}
	}
}

// section checks that a chapter has the heading that a link leads to.
func section(link string) error {
	file, anchor, _ := strings.Cut(link, "#")
	text, err := os.ReadFile(filepath.Join(top(), file))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			if strings.ReplaceAll(name, " ", "-") == anchor {
				return nil
			}
		}
	}
	return &fs.PathError{Op: "find section", Path: link, Err: errors.New("no such heading")}
}
