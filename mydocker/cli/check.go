package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func checkCommand(s *session) *cli.Command {
	var repair bool
	return &cli.Command{
		Name: "check", Usage: "List what a crash left on the host, and remove it",
		ArgsUsage:   "[OPTIONS]",
		Description: "mydocker system check --repair",
		Flags: []cli.Flag{
			boolean(&repair, "", "repair", "Remove what belongs to no container"),
		},
		Before: takes(0, 0),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			leaks, err := e.Check(repair)
			if left := printLeaks(os.Stdout, leaks); left > 0 && err == nil {
				hint := ""
				if !repair {
					hint = fmt.Sprintf("; %s system check --repair removes them", name)
				}
				err = exit(1, "%d %s found%s", left, plural("leak", left), hint)
			}
			return err
		}),
	}
}

// printLeaks writes a line for each and returns how many remain.
func printLeaks(w io.Writer, leaks []engine.Leak) (left int) {
	for _, l := range leaks {
		done := ""
		if l.Repaired {
			done = " (repaired)"
		} else {
			left++
		}
		fmt.Fprintf(w, "%s %s: %s%s\n", l.Kind, l.Object, l.Reason, done)
	}
	return left
}
