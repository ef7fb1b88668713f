package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"minidocker/mydocker/engine"
)

func checkCommand(s *session) *command {
	o, repair := &listing{}, false
	return &command{
		Usage: "List what a crash left on the host, and remove it", ArgsUsage: "[OPTIONS]",
		Description: "mydocker system check --repair",
		Flags:       flags("", o.formatFlag(), boolean(&repair, "repair", "Remove what belongs to no container")),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			leaks, err := e.Check(repair)
			var text io.Writer = os.Stdout
			if o.format != "" {
				text = io.Discard
				err = errors.Join(err, writeList(os.Stdout, o, `{{.Kind}}\t{{.Object}}\t{{.Reason}}\t{{.Repaired}}`, titles{"Kind": "KIND", "Object": "OBJECT", "Reason": "REASON", "Repaired": "REPAIRED"}, leaks))
			}
			left := printLeaks(text, leaks)
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
		fmt.Fprintf(w, "%s %s: %s%s\n", verdict(w, l.Repaired, l.Kind), l.Object, l.Reason, done)
	}
	return left
}
