package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain has the test binary play the supervisor of a transcript, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "supervise" {
		superviseMain()
	}
	os.Exit(m.Run())
}

func openBook(t *testing.T) *Book {
	t.Helper()
	b, err := OpenBook("../..")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func report(t *testing.T, problems []Problem) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

// TestChapter holds each chapter to its form and to the source, and runs its transcripts.
func TestChapter(t *testing.T) {
	b := openBook(t)
	var setups *Setups
	if mayRun() == "" {
		var err error
		if setups, err = NewSetups(b.Top); err != nil {
			t.Fatal(err)
		}
		defer setups.Close()
	}
	files, err := b.CheckFiles(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.Chapters {
		t.Run(path.Base(c.Dir), func(t *testing.T) {
			t.Run("form", func(t *testing.T) {
				report(t, slices.Concat(c.Problems, b.CheckStructure(c), b.CheckLinks(c.Document)))
			})
			t.Run("files", func(t *testing.T) { report(t, of(c.Path, files)) })
			t.Run("generated", func(t *testing.T) { report(t, b.CheckGenerated(c)) })
			t.Run("translations", func(t *testing.T) {
				problems, warnings, err := b.CheckTranslations(c)
				if err != nil {
					t.Fatal(err)
				}
				for _, warning := range warnings {
					fmt.Println("warning:", warning)
				}
				report(t, problems)
			})
			for _, f := range c.Fences {
				if block, err := ParseBlock(f); f.Is("console") && err == nil && block.Kind != "show" {
					t.Run(fmt.Sprintf("line %d", f.Line), func(t *testing.T) { testTranscript(t, c, block, setups) })
				}
			}
		})
	}
}

// of are the problems of a file.
func of(file string, problems []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return p.Path != file })
}

func testTranscript(t *testing.T, c *Chapter, block Block, setups *Setups) {
	if os.Getenv("MYDOCKER_DISPOSABLE") == "1" && os.Geteuid() != 0 {
		t.Fatal("MYDOCKER_DISPOSABLE=1, but transcripts need root")
	}
	if why := mayRun(); why != "" {
		t.Skip("transcripts are not run: ", why)
	}
	if version := cgroupVersion(); block.Cgroup != 0 && block.Cgroup != version {
		t.Skipf("for cgroup v%d, here is v%d", block.Cgroup, version)
	}
	if block.Kind == "danger" && os.Getenv("MYDOCKER_TEST_DANGER") != "1" {
		t.Skip("can harm the machine; in the test machine set MYDOCKER_TEST_DANGER=1")
	}
	outcome, err := setups.Run(block)
	if errors.Is(err, ErrCannot) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%s:%d: %v", c.Path, block.Line, err)
	}
	report(t, block.Compare(c.Path, outcome))
}

// cgroupVersion is 2 where all controllers are in one tree, else 1.
func cgroupVersion() int {
	var fs unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		return 2
	}
	return 1
}

// CheckGenerated tells which excerpts are not as the source is, and whether main.diff is
// the difference to the chapter before.
func (b *Book) CheckGenerated(c *Chapter) []Problem {
	changes, problems := b.Excerpts(c.Document)
	problems = append(problems, differing(c.Document, changes)...)
	file, want, err := b.MainDiff(c)
	if err != nil {
		return append(problems, Problem{file, 0, err.Error()})
	}
	if !slices.Equal(b.lines(file), want) {
		problems = append(problems, Problem{file, 0, "is not the difference between the two main.go; write it anew: make book"})
	}
	return problems
}

// CheckTranslations does so for what a chapter's translations have from it. That one may
// be out of date is a warning only.
func (b *Book) CheckTranslations(c *Chapter) (problems []Problem, warnings []string, err error) {
	translations, err := b.translations(c)
	for _, tr := range translations {
		changes, more := tr.changes(c.Document)
		problems = slices.Concat(problems, more, differing(tr.Document, changes), b.CheckLinks(tr.Document))
		if tr.stale != "" {
			warnings = append(warnings, tr.stale)
		}
	}
	return problems, warnings, err
}

func differing(d *Document, changes []Change) (problems []Problem) {
	for _, change := range changes {
		edits, _ := Align(d.Lines[change.Begin-1:change.End-1], change.Lines, equal, never)
		problems = append(problems, Problem{d.Path, change.Begin, change.What + " differs (-: here, +: there); write it anew: make book" + shown(edits)})
	}
	return problems
}

func equal(a, b string) bool { return a == b }

func never(string) bool { return false }

// TestFiles wants each file of the engine to have one chapter.
func TestFiles(t *testing.T) {
	b := openBook(t)
	problems, err := b.CheckFiles(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.ContainsFunc(b.Chapters, func(c *Chapter) bool { return c.Path == p.Path }) { // that is TestChapter's
			t.Error(p)
		}
	}
}

// TestLinks follows the links of all other texts.
func TestLinks(t *testing.T) {
	b := openBook(t)
	texts := []string{"README.md"}
	for _, pattern := range []string{"chapters/*.md", "labs/*.md", "labs/*/*.md", "vagrant/*.md", "tests/*/*.md"} {
		found, _ := filepath.Glob(filepath.Join(b.Top, pattern))
		for _, file := range found {
			name, _ := filepath.Rel(b.Top, file)
			texts = append(texts, name)
		}
	}
	for _, text := range texts {
		d, err := ReadDocument(b.Top, text)
		if err != nil {
			t.Error(err)
			continue
		}
		report(t, b.CheckLinks(d))
	}
}
