// Book holds the text and the code of the book together.
//
//	go run ./chapters/book check chapters/01-namespaces    everything that is tested of a chapter
//	go run ./chapters/book                                  writes what is generated: make book
//	go run ./chapters/book -n                               only tells what it would write
//
// A writer's way: write the ``` lines of excerpts and leave them empty; run it without
// arguments (or with the chapter's directory), and they are filled; run check, which is go
// test for one chapter, until it is content. Transcripts are run by root with
// MYDOCKER_DISPOSABLE=1, on a machine that may break:
//
//	sudo env MYDOCKER_DISPOSABLE=1 "PATH=$PATH" go run ./chapters/book check chapters/01-namespaces
//
// What is written (the form of a chapter is in rules_test.go):
//
//   - Excerpts: ```go FILE SYMBOL (Func, Type, Type.Method, a constant or variable: a name in a
//     group is the group), ```go FILE #region (between "// #region" and "// /region"), ```go FILE.
//     Any language will do, ```sh labs/demo.sh too. first/main.go and main.go are the chapter's.
//   - main.diff: what the chapter changes in main.go of the chapter before.
//   - ```console show, as root with MYDOCKER_DISPOSABLE=1: those without a line "recorded" below.
//     To renew one, take its line away, or all with -renew. Lines may be cut out by hand afterwards.
//   - README.zh.md: commands and excerpts are those of README.md.
//
// A ```console block is run by one bash as root, in a directory that is empty but for what its
// setup names (SetupNames in setup.go), with a sudo that just runs. It is in a mount namespace of
// its own whose / is shared, as systemd has it: what it mounts is never seen on the machine (and
// /proc/1/ns/mnt is another namespace than its own). Output of a command in the background belongs
// to that command. Messages of the shell are as at a terminal: "bash: nosuch: command not found",
// "Killed"; notices like "[1]+ Done" are left out. A block has 90 seconds, and must leave no
// process, mount or cgroup.
//
// On the host the program owns directories /var/tmp/book-* while it runs, which a kill -9 leaves.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "supervise" {
		superviseMain()
	}
	dry := flag.Bool("n", false, "write nothing, tell what would be written")
	renew := flag.Bool("renew", false, "record all shown transcripts anew")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: book [-n] [-renew] [CHAPTER-DIRECTORY...]\n       book check CHAPTER-DIRECTORY...")
		flag.PrintDefaults()
	}
	flag.Parse()
	problems, err := run(flag.Args(), *dry, *renew)
	for _, problem := range problems {
		fmt.Println(problem)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "book:", err)
	}
	if err != nil || len(problems) > 0 {
		os.Exit(1)
	}
}

func run(args []string, dry, renew bool) ([]Problem, error) {
	top, err := findTop()
	if err != nil {
		return nil, err
	}
	b, err := OpenBook(top)
	if err != nil {
		return nil, err
	}
	if len(args) > 0 && args[0] == "check" {
		chapters, err := b.choose(args[1:])
		if err != nil {
			return nil, err
		}
		return nil, check(top, chapters)
	}
	chapters, err := b.choose(args)
	if err != nil {
		return nil, err
	}
	return b.update(chapters, dry, renew)
}

// update writes what is generated in the chapters.
func (b *Book) update(chapters []*Chapter, dry, renew bool) (all []Problem, err error) {
	s, err := NewSetups(b.Top)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-interrupted
		s.Close()
		os.Exit(130)
	}()
	for _, c := range chapters {
		problems, err := b.Write(c, dry)
		all = append(all, problems...)
		if err == nil && !dry && mayRun() == "" {
			problems, err = b.Record(c, s, renew)
			all = append(all, problems...)
		}
		if err != nil {
			return all, err
		}
		problems, err = b.Translate(c, dry)
		all = append(all, problems...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// check runs the tests of some chapters.
func check(top string, chapters []*Chapter) error {
	pattern := ""
	for _, c := range chapters {
		pattern += "|" + regexp.QuoteMeta(path.Base(c.Dir))
	}
	tests := exec.Command("go", "test", "-tags", "urfave_cli_no_docs", "-count=1", "-v", "-run", "^TestChapter$/^("+pattern[1:]+")$", "./chapters/book")
	tests.Dir, tests.Stdout, tests.Stderr = top, os.Stdout, os.Stderr
	return tests.Run()
}

// findTop finds the project's directory, at or above the current one.
func findTop() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "chapters/book")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", fmt.Errorf("no chapters/book here or above: run it in the project's directory")
		}
	}
	return "", err
}

// choose finds chapters by their directories, given in any way a shell completes them;
// all if none is given.
func (b *Book) choose(dirs []string) (chosen []*Chapter, err error) {
	if len(dirs) == 0 {
		return b.Chapters, nil
	}
	for _, dir := range dirs {
		name := path.Base(dir)
		if name == "README.md" {
			name = path.Base(path.Dir(dir))
		}
		i := slices.IndexFunc(b.Chapters, func(c *Chapter) bool { return path.Base(c.Dir) == name })
		if i < 0 {
			return nil, fmt.Errorf("%s is no chapter with a README.md", dir)
		}
		chosen = append(chosen, b.Chapters[i])
	}
	return chosen, nil
}

// mayRun tells why transcripts cannot be run, "" if they can.
func mayRun() string {
	switch {
	case os.Getenv("MYDOCKER_DISPOSABLE") != "1":
		return "they change the machine; on one that may break set MYDOCKER_DISPOSABLE=1"
	case os.Geteuid() != 0:
		return "they need root"
	}
	return ""
}
