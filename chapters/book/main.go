// Book holds the text and the code of the book together.
//
//	go run ./chapters/book check chapters/01-namespaces    everything that is tested of a chapter
//	go run ./chapters/book                                  writes what is generated: make book
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
//     To renew one, take its line away. What is shown may be shortened by hand afterwards.
//   - README.zh.md: commands and excerpts are those of README.md.
//
// A ```console block is run by one bash as root, in a directory that is empty but for what its
// setup names (SetupNames in setup.go), with a sudo that just runs. It is in a mount namespace of
// its own whose / is shared, as systemd has it: what it mounts is never seen on the machine (and
// /proc/1/ns/mnt is another namespace than its own). Output of a command in the background belongs
// to that command. Messages of the shell are as at a terminal: "bash: nosuch: command not found",
// "Killed"; notices like "[1]+ Done" are left out. A block has 90 seconds, and must leave no
// process, mount or cgroup. One with mydocker is in a network namespace of its own, too, where
// there is nothing but lo and what mydocker makes.
//
// On the host the program owns directories /var/tmp/book-* while it runs, which a kill -9 leaves.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "supervise" {
		superviseMain()
	}
	problems, err := run(os.Args[1:])
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

// run does what the command line says: "[check] [CHAPTER-DIRECTORY...]".
func run(args []string) ([]Problem, error) {
	b, err := OpenBook(".")
	if err != nil {
		return nil, fmt.Errorf("%w: run it in the project's directory", err)
	}
	checking := len(args) > 0 && args[0] == "check"
	if checking {
		args = args[1:]
	}
	chapters, err := b.choose(args)
	if err != nil {
		return nil, err
	}
	if checking {
		return nil, check(chapters)
	}
	return b.update(chapters)
}

// update writes what is generated in the chapters.
func (b *Book) update(chapters []*Chapter) (all []Problem, err error) {
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
		problems, err := b.Write(c)
		all = append(all, problems...)
		if err == nil && mayRun() == "" {
			problems, err = b.Record(c, s)
			all = append(all, problems...)
		}
		if err != nil {
			return all, err
		}
		problems, err = b.Translate(c)
		all = append(all, problems...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// check runs the tests of some chapters.
func check(chapters []*Chapter) error {
	pattern := ""
	for _, c := range chapters {
		pattern += "|" + regexp.QuoteMeta(path.Base(c.Dir))
	}
	tests := exec.Command("go", "test", "-tags", "urfave_cli_no_docs", "-count=1", "-v", "-run", "^TestChapter$/^("+pattern[1:]+")$", "./chapters/book")
	tests.Stdout, tests.Stderr = os.Stdout, os.Stderr
	return tests.Run()
}

// choose finds chapters by their directories, given in any way a shell completes them;
// all if none is given.
func (b *Book) choose(dirs []string) (chosen []*Chapter, err error) {
	if len(dirs) == 0 {
		return b.Chapters, nil
	}
	for _, dir := range dirs {
		name := path.Base(strings.TrimSuffix(dir, "/README.md"))
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
