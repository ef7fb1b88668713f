package cli

import (
	"fmt"

	"minidocker/mydocker/engine"
)

func diffCommand(s *session) *command {
	return &command{
		Usage: "Inspect changes to files or directories on a container's filesystem", ArgsUsage: "CONTAINER",
		Description: "mydocker diff web",
		Action: s.action(func(e *engine.Engine, args []string) error {
			changes, err := e.Changes(args[0])
			for _, change := range changes {
				fmt.Println(change.Kind, change.Path)
			}
			return err
		}),
	}
}
