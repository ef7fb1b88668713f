package cli

import "minidocker/mydocker/engine"

func killCommand(s *session) *command {
	var signal string
	return &command{
		Usage: "Kill one or more running containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker kill -s HUP web",
		Flags:       flags("", text(&signal, "s,signal", "Signal to send to the container").or("KILL")),
		Action:      s.action(each(func(e *engine.Engine, ref string) (string, error) { return ref, e.Kill(ref, signal) })),
	}
}
