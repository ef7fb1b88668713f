package cli

import (
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func killCommand(s *session) *cli.Command {
	var signal string
	return &cli.Command{
		Name: "kill", Usage: "Kill one or more running containers",
		ArgsUsage:   "[OPTIONS] CONTAINER [CONTAINER...]",
		UsageText:   "mydocker container kill, mydocker kill",
		Description: "mydocker kill -s HUP web",
		Flags: []cli.Flag{
			text(&signal, "s", "signal", "Signal to send to the container").or("KILL"),
		},
		Before: takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return forEach(c.Args().Slice(), func(ref string) (string, error) { return ref, e.Kill(ref, signal) })
		}),
	}
}
