package cli

import "minidocker/mydocker/engine"

func renameCommand(s *session) *command {
	return &command{
		Usage: "Rename a container", ArgsUsage: "CONTAINER NEW_NAME",
		Description: "mydocker rename web web-old",
		Action: s.action(func(e *engine.Engine, args []string) error {
			return e.Rename(args[0], args[1])
		}),
	}
}
