package cli

import "minidocker/mydocker/engine"

func restartCommand(s *session) *command {
	var o engine.StopOptions
	return &command{
		Usage: "Restart one or more containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker restart -t 3 web",
		Flags:       stopFlags(&o),
		Action: s.action(each(func(e *engine.Engine, ref string) (string, error) {
			err := e.Restart(ref, o)
			if err != nil && !isNotFound(err) { // with 1, also if the command was not found: 127 is run's
				err = exit(1, "Error: Cannot restart container %s: %w", ref, err)
			}
			return ref, err
		})),
	}
}
