package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// printHelp is cli.HelpPrinter: Docker's layout. data is a *cli.App for the
// program and a *cli.Command for all below.
func printHelp(w io.Writer, _ string, data any) {
	switch d := data.(type) {
	case *cli.App:
		fmt.Fprintf(w, "Usage:  %s [OPTIONS] COMMAND\n\n%s\n", d.Name, d.Usage)
		printCommands(w, "Common Commands", d.Commands, "run exec ps images version info doctor")
		printCommands(w, "Management Commands", d.Commands, "container image system")
		printCommands(w, "Commands", d.Commands, "attach create events import inspect kill load logs rm rmi start stop wait")
		printFlags(w, "Global Options", d.Flags)
		fmt.Fprintf(w, "\nRun '%s COMMAND --help' for more information on a command.\n", d.Name)
	case *cli.Command:
		if len(d.Subcommands) > 0 {
			fmt.Fprintf(w, "Usage:  %s COMMAND\n\n%s\n", d.HelpName, d.Usage)
			printCommands(w, "Commands", d.Subcommands, "")
			fmt.Fprintf(w, "\nRun '%s COMMAND --help' for more information on a command.\n", d.HelpName)
			return
		}
		fmt.Fprintf(w, "Usage:  %s\n\n%s\n", usageLine(d.HelpName, d), d.Usage)
		if d.UsageText != "" {
			fmt.Fprintf(w, "\nAliases:\n  %s\n", d.UsageText)
		}
		if d.Description != "" {
			fmt.Fprintf(w, "\nExamples:\n  %s\n", strings.ReplaceAll(d.Description, "\n", "\n  "))
		}
		printFlags(w, "Options", d.Flags)
	}
}

// printCommands lists those of the commands that are named, or all.
func printCommands(w io.Writer, title string, commands []*cli.Command, names string) {
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, c := range commands {
		if names == "" || strings.Contains(" "+names+" ", " "+c.Name+" ") {
			fmt.Fprintf(w, "  %-11s %s\n", c.Name, c.Usage)
		}
	}
}

func printFlags(w io.Writer, title string, flags []cli.Flag) {
	table := tabwriter.NewWriter(w, 0, 1, 3, ' ', 0)
	flags = slices.Clone(flags)
	slices.SortFunc(flags, func(a, b cli.Flag) int { return strings.Compare(a.Names()[0], b.Names()[0]) })
	for _, f := range flags {
		if o, ok := f.(*option); ok && !o.hidden {
			if title != "" {
				fmt.Fprintf(table, "\n%s:\n", title)
				title = ""
			}
			fmt.Fprintln(table, o)
		}
	}
	table.Flush()
}
