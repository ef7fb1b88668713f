package cli

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"minidocker/mydocker/engine"
)

func topCommand(s *session) *command {
	return &command{
		Usage: "Display the running processes of a container", ArgsUsage: "CONTAINER [ps OPTIONS]",
		Description: "mydocker top web -o pid,pcpu,args",
		Action: s.action(func(e *engine.Engine, args []string) error {
			top, err := e.Top(args[0], args[1:])
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 20, 1, 3, ' ', 0)
			for _, row := range append([][]string{top.Titles}, top.Processes...) {
				fmt.Fprintln(w, strings.Join(row, "\t"))
			}
			return w.Flush()
		}),
	}
}
