package cli

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func doctorCommand(s *session) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "Tell whether this host can run containers, and what to do if not",
		ArgsUsage:   "[OPTIONS]",
		Description: "mydocker doctor",
		Before:      takes(0, 0),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			if printFindings(os.Stdout, e.Doctor()) {
				return exit(1, "%s cannot run containers on this host", name)
			}
			return nil
		}),
	}
}

// printFindings returns whether one of them is fatal.
func printFindings(w io.Writer, findings []engine.Finding) (fatal bool) {
	table := tabwriter.NewWriter(w, 0, 1, 2, ' ', 0)
	defer table.Flush()
	for _, f := range findings {
		answer := "ok"
		if !f.OK {
			answer = "no"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, answer, f.Detail)
		if !f.OK && f.Fix != "" {
			fmt.Fprintf(table, "\t\tfix: %s\n", f.Fix)
		}
		fatal = fatal || !f.OK && f.Fatal
	}
	return fatal
}
