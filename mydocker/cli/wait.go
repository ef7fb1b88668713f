package cli

import (
	"errors"
	"strconv"

	api "github.com/moby/moby/api/types/container"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func waitCommand(s *session) *cli.Command {
	return &cli.Command{
		Name: "wait", Usage: "Block until one or more containers stop, then print their exit codes",
		ArgsUsage:   "CONTAINER [CONTAINER...]",
		UsageText:   "mydocker container wait, mydocker wait",
		Description: "mydocker wait job",
		Before:      takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return forEach(c.Args().Slice(), func(ref string) (string, error) { return waitFor(e, ref) })
		}),
	}
}

func waitFor(e *engine.Engine, ref string) (string, error) {
	wait, err := e.Wait(ref, api.WaitConditionNotRunning)
	if err != nil {
		return "", err
	}
	response, err := wait()
	if err == nil && response.Error != nil {
		err = errors.New(response.Error.Message)
	}
	return strconv.FormatInt(response.StatusCode, 10), err
}
