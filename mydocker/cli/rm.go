package cli

import (
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func rmCommand(s *session) *cli.Command {
	var o engine.RemoveOptions
	return &cli.Command{
		Name: "rm", Usage: "Remove one or more containers",
		ArgsUsage:   "[OPTIONS] CONTAINER [CONTAINER...]",
		UsageText:   "mydocker container rm, mydocker container remove, mydocker rm",
		Description: "mydocker rm -f web",
		Flags: []cli.Flag{
			boolean(&o.Force, "f", "force", "Force the removal of a running container (uses SIGKILL)"),
			unsupported("l", "link"),
			boolean(&o.Volumes, "v", "volumes", "Remove anonymous volumes associated with the container"),
		},
		Before: takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return forEach(c.Args().Slice(), func(ref string) (string, error) {
				err := e.Remove(ref, o)
				if o.Force && isNotFound(err) { // said, but no failure, as in Docker
					show(err)
					return "", nil
				}
				return ref, err
			})
		}),
	}
}

func removeContainersCommand(s *session) *cli.Command {
	c := rmCommand(s)
	c.Aliases = []string{"remove"}
	return c
}
