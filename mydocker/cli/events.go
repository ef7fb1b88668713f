package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/docker/cli/templates"
	"github.com/moby/moby/api/types/events"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func eventsCommand(s *session) *cli.Command {
	var o engine.EventsOptions
	var since, until, format string
	return &cli.Command{
		Name: "events", Usage: "Get real time events",
		ArgsUsage:   "[OPTIONS]",
		UsageText:   "mydocker system events, mydocker events",
		Description: "mydocker events --since 1h --filter event=die",
		Flags: []cli.Flag{
			filters((*map[string][]string)(&o.Filters)),
			text(&format, "", "format", "Format output using a custom template: 'json' or a Go TEMPLATE"),
			text(&since, "", "since", "Show all events created since timestamp"),
			text(&until, "", "until", "Stream events until this timestamp"),
		},
		Before: takes(0, 0),
		Action: s.action(func(c *cli.Context, e *engine.Engine) (err error) {
			text, err := eventTemplate(format)
			if err != nil {
				return exit(64, "Error parsing format: %w", err)
			}
			if o.Since, err = parseTime(since, time.Now()); err != nil {
				return exit(1, "%w", err)
			}
			if o.Until, err = parseTime(until, time.Now()); err != nil {
				return exit(1, "%w", err)
			}
			return e.Events(c.Context, o, func(m events.Message) error { return printEvent(os.Stdout, m, text) })
		}),
	}
}

// eventTemplate tries the template on an empty event, so that a mistake is
// reported before the first event comes.
func eventTemplate(format string) (*template.Template, error) {
	if format == "" {
		return nil, nil
	}
	if format == "json" {
		format = "{{json .}}"
	}
	t, err := templates.Parse(format)
	if err != nil {
		return nil, err
	}
	return t, t.Execute(io.Discard, events.Message{})
}

// printEvent writes a line at a time, with one call: several readers of one pipe
// get whole lines.
func printEvent(w io.Writer, m events.Message, text *template.Template) error {
	var line strings.Builder
	if text != nil {
		if err := text.Execute(&line, m); err != nil {
			return exit(1, "template parsing error: %w", err)
		}
	} else {
		at := time.Unix(m.Time, 0)
		if m.TimeNano != 0 {
			at = time.Unix(0, m.TimeNano)
		}
		fmt.Fprintf(&line, "%s %s %s %s", at.Format("2006-01-02T15:04:05.000000000Z07:00"), m.Type, m.Action, m.Actor.ID)
		var attributes []string
		for key, value := range m.Actor.Attributes {
			attributes = append(attributes, key+"="+value)
		}
		if slices.Sort(attributes); len(attributes) > 0 {
			fmt.Fprintf(&line, " (%s)", strings.Join(attributes, ", "))
		}
	}
	line.WriteByte('\n')
	_, err := io.WriteString(w, line.String())
	return err
}
