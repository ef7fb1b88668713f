package cli

import "minidocker/mydocker/engine"

func restartCommand(s *session) *command {
	var o engine.StopOptions
	return &command{
		Usage: "Restart one or more containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker restart -t 3 web",
		Flags:       stopFlags(&o),
		Action:      s.action(each(func(e *engine.Engine, ref string) (string, error) { return ref, e.Restart(ref, o) })),
	}
}
