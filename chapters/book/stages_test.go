package main

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestImportOrder asserts that the order of the book is the order of imports: a file
// imports what was introduced in its chapter or before.
func TestImportOrder(t *testing.T) {
	b := openBook(t)
	sources := engine(t, b)
	introduced := map[string]int{} // the chapter of a package's first file
	for _, s := range sources {
		pkg := path.Dir(s.Path)
		if first, ok := introduced[pkg]; !ok || s.Chapter < first {
			introduced[pkg] = s.Chapter
		}
	}
	for _, s := range sources {
		for _, pkg := range s.Imports {
			if introduced[pkg] > s.Chapter {
				t.Errorf("%s (chapter %d) imports %s (chapter %d)", s.Path, s.Chapter, pkg, introduced[pkg])
			}
		}
	}
}

func engine(t *testing.T, b *Book) []Source {
	t.Helper()
	sources, err := b.Sources(plan)
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// TestStages builds what a reader has after each chapter, the files up to it and no
// others, and runs it.
func TestStages(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("stages are built with go, which this machine does not have (the test machine has binaries only)")
	}
	b := openBook(t)
	sources := engine(t, b)
	last := slices.MaxFunc(sources, func(a, b Source) int { return a.Chapter - b.Chapter }).Chapter
	for chapter := 0; chapter <= last; chapter++ {
		t.Run(strconv.Itoa(chapter), func(t *testing.T) {
			stage := t.TempDir()
			for _, s := range sources {
				if s.Chapter <= chapter {
					copyTo(t, b.Top, stage, append(s.embedded(b.Top), s.Path)...)
				}
			}
			copyTo(t, b.Top, stage, "go.mod", "go.sum")
			program, _ := filepath.Glob(filepath.Join(b.Top, "chapters", strconv.Itoa(chapter/10)+strconv.Itoa(chapter%10)+"-*", "main.go"))
			for _, file := range program {
				name, _ := filepath.Rel(b.Top, file)
				copyTo(t, b.Top, stage, name)
			}
			if chapter == 0 && len(program) == 0 {
				return // nothing of the engine yet
			}
			vet := exec.Command("go", "vet", "-tags", "urfave_cli_no_docs", "./...")
			vet.Dir, vet.Env = stage, append(os.Environ(), "GOFLAGS=-mod=mod -trimpath", "CGO_ENABLED=0") // -trimpath: what is the same in two stages is compiled once
			if out, err := vet.CombinedOutput(); err != nil {
				t.Fatalf("stage %d: %v\n%s", chapter, err, out)
			}
			if len(program) == 1 {
				runStage(t, stage, chapter)
			}
		})
	}
}

// runStage has an engine run a command and looks whether its exit status comes through.
func runStage(t *testing.T, stage string, chapter int) {
	program := filepath.Join(stage, "engine")
	found, _ := filepath.Glob(filepath.Join(stage, "chapters", "*"))
	if err := build(stage, program, "./chapters/"+filepath.Base(found[0]), "GOFLAGS=-mod=mod -trimpath"); err != nil {
		t.Fatal(err)
	}
	if why := mayRun(); why != "" {
		t.Skip("is built, and not run: ", why)
	}
	args := []string{"run"}
	if chapter >= 2 {
		s, err := NewSetups("../..")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		rootfs := filepath.Join(s.dir, "rootfs")
		if err := s.unpack(rootfs); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--rootfs", rootfs)
	}
	engine := exec.Command(program, append(args, "sh", "-c", "exit 7")...)
	out, err := engine.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("stage %d: %s: %v, expected exit status 7\n%s", chapter, strings.Join(engine.Args, " "), err, out)
	}
}

// embedded lists the files that are compiled into a source's package.
func (s Source) embedded(top string) (files []string) {
	for _, pattern := range s.Embeds {
		found, _ := filepath.Glob(filepath.Join(top, path.Dir(s.Path), pattern))
		for _, file := range found {
			name, _ := filepath.Rel(top, file)
			files = append(files, name)
		}
	}
	return files
}

// copyTo copies files and directories to the same places below another top.
func copyTo(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(to, path.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := command("cp", "-r", filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSize asserts that the engine stays readable (lines of Go without tests).
func TestSize(t *testing.T) {
	const limit = 40000
	total := 0
	for _, s := range engine(t, openBook(t)) {
		total += s.Lines
	}
	t.Logf("%d lines", total)
	if total == 0 || total >= limit {
		t.Errorf("the engine has %d lines, the limit is %d", total, limit)
	}
}
