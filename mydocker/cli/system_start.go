package cli

import (
	"fmt"

	"minidocker/mydocker/engine"
)

func systemStartCommand(s *session) *command {
	return &command{
		Usage: "Start the containers whose restart policy wants them to run; once after boot", ArgsUsage: "[OPTIONS]",
		Description: "mydocker system start        # README has a systemd unit for it",
		Action: s.action(func(e *engine.Engine, _ []string) error {
			started, err := e.StartByPolicy()
			for _, name := range started {
				fmt.Println(name)
			}
			return err
		}),
	}
}
