package container

import (
	"maps"

	"github.com/moby/moby/api/types/events"
)

// Event is what happened to the container, in the form Docker's events have:
// the labels, the image's and the container's name, and what more says.
func (r *Record) Event(action events.Action, more map[string]string) events.Message {
	attributes := maps.Clone(r.Config.Labels)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["image"], attributes["name"] = r.Config.Image, r.Name
	maps.Copy(attributes, more)
	return events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: r.ID, Attributes: attributes}}
}
