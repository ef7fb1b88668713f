package cli

import "minidocker/mydocker/engine"

func pauseCommand(s *session) *command {
	return &command{
		Usage: "Pause all processes within one or more containers", ArgsUsage: "CONTAINER [CONTAINER...]",
		Description: "mydocker pause job        # until: mydocker unpause job",
		Action:      s.action(each(func(e *engine.Engine, ref string) (string, error) { return ref, e.Pause(ref) })),
	}
}

func unpauseCommand(s *session) *command {
	return &command{
		Usage: "Unpause all processes within one or more containers", ArgsUsage: "CONTAINER [CONTAINER...]",
		Description: "mydocker unpause job",
		Action:      s.action(each(func(e *engine.Engine, ref string) (string, error) { return ref, e.Unpause(ref) })),
	}
}
