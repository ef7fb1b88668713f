package engine

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"minidocker/mydocker/container"
	"minidocker/mydocker/logfile"

	api "github.com/moby/moby/api/types/container"
)

// LogsOptions say what of a container's log is wanted.
type LogsOptions struct {
	Stdout, Stderr bool
	Follow         bool // go on until the container ends or the context is done
	Timestamps     bool // each line begins with its time
	Details        bool // and with the variables and labels named by the log's options
	Tail           int  // the last lines; negative: all
	Since, Until   time.Time
}

// timeFormat is RFC 3339 with nanoseconds of fixed width, as Docker prints it.
const timeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// Logs writes the container's log, each entry to the writer of its stream.
func (e *Engine) Logs(ctx context.Context, ref string, o LogsOptions, stdout, stderr io.Writer) error {
	id, err := e.find(ref)
	if err != nil {
		return err
	}
	record, err := e.containers.Record(id)
	if err != nil {
		return err
	}
	if record.HostConfig.LogConfig.Type == "none" {
		return fmt.Errorf("configured logging driver does not support reading")
	}
	read := logfile.ReadOptions{Stdout: o.Stdout, Stderr: o.Stderr, Since: o.Since, Until: o.Until, Tail: o.Tail, Follow: o.Follow}
	if o.Follow {
		done, err := e.ended(id)
		if err != nil {
			return err
		}
		read.Done = done
	}
	prefix := ""
	if o.Details {
		if prefix, err = details(record); err != nil {
			return err
		}
	}
	return logfile.Read(ctx, e.containers.LogPath(id), read, func(entry logfile.Entry) error {
		w := stdout
		if entry.Stream == "stderr" {
			w = stderr
		}
		line := prefix + entry.Log
		if o.Timestamps {
			line = entry.Time.UTC().Format(timeFormat) + " " + line
		}
		_, err := io.WriteString(w, line)
		return err
	})
}

// ended gives a channel that closes when the container has ended. For one that
// has not begun it waits for the end to come.
func (e *Engine) ended(id string) (<-chan struct{}, error) {
	done := make(chan struct{})
	state, err := e.current(id)
	if err != nil {
		return nil, err
	}
	if !running(state) {
		close(done)
		return done, nil
	}
	wait, err := e.Wait(id, api.WaitConditionNotRunning)
	if err != nil {
		return nil, err
	}
	go func() {
		wait()
		close(done)
	}()
	return done, nil
}

// details are the attributes that the log's options name, before each line; quoted,
// as a value may have a comma.
func details(record *container.Record) (string, error) {
	attributes, err := record.LogAttributes()
	var list []string
	for name, value := range attributes {
		list = append(list, url.QueryEscape(name)+"="+url.QueryEscape(value))
	}
	slices.Sort(list)
	return strings.Join(list, ",") + " ", err
}

// ParseTime is a moment as Docker lets the user give it: an age (10m), a date and
// perhaps a time of day in RFC 3339, in now's zone if without a zone, or
// seconds since 1970, perhaps with a fraction. "" is the zero Time.
func ParseTime(s string, now time.Time) (time.Time, error) {
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
