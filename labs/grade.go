package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"minidocker/labs/check"
	"minidocker/labs/grade"

	"github.com/urfave/cli/v2"
)

var _ = register(&cli.Command{
	Name:      "grade",
	Usage:     "grade one engine, or a class",
	ArgsUsage: "--engine COMMAND | --batch DIR [--lab LAB]... [--seed STUDENT] [--format text|json|junit|csv] [--output FILE] [--top DIRECTORY] [--here]",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "engine", Usage: "a program that is built already"},
		&cli.StringFlag{Name: "batch", Usage: "a `DIR` with a directory for each student, each with the source of an engine"},
		&cli.StringSliceFlag{Name: "lab", Usage: "this `LAB` only; may be given more than once"},
		&cli.StringFlag{Name: "seed", Usage: "names, limits and exit statuses follow from this `STUDENT` (with --batch: from the directory's name)"},
		&cli.StringFlag{Name: "format", Value: "text", Usage: "text, json, junit or csv"},
		&cli.StringFlag{Name: "top", Usage: "the project's `DIRECTORY`, against which submissions are built (default: found from here)"},
		&cli.StringFlag{Name: "output", Usage: "write to this `FILE`"},
		&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, Usage: "how long to wait for whatever must happen"},
		&cli.BoolFlag{Name: "here", Usage: "grade on this machine although it is not marked as disposable"},
	},
	Action: runGrade,
})

func runGrade(c *cli.Context) (err error) {
	if err := arguments(c, 0, 0); err != nil {
		return err
	}
	if (c.String("engine") == "") == (c.String("batch") == "") {
		return errors.New("what to grade? Either --engine COMMAND or --batch DIR")
	}
	if !slices.Contains(grade.Formats, c.String("format")) {
		return fmt.Errorf("--format is one of %v, not %q", grade.Formats, c.String("format"))
	}
	if c.String("batch") != "" && c.String("seed") != "" {
		return errors.New("--batch takes the names of the directories as seeds; --seed goes with --engine")
	}
	g := grade.Grader{Labs: labs, Options: check.Options{Deadline: c.Duration("timeout")}}
	if words := c.StringSlice("lab"); len(words) > 0 {
		g.Labs = nil
		for _, word := range words {
			lab, err := labOf(word)
			if err != nil {
				return err
			}
			g.Labs = append(g.Labs, lab)
		}
	}
	if err := allowed(c.Bool("here")); err != nil {
		return err
	}
	var reports []*grade.Report
	if command := c.String("engine"); command != "" {
		reports = []*grade.Report{g.Engine(command, c.String("seed"))}
	} else {
		if g.Top, err = findTop(c.String("top")); err != nil {
			return err
		}
		err := g.Batch(c.String("batch"), func(r *grade.Report) {
			passed, graded, _ := r.Score()
			fmt.Fprintf(os.Stderr, "%s: %d of %d\n", r.Student, passed, graded) // a class takes a while
			reports = append(reports, r)
		})
		if err != nil {
			return err
		}
	}
	if err := writeReports(c.String("output"), c.String("format"), reports); err != nil {
		return err
	}
	return cli.Exit("", gradeStatus(reports))
}

func writeReports(path, format string, reports []*grade.Report) error {
	out := io.Writer(os.Stdout)
	if path != "" {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	return grade.Write(out, format, reports)
}

// gradeStatus is 0 if every check of every submission passed.
func gradeStatus(reports []*grade.Report) int {
	status := 0
	for _, r := range reports {
		passed, graded, _ := r.Score()
		if r.Ungraded() {
			return exitUnclear
		}
		if passed < graded {
			status = exitNo
		}
	}
	return status
}
