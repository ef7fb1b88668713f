package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

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

// parseTime is a moment as Docker lets the user give it: an age (10m), a date and
// perhaps a time of day in RFC 3339, by the client's clock if without a zone, or
// seconds since 1970, perhaps with a fraction. "" is the zero Time.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(s); err == nil && s != "0" {
		return now.Add(-age), nil
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15Z07:00", "2006-01-02Z07:00",
		"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02",
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if seconds, err := time.ParseDuration(s + "s"); err == nil {
		return time.Unix(0, 0).Add(seconds), nil
	}
	return time.Time{}, fmt.Errorf("failed to parse value as time or duration: %q", s)
}
