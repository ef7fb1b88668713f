package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/events"
)

// EventsOptions limit a stream of events.
type EventsOptions struct {
	Since   time.Time // zero: only new ones, unless Until is given
	Until   time.Time // zero: go on until the context is done
	Filters Filters
}

// Events calls each with the events in their order.
func (e *Engine) Events(ctx context.Context, o EventsOptions, each func(events.Message) error) error {
	if err := o.Filters.check("container", "daemon", "event", "image", "label", "network", "scope", "type", "volume"); err != nil {
		return err
	}
	return e.journal.Follow(ctx, o.Since, o.Until, func(message events.Message) error {
		for name, values := range o.Filters {
			if !slices.ContainsFunc(values, func(value string) bool { return matchEvent(message, name, value) }) {
				return nil
			}
		}
		return each(message)
	})
}

func matchEvent(m events.Message, filter, value string) bool {
	switch filter {
	case "event":
		// exec_create: CMD is found by exec_create too.
		action, _, _ := strings.Cut(string(m.Action), ":")
		return string(m.Action) == value || action == value
	case "type":
		return string(m.Type) == value
	case "scope":
		return m.Scope == value
	case "label":
		return matchLabel(m.Actor.Attributes, value)
	case "container", "image", "network", "volume", "daemon":
		if filter == "image" && m.Type == events.ContainerEventType {
			return m.Actor.Attributes["image"] == value
		}
		return string(m.Type) == filter && (strings.HasPrefix(m.Actor.ID, value) || m.Actor.Attributes["name"] == value)
	}
	return false
}
