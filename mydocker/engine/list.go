package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"minidocker/mydocker/container"
	"minidocker/mydocker/image"
	"minidocker/mydocker/overlay"

	"github.com/docker/go-units"
	api "github.com/moby/moby/api/types/container"
)

// ListOptions limit a list of containers.
type ListOptions struct {
	All     bool // those that do not run, too
	Size    bool // work out SizeRw and SizeRootFs, which takes time
	Last    int  // the last n created, whatever their state; 0: no limit
	Filters Filters
}

// List gives the containers, the newest first.
func (e *Engine) List(o ListOptions) ([]api.Summary, error) {
	if err := o.Filters.check("ancestor", "before", "exited", "expose", "health", "id", "label", "name", "network", "publish", "since", "status", "volume"); err != nil {
		return nil, err
	}
	match, err := matcher(o.Filters, e.condition)
	if err != nil {
		return nil, err
	}
	all, err := e.snapshot()
	if err != nil {
		return nil, err
	}
	names, err := e.imageNames()
	if err != nil {
		return nil, err
	}
	var summaries []api.Summary
	seen := 0
	_, byStatus := o.Filters["status"]
	_, byExit := o.Filters["exited"]
	for _, c := range all {
		if !o.All && o.Last == 0 && !byStatus && !byExit && !running(c.State) || !match(c) {
			continue
		}
		if seen++; o.Last > 0 && seen > o.Last {
			break
		}
		summary := summarize(c, names)
		if summary.NetworkSettings.Networks, err = e.shownNetworks(c.Record, c.State); err != nil {
			return nil, err
		}
		if o.Size {
			if summary.SizeRw, summary.SizeRootFs, err = e.size(c.Record); err != nil {
				return nil, err
			}
		}
		summaries = append(summaries, summary)
	}
	return summaries, nil
}

// known is a container as it was found.
type known struct {
	*container.Record
	*container.State
}

// snapshot reads all containers, the newest first. One that goes meanwhile is left out.
func (e *Engine) snapshot() ([]known, error) {
	if err := e.containers.Sweep(); err != nil {
		return nil, err
	}
	ids, err := e.containers.IDs()
	if err != nil {
		return nil, err
	}
	all, err := e.read(ids)
	slices.SortFunc(all, func(a, b known) int { return b.Created.Compare(a.Created) })
	return all, err
}

// read finds containers as they are now. One that goes meanwhile is left out.
func (e *Engine) read(ids []string) (all []known, err error) {
	for _, id := range ids {
		c, err := e.look(id)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// look finds a container as it is now.
func (e *Engine) look(id string) (known, error) {
	state, err := e.current(id)
	if err != nil {
		return known{}, err
	}
	record, err := e.containers.Record(id)
	return known{record, state}, err
}

func running(s *container.State) bool {
	return s.Status == api.StateRunning || s.Status == api.StatePaused || s.Status == api.StateRestarting
}

func summarize(c known, imageNames map[string][]string) api.Summary {
	s := api.Summary{
		ID: c.ID, Names: []string{"/" + c.Name}, Image: shownImage(c.Record, imageNames), ImageID: c.Image,
		Command: strings.Join(append([]string{c.Path}, quoted(c.Args)...), " "), Created: c.Created.Unix(),
		Labels: c.Config.Labels, State: c.State.Status, Status: statusText(c.State),
		NetworkSettings: &api.NetworkSettingsSummary{}, Ports: portSummaries(c.Record, c.State), Mounts: c.Mounts,
	}
	s.HostConfig.NetworkMode = string(c.HostConfig.NetworkMode)
	s.Health = &api.HealthSummary{Status: health(c.State)}
	if c.State.Health != nil {
		s.Health.FailingStreak = c.State.Health.FailingStreak
	}
	return s
}

func health(s *container.State) api.HealthStatus {
	if s.Health == nil {
		return api.NoHealthcheck
	}
	return s.Health.Status
}

// quoted puts arguments with blanks into quotes, as Docker's list does.
func quoted(args []string) []string {
	result := make([]string, len(args))
	for i, arg := range args {
		result[i] = arg
		if strings.Contains(arg, " ") {
			result[i] = "'" + arg + "'"
		}
	}
	return result
}

// shownImage is the name the container was made with, as long as the image has
// it; else the image's short ID.
func shownImage(r *container.Record, names map[string][]string) string {
	if n, err := image.ParseName(r.Config.Image); err == nil && slices.Contains(names[r.Image], n.Short) {
		return r.Config.Image
	}
	if strings.HasPrefix(strings.TrimPrefix(r.Image, "sha256:"), strings.TrimPrefix(r.Config.Image, "sha256:")) {
		return r.Config.Image
	}
	return container.ShortID(strings.TrimPrefix(r.Image, "sha256:"))
}

// imageNames maps image IDs to the images' names.
func (e *Engine) imageNames() (map[string][]string, error) {
	images, err := e.images.List()
	if err != nil {
		return nil, err
	}
	names := map[string][]string{}
	for _, i := range images {
		names[i.ID.String()] = slices.Concat(i.Names, i.Digests)
	}
	return names, nil
}

// statusText is the STATUS column.
func statusText(s *container.State) string {
	switch s.Status {
	case api.StateRunning:
		up := "Up " + units.HumanDuration(time.Since(s.StartedAt))
		switch {
		case s.Health == nil:
		case s.Health.Status == api.Starting:
			up += " (health: starting)"
		default:
			up += " (" + string(s.Health.Status) + ")"
		}
		return up
	case api.StatePaused:
		return "Up " + units.HumanDuration(time.Since(s.StartedAt)) + " (Paused)"
	case api.StateRestarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, units.HumanDuration(time.Since(s.FinishedAt)))
	case api.StateExited:
		return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, units.HumanDuration(time.Since(s.FinishedAt)))
	}
	return strings.ToUpper(string(s.Status[:1])) + string(s.Status[1:])
}

// size gives the bytes of the container's own layer, and with the image's.
func (e *Engine) size(r *container.Record) (rw, rootFS int64, err error) {
	if rw, err = overlay.Size(e.upper(r.ID)); err != nil {
		return 0, 0, err
	}
	rootFS = rw
	if i, err := e.images.Resolve(r.Image); err == nil {
		rootFS += e.images.Size(i)
	}
	return rw, rootFS, nil
}
