package cli

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func doctorCommand(s *session) *command {
	o := &listing{}
	return &command{
		Usage: "Tell whether this host can run containers, and what to do if not", ArgsUsage: "[OPTIONS]",
		Description: "mydocker doctor",
		Flags:       flags("", o.formatFlag()),
		Action: func(*cli.Context) error {
			_, err := engine.Open(s.Config) // makes the directories that are looked at
			findings := engine.Diagnose(s.Config)
			if err != nil {
				findings = append(findings, engine.Finding{Name: "engine", Fatal: true, Detail: err.Error()})
			}
			var text io.Writer = os.Stdout
			if err = nil; o.format != "" {
				text = io.Discard
				err = writeList(os.Stdout, o, `{{.Name}}\t{{.OK}}\t{{.Detail}}\t{{.Fix}}`, titles{"Name": "NAME", "OK": "OK", "Fatal": "FATAL", "Detail": "DETAIL", "Fix": "FIX"}, findings)
			}
			if printFindings(text, findings) && err == nil {
				err = exit(1, "%s cannot run containers on this host", name)
			}
			return err
		},
	}
}

// printFindings returns whether one of them is fatal.
func printFindings(w io.Writer, findings []engine.Finding) (fatal bool) {
	table := tabwriter.NewWriter(w, 0, 1, 2, ' ', 0)
	defer table.Flush()
	for _, f := range findings {
		answer := map[bool]string{true: "ok", false: "no"}[f.OK]
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, verdict(w, f.OK, answer), f.Detail)
		if !f.OK && f.Fix != "" { // the colours count for the table's width, in each row alike
			fmt.Fprintf(table, "\t%s\tfix: %s\n", verdict(w, f.OK, "  "), f.Fix)
		}
		fatal = fatal || !f.OK && f.Fatal
	}
	return fatal
}
