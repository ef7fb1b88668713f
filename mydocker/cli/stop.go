package cli

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func stopCommand(s *session) *cli.Command {
	var o engine.StopOptions
	timeout := func(v string) error {
		n, err := strconv.ParseInt(v, 0, 0)
		seconds := int(n)
		o.Timeout = &seconds
		return err
	}
	return &cli.Command{
		Name: "stop", Usage: "Stop one or more running containers",
		ArgsUsage:   "[OPTIONS] CONTAINER [CONTAINER...]",
		UsageText:   "mydocker container stop, mydocker stop",
		Description: "mydocker stop -t 3 web        # SIGKILL after 3 seconds",
		Flags: []cli.Flag{
			text(&o.Signal, "s", "signal", "Signal to send to the container"),
			parsed("int", "t", "timeout", "Seconds to wait before killing the container", timeout),
			parsed("int", "", "time", "", timeout).hide(),
		},
		Before: takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return forEach(c.Args().Slice(), func(ref string) (string, error) { return ref, e.Stop(ref, o) })
		}),
	}
}
