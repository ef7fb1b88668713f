package cli

import (
	"fmt"
	"io"
	"os"

	"minidocker/mydocker/engine"
)

func checkCommand(s *session) *command {
	var repair bool
	return &command{
		Usage: "List what a crash left on the host, and remove it", ArgsUsage: "[OPTIONS]",
		Description: "mydocker system check --repair",
		Flags:       flags("", boolean(&repair, "repair", "Remove what belongs to no container")),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			leaks, err := e.Check(repair)
			left := printLeaks(os.Stdout, leaks)
			if err == nil && left > 0 {
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
		fmt.Fprintf(w, "%s %s: %s%s\n", l.Kind, l.Object, l.Reason, done)
	}
	return left
}
