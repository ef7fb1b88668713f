// Command labs checks what readers of the book build: it runs any engine that keeps to
// a step's command line, and looks in the kernel at what it made.
//
// What it owns on the host, and what a crash leaves, package check says.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"minidocker/labs/01-namespaces"
	"minidocker/labs/02-rootfs"
	"minidocker/labs/03-cgroups"
	"minidocker/labs/check"

	"github.com/urfave/cli/v2"
)

// labs are those that there are, in their order.
var labs = []*check.Lab{&namespaces.Lab, &rootfs.Lab, &cgroups.Lab}

// commands are filled in by each command's file.
var commands []*cli.Command

func register(c *cli.Command) struct{} {
	c.HideHelpCommand = true
	c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return err } // without the whole help
	for _, flag := range c.Flags {
		if flag, ok := flag.(*cli.BoolFlag); ok {
			flag.DisableDefaultText = true
		}
	}
	commands = append(commands, c)
	return struct{}{}
}

// Exit statuses of labs, beside 0.
const (
	exitNo      = 1 // something failed, or this machine cannot run the labs
	exitUnclear = 2 // nothing can be said: a wrong command line, or this host lacks something
)

func main() {
	slices.SortFunc(commands, func(a, b *cli.Command) int { return strings.Compare(a.Name, b.Name) })
	app := &cli.App{
		Name:            "labs",
		Usage:           "check a container engine in the kernel, step by step",
		UsageText:       "labs COMMAND [ARGUMENT...]",
		Commands:        commands,
		HideHelpCommand: true,
		HideVersion:     true,
		ExitErrHandler:  func(*cli.Context, error) {}, // below
		CommandNotFound: func(_ *cli.Context, name string) {
			fmt.Fprintf(os.Stderr, "labs: no command %q; labs --help lists them\n", name)
			os.Exit(exitUnclear)
		},
	}
	err := app.Run(flagsFirst(app.Commands, os.Args))
	if err == nil {
		return
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, "labs:", text)
	}
	var status cli.ExitCoder
	if errors.As(err, &status) {
		os.Exit(status.ExitCode())
	}
	os.Exit(exitUnclear)
}

// flagsFirst puts the flags of a command line before its other words, since the library
// stops at the first of those: check 1 --engine X -> check --engine X 1.
func flagsFirst(commands []*cli.Command, args []string) []string {
	if len(args) < 3 {
		return args
	}
	at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == args[1] })
	if at < 0 {
		return args
	}
	switches := []string{"help", "h"} // flags without a value
	for _, flag := range commands[at].Flags {
		if _, ok := flag.(*cli.BoolFlag); ok {
			switches = append(switches, flag.Names()...)
		}
	}
	var flags, words []string
	for rest := args[2:]; len(rest) > 0; rest = rest[1:] {
		name := strings.TrimLeft(rest[0], "-")
		switch {
		case rest[0] == "--":
			words = append(words, rest[1:]...)
			rest = rest[:1]
		case !strings.HasPrefix(rest[0], "-"):
			words = append(words, rest[0])
		case strings.Contains(name, "=") || slices.Contains(switches, name) || len(rest) == 1:
			flags = append(flags, rest[0])
		default:
			flags = append(flags, rest[0], rest[1])
			rest = rest[1:]
		}
	}
	return slices.Concat(args[:2], flags, []string{"--"}, words)
}

// labOf finds the lab that a word of the command line names: its number, or the name of
// its directory.
func labOf(word string) (*check.Lab, error) {
	for _, lab := range labs {
		if word == fmt.Sprint(lab.Number) || word == lab.Name || word == "0"+fmt.Sprint(lab.Number) {
			return lab, nil
		}
	}
	if word == "" {
		return nil, errors.New("which lab? Its number is missing; labs list names them")
	}
	return nil, fmt.Errorf("there is no lab %q; labs list names them", word)
}

// arguments checks how many words there are beside the flags.
func arguments(c *cli.Context, least, most int) error {
	if n := c.NArg(); n < least || n > most {
		return fmt.Errorf("usage: labs %s %s", c.Command.Name, c.Command.ArgsUsage)
	}
	return nil
}
