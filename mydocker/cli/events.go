package cli

import (
	"context"
	"io"
	"os"
	"text/template"
	"time"

	"github.com/moby/moby/api/types/events"

	"minidocker/mydocker/engine"
)

const eventText = `{{.At}} {{.Type}} {{.Action}} {{.Actor.ID}}{{with .Attributes}} ({{join . ", "}}){{end}}`

func eventsCommand(s *session) *command {
	var o engine.EventsOptions
	var format *template.Template
	return &command{
		Usage: "Get real time events", ArgsUsage: "[OPTIONS]",
		Description: "mydocker events --since 1h --filter event=die",
		Flags: flags("",
			filters(&o.Filters),
			object(&format, "format", eventText),
			moment(&o.Since, "since", "Show all events created since timestamp"),
			moment(&o.Until, "until", "Stream events until this timestamp"),
		),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			// On an empty event, so that a mistake is reported before the first one comes.
			if err := format.Execute(io.Discard, event{}); err != nil {
				return exit(64, "Error parsing format: %w", err)
			}
			return e.Events(context.Background(), o, func(m events.Message) error { return printEvent(os.Stdout, format, m) })
		}),
	}
}

// event is a message with Docker's older fields, and what makes its line.
type event struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	events.Message
	At         string   `json:"-"`
	Attributes []string `json:"-"`
}

func printEvent(w io.Writer, format *template.Template, m events.Message) error {
	line := event{Message: m, At: time.Unix(0, m.TimeNano).Format("2006-01-02T15:04:05.000000000Z07:00"), Attributes: assignments(m.Actor.Attributes)}
	if m.Type == events.ContainerEventType || m.Type == events.ImageEventType {
		line.Status, line.ID = string(m.Action), m.Actor.ID
	}
	if m.Type == events.ContainerEventType {
		line.From = m.Actor.Attributes["image"]
	}
	return printTemplate(w, format, line)
}
