package cli

import (
	"errors"
	"fmt"

	"minidocker/mydocker/engine"
)

func renameCommand(s *session) *command {
	return &command{
		Usage: "Rename a container", ArgsUsage: "CONTAINER NEW_NAME",
		Description: "mydocker rename web web-old",
		Action: s.action(func(e *engine.Engine, args []string) error {
			err := e.Rename(args[0], args[1])
			if err != nil {
				err = errors.Join(err, fmt.Errorf("failed to rename container named %s", args[0]))
			}
			return err
		}),
	}
}
