package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/spf13/pflag"
	"github.com/urfave/cli/v2"
)

// arrange reads a command line with Docker's library, pflag: it gives the flags
// their values and returns what urfave/cli is to run, a command and its arguments.
//
//	-D container rm web -fv  ->  mydocker "container rm" -- web
//
// It chooses the command on the way, so that only this one is built.
func (s *session) arrange(app *cli.App, args []string) ([]string, error) {
	args, help, err := parse(&command{Flags: app.Flags, ArgsUsage: "[OPTIONS] COMMAND"}, args, false)
	if err != nil {
		return nil, err
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:], "--help")
		help = len(args) == 1
	}
	if help || len(args) == 0 {
		app.Commands = s.commandsIn("")
		return []string{name}, nil
	}
	c, rest := s.command(args)
	if c == nil {
		return nil, exit(1, "%s: unknown command: %s %s\n%s\nRun '%s --help' for more information",
			name, name, args[0], nearest(s.commandsIn(""), args[0]), name)
	}
	if rest, help, err = parse(c, rest, interspersed(c)); err != nil {
		return nil, err
	}
	app.Commands = []*cli.Command{c}
	switch isGroup := c.Subcommands != nil; {
	case isGroup && !help && len(rest) > 0:
		return nil, exit(1, "%s: unknown command: %s %s\n%s\nUsage:  %s\n\nRun '%s --help' for more information",
			name, path(c), rest[0], nearest(c.Subcommands, rest[0]), usageLine(c), path(c))
	case isGroup || help:
		sort.Sort(cli.FlagsByName(c.Flags))
		c.Action = cli.ShowSubcommandHelp
		return []string{name, c.Name}, nil
	}
	return append([]string{name, c.Name, "--"}, rest...), checkCount(c, len(rest))
}

// nearest is a line that names the command most like word, if any is.
func nearest(commands []*command, word string) string {
	found := cli.SuggestCommand(commands, word) + "\n"
	return strings.TrimPrefix(found, "Did you mean \"\"?\n")
}

// interspersed tells whether flags may follow arguments. What follows IMAGE or
// CONTAINER in run, create, exec and top is another program's.
func interspersed(c *command) bool {
	return !strings.HasSuffix(c.ArgsUsage, "[ARG...]") && !strings.HasSuffix(c.ArgsUsage, "[ps-OPTION...]")
}

// checkCount checks a command's number of arguments by its usage: a word in
// brackets may be missing, one with dots may be there more than once.
func checkCount(c *command, n int) error {
	least, most := 0, 0
	for word := range strings.FieldsSeq(strings.TrimPrefix(c.ArgsUsage, "[OPTIONS]")) {
		most++
		if word[0] != '[' {
			least++
		}
		if strings.HasSuffix(word, "...]") {
			most = math.MaxInt - 1
		}
	}
	demand, see := "requires at most "+count(most, "argument"), "Run"
	switch {
	case least <= n && n <= most:
		return nil
	case most == 0:
		demand = "accepts no arguments"
	case least == most:
		demand = "requires " + count(least, "argument")
	case n < least:
		demand, see = "requires at least "+count(least, "argument"), "See"
	}
	return exit(1, "%s: '%s' %s\n\nUsage:  %s\n\n%s '%s --help' for more information",
		name, path(c), demand, usageLine(c), see, path(c))
}

// parse gives a command's flags their values and returns its arguments. Unless
// interspersed, the first argument ends the flags.
func parse(c *command, args []string, interspersed bool) (rest []string, help bool, err error) {
	set := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
	set.SetInterspersed(interspersed)
	set.Usage = func() {}
	for _, f := range c.Flags {
		o := f.(*option)
		if added := set.VarPF(o, o.name, o.letter, o.usage); o.kind == "" {
			added.NoOptDefVal = "true"
		}
		if o.preset != "" {
			err = cmp.Or(err, o.Set(o.preset))
		}
	}
	if err = cmp.Or(err, set.Parse(args)); errors.Is(err, pflag.ErrHelp) {
		return nil, true, nil
	}
	if own := (*exitError)(nil); errors.As(err, &own) {
		return nil, false, own
	}
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		if found := cli.SuggestFlag(c.Flags, unknown.GetSpecifiedName(), true); found != "" {
			err = fmt.Errorf("%w\nDid you mean %s?", err, found)
		}
	}
	if err != nil { // Docker shows the usage and exits with 125
		err = exit(125, "%w\n\nUsage:  %s\n\nRun '%s --help' for more information", err, usageLine(c), path(c))
	}
	return set.Args(), false, err
}
