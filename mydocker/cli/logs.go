package cli

import (
	"context"
	"os"
	"strconv"

	"minidocker/mydocker/engine"
)

func logsCommand(s *session) *command {
	o := engine.LogsOptions{Stdout: true, Stderr: true}
	var tail string
	return &command{
		Usage: "Fetch the logs of a container", ArgsUsage: "[OPTIONS] CONTAINER",
		Description: "mydocker logs -f --since 10m web",
		Flags: flags("",
			boolean(&o.Details, "details", "Show extra details provided to logs"),
			boolean(&o.Follow, "f,follow", "Follow log output"),
			moment(&o.Since, "since", `Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`),
			text(&tail, "n,tail", "Number of lines to show from the end of the logs").or("all"),
			boolean(&o.Timestamps, "t,timestamps", "Show timestamps"),
			moment(&o.Until, "until", `Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)`),
		),
		Action: s.action(func(e *engine.Engine, args []string) (err error) {
			if o.Tail, err = strconv.Atoi(tail); err != nil {
				o.Tail = -1 // all, as in Docker for whatever is not a number
			}
			return e.Logs(context.Background(), args[0], o, os.Stdout, os.Stderr)
		}),
	}
}
