package cli

import (
	"strconv"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

func waitCommand(s *session) *command {
	return &command{
		Usage: "Block until one or more containers stop, then print their exit codes", ArgsUsage: "CONTAINER [CONTAINER...]",
		Description: "mydocker wait job",
		Action: s.action(each(func(e *engine.Engine, ref string) (string, error) {
			wait, err := e.Wait(ref, api.WaitConditionNotRunning)
			if err != nil {
				return "", err
			}
			response, err := wait()
			return strconv.FormatInt(response.StatusCode, 10), err
		})),
	}
}
