package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"minidocker/labs/check"

	"github.com/urfave/cli/v2"
)

var _ = register(&cli.Command{
	Name:      "check",
	Usage:     "check an engine",
	ArgsUsage: "LAB --engine COMMAND [--only CHECK] [--explain] [--hold] [--format text|json] [--seed TEXT] [--here]",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "engine", Usage: "the program to check, with arguments of its own in one word: './step1', 'sudo ./engine --debug'"},
		&cli.StringFlag{Name: "only", Usage: "make this `CHECK` alone, even if what it needs does not pass"},
		&cli.BoolFlag{Name: "explain", Usage: "print the shell commands that give each answer by hand"},
		&cli.BoolFlag{Name: "hold", Usage: "with --only: leave the container there, and say how to look at it and end it"},
		&cli.StringFlag{Name: "format", Value: "text", Usage: "text or json"},
		&cli.StringFlag{Name: "seed", Usage: "names, limits and exit statuses follow from this `TEXT` (default: another one each time)"},
		&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, Usage: "how long to wait for whatever must happen"},
		&cli.BoolFlag{Name: "here", Usage: "check on this machine although it is not marked as disposable"},
	},
	Action: runCheck,
})

func runCheck(c *cli.Context) error {
	if err := arguments(c, 1, 1); err != nil {
		return err
	}
	lab, err := labOf(c.Args().First())
	if err != nil {
		return err
	}
	if c.String("engine") == "" {
		return fmt.Errorf("--engine is missing: labs check %d --engine ./step%[1]d", lab.Number)
	}
	engine, err := check.NewEngine(c.String("engine"))
	if err != nil {
		return err
	}
	if c.Bool("hold") && c.String("only") == "" {
		return errors.New("--hold leaves the container of one check: say which with --only CHECK")
	}
	if err := allowed(c.Bool("here")); err != nil {
		return err
	}
	o := check.Options{Seed: c.String("seed"), Only: c.String("only"), Hold: c.Bool("hold"), Deadline: c.Duration("timeout")}
	if o.Seed == "" {
		random := make([]byte, 4)
		rand.Read(random)
		o.Seed = hex.EncodeToString(random)
	}
	report := &check.Report{Lab: lab.Number, Title: lab.Title, Engine: engine, Seed: o.Seed}
	var finish func() error
	switch c.String("format") {
	case "text":
		text := check.Text{Writer: os.Stdout, Explain: c.Bool("explain")}
		text.Begin(report)
		o.Done = text.Result
		finish = func() error { text.End(report); return nil }
	case "json":
		finish = func() error { return report.JSON(os.Stdout) }
	default:
		return fmt.Errorf("--format is text or json, not %q", c.String("format"))
	}
	if report.Results, err = check.Run(lab, engine, o); err != nil {
		return err
	}
	if err := finish(); err != nil {
		return err
	}
	return cli.Exit("", report.Status())
}

// allowed refuses a machine on which a wrong engine could do harm.
func allowed(here bool) error {
	again := check.Quote(os.Args...)
	if os.Geteuid() != 0 {
		return fmt.Errorf("engines make namespaces, mounts and cgroups, which takes root: sudo %s", again)
	}
	if here || disposable() {
		return nil
	}
	return errors.New(strings.Join([]string{
		"this machine is not marked as disposable. An engine under test runs as root: a mistake in it can unmount, overwrite or kill things here.",
		"Best use the classroom machine (vagrant up), or another virtual machine, and mark it once: sudo touch " + mark,
		"To go ahead on this one: " + again + " --here",
	}, "\n"))
}

// mark is the file that says that a machine may be broken.
const mark = "/etc/mydocker-disposable"

func disposable() bool {
	_, err := os.Stat(mark)
	return err == nil || os.Getenv("MYDOCKER_DISPOSABLE") == "1"
}
