package cli

import (
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func stopCommand(s *session) *command {
	var o engine.StopOptions
	return &command{
		Usage: "Stop one or more running containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker stop -t 3 web        # SIGKILL after 3 seconds",
		Flags:       stopFlags(&o),
		Action:      s.action(each(func(e *engine.Engine, ref string) (string, error) { return ref, e.Stop(ref, o) })),
	}
}

// stopFlags are those of stop and restart.
func stopFlags(o *engine.StopOptions) []cli.Flag {
	return flags("",
		text(&o.Signal, "s,signal", "Signal to send to the container"),
		optional(&o.Timeout, "t,timeout", "Seconds to wait before killing the container"),
		optional(&o.Timeout, "time", ""),
	)
}
