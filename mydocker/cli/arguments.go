package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
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
		if !help && !s.version {
			app.Writer = os.Stderr
		}
		app.Commands = s.commandsIn("")
		return []string{name}, nil
	}
	c, rest := s.command(args)
	if c == nil {
		return nil, exit(1, "%s: unknown command: %s %s%s\n\nRun '%s --help' for more information",
			name, name, args[0], nearest(args[0], `"`, namesOf(s.commandsIn(""))), name)
	}
	if rest, help, err = parse(c, rest, interspersed(c)); err != nil {
		return nil, err
	}
	app.Commands = []*cli.Command{c}
	switch isGroup := c.Subcommands != nil; {
	case isGroup && !help && len(rest) > 0:
		return nil, exit(1, "%s: unknown command: %s %s%s\n\nUsage:  %s\n\nRun '%s --help' for more information",
			name, path(c), rest[0], nearest(rest[0], `"`, namesOf(c.Subcommands)), usageLine(c), path(c))
	case isGroup || help:
		if !help {
			app.Writer = os.Stderr
		}
		sort.Sort(cli.FlagsByName(c.Flags))
		c.Action = cli.ShowSubcommandHelp
		return []string{name, c.Name}, nil
	}
	return append([]string{name, c.Name, "--"}, rest...), checkCount(c, len(rest))
}

// nearest is a further line that names the word most like what was typed, if one is near.
func nearest(typed, quote string, words []string) string {
	best, found := 3, ""
	for _, word := range words {
		if d := distance(typed, word); d < best && d < len(word) {
			best, found = d, "\nDid you mean "+quote+word+quote+"?"
		}
	}
	return found
}

// distance is how many letters must be added or taken away to make b of a: a letter
// left out is likelier than another in its place.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			next := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				next = diagonal
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

func namesOf(commands []*command) (names []string) {
	for _, c := range commands {
		names = append(names, c.Name)
	}
	return names
}

// arguments are the words for them in a command's usage. A flag among another
// program's arguments is that program's, but in top's usage that is not to be seen.
func arguments(c *command) []string {
	line, _, _ := strings.Cut(strings.TrimPrefix(c.ArgsUsage, "[OPTIONS]"), "\n")
	return strings.Fields(strings.Replace(line, "[ps OPTIONS]", "[ARG...]", 1))
}

// interspersed tells whether flags may follow arguments. What follows IMAGE or
// CONTAINER in run, create, exec and top is another program's.
func interspersed(c *command) bool { return !slices.Contains(arguments(c), "[ARG...]") }

// checkCount checks a command's number of arguments by its usage: a word in
// brackets may be missing, one with dots may be there more than once.
func checkCount(c *command, n int) error {
	least, most := 0, 0
	for _, word := range arguments(c) {
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
	case most < math.MaxInt-1 && least > 0:
		demand = fmt.Sprintf("requires at least %d and at most %s", least, count(most, "argument"))
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
		if own.code == 125 {
			return nil, false, withHelp(own.err, c.Name)
		}
		return nil, false, own
	}
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		var names []string
		for _, f := range c.Flags {
			names = append(names, "--"+f.(*option).name)
		}
		err = fmt.Errorf("%w%s", err, nearest("--"+unknown.GetSpecifiedName(), "", names))
	}
	if err != nil { // Docker shows the usage and exits with 125
		err = exit(125, "%w\n\nUsage:  %s\n\nRun '%s --help' for more information", err, usageLine(c), path(c))
	}
	return set.Args(), false, err
}
