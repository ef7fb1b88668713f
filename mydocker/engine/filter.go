package engine

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/container"
)

// matcher makes the filters of a list into one question. Different filters must all
// hold, of one filter's values one; but all that label, before or since have.
func matcher[T any](f Filters, condition func(name, value string) (func(T) bool, error)) (func(T) bool, error) {
	var all []func(T) bool
	for name, values := range f {
		var any []func(T) bool
		for _, value := range values {
			one, err := condition(name, value)
			if err != nil {
				return nil, err
			}
			any = append(any, one)
		}
		if name == "label" || name == "before" || name == "since" {
			all = append(all, any...)
		} else {
			all = append(all, func(v T) bool { return slices.ContainsFunc(any, func(f func(T) bool) bool { return f(v) }) })
		}
	}
	return func(v T) bool { return !slices.ContainsFunc(all, func(f func(T) bool) bool { return !f(v) }) }, nil
}

func (e *Engine) condition(name, value string) (func(known) bool, error) {
	switch name {
	case "id":
		return func(c known) bool { return strings.HasPrefix(c.ID, value) }, nil
	case "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'name=%s': %w", value, err)
		}
		return func(c known) bool { return pattern.MatchString(c.Name) || pattern.MatchString("/"+c.Name) }, nil
	case "label":
		return func(c known) bool { return matchLabel(c.Config.Labels, value) }, nil
	case "label!":
		return func(c known) bool { return !matchLabel(c.Config.Labels, value) }, nil
	case "until":
		limit, err := ParseTime(value, time.Now())
		return func(c known) bool { return !c.Created.After(limit) }, err
	case "status":
		if err := api.ValidateContainerState(api.ContainerState(value)); err != nil {
			return nil, err
		}
		return func(c known) bool { return string(c.State.Status) == value }, nil
	case "exited":
		code, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'exited=%s'", value)
		}
		return func(c known) bool { return c.State.Status == api.StateExited && c.State.ExitCode == code }, nil
	case "ancestor":
		return e.ancestor(value), nil
	case "network":
		name := value
		if n, err := e.networks.Find(value); err == nil {
			name = n.Name
		}
		return func(c known) bool { return c.Networks[name] != nil || string(c.HostConfig.NetworkMode) == name }, nil
	case "publish", "expose":
		return portCondition(name, value)
	case "volume":
		return func(c known) bool {
			return slices.ContainsFunc(c.Mounts, func(m api.MountPoint) bool {
				return m.Name == value || m.Source == value || m.Destination == value
			})
		}, nil
	case "health":
		if err := api.ValidateHealthStatus(api.HealthStatus(value)); err != nil {
			return nil, err
		}
		return func(c known) bool { return string(health(c.State)) == value }, nil
	}
	// before and since
	id, err := e.containers.Resolve(value)
	if err != nil {
		return nil, err
	}
	other, err := e.containers.Record(id)
	if err != nil {
		return nil, err
	}
	if name == "before" {
		return func(c known) bool { return c.Created.Before(other.Created) }, nil
	}
	return func(c known) bool { return c.Created.After(other.Created) }, nil
}

// ancestor holds for containers of an image or of one built on it.
func (e *Engine) ancestor(ref string) func(known) bool {
	i, err := e.images.Resolve(ref)
	if err != nil {
		return func(known) bool { return false }
	}
	layers, err := e.layers(i)
	if err != nil {
		return func(c known) bool { return c.Image == i.ID.String() }
	}
	return func(c known) bool { // the topmost come first
		more := len(c.Layers) - len(layers)
		return c.Image == i.ID.String() || more > 0 && slices.Equal(c.Layers[more:], layers)
	}
}

// matchLabel compares with KEY or KEY=VALUE.
func matchLabel(labels map[string]string, want string) bool {
	key, value, hasValue := strings.Cut(want, "=")
	got, ok := labels[key]
	return ok && (!hasValue || got == value)
}
