// Book holds the text and the code of the book together.
//
//	go run ./chapters/book check chapters/01-namespaces    everything that is tested of a chapter
//	go run ./chapters/book                                  writes what is generated: make book
//	go run ./chapters/book -n                               only tells what it would write
//
// A writer's way: write the ``` lines of excerpts and leave them empty; run it without
// arguments (or with the chapter's directory), and they are filled; run check until it is
// silent. check runs the transcripts as root with MYDOCKER_DISPOSABLE=1, else it only says
// that it does not:
//
//	sudo env MYDOCKER_DISPOSABLE=1 "PATH=$PATH" go run ./chapters/book check chapters/01-namespaces
//
// What is written (the forms of a chapter are in rules.go):
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
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "supervise" {
		superviseMain()
	}
	dry := flag.Bool("n", false, "write nothing, tell what differs")
	renew := flag.Bool("renew", false, "record all shown transcripts anew")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: book [-n] [-renew] [CHAPTER-DIRECTORY...]\n       book check [CHAPTER-DIRECTORY...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	dirs, check := flag.Args(), flag.Arg(0) == "check"
	if check {
		dirs = dirs[1:]
	}
	problems, err := run(dirs, check, *dry, *renew)
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

// superviseMain is main for the process that looks after one transcript.
func superviseMain() {
	limit, err := time.ParseDuration(os.Args[3])
	if err == nil {
		err = supervise(os.Args[2], limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "supervise:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run does what the command line says to the chapters in dirs, or to all.
func run(dirs []string, check, dry, renew bool) ([]Problem, error) {
	top, err := findTop()
	if err != nil {
		return nil, err
	}
	b, err := OpenBook(top, plan)
	if err != nil {
		return nil, err
	}
	chapters, err := b.choose(dirs)
	if err != nil {
		return nil, err
	}
	s, err := NewSetups(top)
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
	var all []Problem
	for _, c := range chapters {
		var problems []Problem
		switch {
		case check:
			problems, err = b.checkChapter(c, s)
		case dry:
			problems = b.CheckExcerpts(c)
		default:
			problems, err = b.Write(c)
			if err == nil && mayRun() == "" {
				var more []Problem
				more, err = b.Record(c, s, renew)
				problems = append(problems, more...)
			}
		}
		all = append(all, problems...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// findTop finds the project's directory, at or above the current one.
func findTop() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "chapters/book/plan.go")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", fmt.Errorf("no chapters/book here or above: run it in the project's directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// choose finds the chapters by their directories, given in any way a shell completes them.
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

// checkChapter does all that the tests do for one chapter.
func (b *Book) checkChapter(c *Chapter, s *Setups) ([]Problem, error) {
	problems := slices.Concat(c.Problems, b.CheckStructure(c), b.CheckLinks(c.Document), b.CheckExcerpts(c))
	files, err := b.CheckFiles()
	if err != nil {
		return problems, err
	}
	for _, p := range files {
		if p.Path != planFile { // its entries go when the chapter is there for good
			problems = append(problems, p)
		}
	}
	if why := mayRun(); why != "" {
		fmt.Printf("%s: transcripts are not run: %s\n", c.Path, why)
		return problems, nil
	}
	for _, f := range c.Fences {
		block, err := ParseBlock(f)
		if !f.Is("console") || err != nil {
			continue
		}
		if why := block.Skipped(); why != "" {
			if block.Kind != "show" {
				fmt.Printf("%s:%d: not run: %s\n", c.Path, f.Line, why)
			}
			continue
		}
		outcome, err := s.Run(block)
		if err != nil {
			problems = append(problems, Problem{c.Path, f.Line, err.Error()})
			continue
		}
		problems = append(problems, block.Compare(c.Path, outcome)...)
	}
	return problems, nil
}

// mayRun tells why transcripts cannot be run, "" if they can.
func mayRun() string {
	switch {
	case os.Getenv("MYDOCKER_DISPOSABLE") != "1":
		return "they change the machine; on one that may be broken set MYDOCKER_DISPOSABLE=1"
	case os.Geteuid() != 0:
		return "they need root"
	}
	return ""
}
