package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/moby/term"
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
			config, err := s.configure()
			if err == nil {
				_, err = engine.Open(config) // makes the directories that are looked at
			}
			findings := engine.Diagnose(config)
			if err != nil {
				findings = append(findings, engine.Finding{Name: "engine", Fatal: true, Detail: err.Error()})
			}
			text, err := sentences(o, `{{.Name}}\t{{.OK}}\t{{.Detail}}\t{{.Fix}}`, titles{"Name": "NAME", "OK": "OK", "Fatal": "FATAL", "Detail": "DETAIL", "Fix": "FIX"}, findings)
			if printFindings(text, findings) && err == nil {
				err = exit(1, "%s cannot run containers on this host", name)
			}
			return err
		},
	}
}

// sentences is where a report goes in words: nowhere, if the user has asked for a
// format, in which rows are written at once.
func sentences[Row any](o *listing, columns string, head titles, rows []Row) (io.Writer, error) {
	if o.format == "" {
		return os.Stdout, nil
	}
	return io.Discard, writeList(os.Stdout, o, columns, head, rows)
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

func checkCommand(s *session) *command {
	o, repair := &listing{}, false
	return &command{
		Usage: "List what a crash left on the host, and remove it", ArgsUsage: "[OPTIONS]",
		Description: "mydocker system check --repair",
		Flags:       flags("", o.formatFlag(), boolean(&repair, "repair", "Remove what belongs to no container")),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			leaks, err := e.Check(repair)
			text, ferr := sentences(o, `{{.Kind}}\t{{.Object}}\t{{.Reason}}\t{{.Repaired}}`, titles{"Kind": "KIND", "Object": "OBJECT", "Reason": "REASON", "Repaired": "REPAIRED"}, leaks)
			left := printLeaks(text, leaks)
			if err = errors.Join(err, ferr); err == nil && left > 0 {
				err = exit(1, "%s found; %s system check --repair removes what nobody uses", count(left, "leak"), name)
			}
			return err
		}),
	}
}

// printLeaks writes a line for each and returns how many remain.
func printLeaks(w io.Writer, leaks []engine.Leak) (left int) {
	for _, l := range leaks {
		done := " (repaired)"
		if !l.Repaired {
			done = ""
			left++
		}
		fmt.Fprintf(w, "%s %s: %s%s\n", verdict(w, l.Repaired, l.Kind), l.Object, l.Reason, done)
	}
	return left
}

// verdict is good news in green or bad news in red (ECMA-48, SGR), if w is a terminal
// and the user did not refuse colours (https://no-color.org).
func verdict(w io.Writer, good bool, text string) string {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(file.Fd()) {
		return text
	}
	return map[bool]string{true: "\x1b[32m", false: "\x1b[31m"}[good] + text + "\x1b[0m"
}
