package cli

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"minidocker/mydocker/engine"
)

type pruneOptions struct {
	kind         string // of objects: container, network, image, volume, or system for all kinds
	all, volumes bool   // images in use by none, or volumes with a name; anonymous volumes
	force        bool
	filters      engine.Filters
}

// pruneCommand is the prune of one kind of objects or, for all kinds, system prune.
func pruneCommand(kind, usage string) func(*session) *command {
	return func(s *session) *command {
		o := &pruneOptions{kind: kind}
		filter := filters(&o.filters)
		filter.letter, filter.usage = "", `Provide filter values (e.g. "until=24h", "label!=keep")`
		c := &command{
			Usage: usage, ArgsUsage: "[OPTIONS]",
			Description: "mydocker " + kind + " prune --filter until=24h --filter label=job",
			Flags:       flags("", filter, boolean(&o.force, "f,force", "Do not prompt for confirmation")),
			Action:      s.action(func(e *engine.Engine, _ []string) error { return o.prune(e) }),
		}
		if kind == "system" {
			c.Flags = append(c.Flags, flags("", boolean(&o.volumes, "volumes", "Prune anonymous volumes"))...)
		}
		if kind == "system" || kind == "image" {
			c.Flags = append(c.Flags, flags("", boolean(&o.all, "a,all", "Remove all unused images, not just dangling ones"))...)
		}
		if kind == "volume" {
			filter.usage = `Provide filter values (e.g. "label!=keep")`
			c.Description = "mydocker volume prune --all --filter label=job"
			c.Flags = append(c.Flags, flags("", boolean(&o.all, "a,all", "Remove all unused volumes, not just anonymous ones"))...)
		}
		return c
	}
}

// prune removes the containers first: they use networks and images.
func (o *pruneOptions) prune(e *engine.Engine) error {
	switch {
	case o.kind == "volume" && o.all && o.filters["all"] != nil:
		return exit(1, "conflicting options: cannot specify both --all and --filter all=1")
	case o.volumes && o.filters["until"] != nil:
		return exit(1, `ERROR: The "until" filter is not supported with "--volumes"`)
	case o.kind == "volume" && o.all:
		o.filters["all"] = []string{"true"}
	case o.kind == "image": // Docker adds dangling, which --all makes false
		for _, value := range o.filters["dangling"] {
			if value != strconv.FormatBool(!o.all) {
				return fmt.Errorf("invalid filter 'dangling=[%s]'", value)
			}
		}
		delete(o.filters, "dangling")
	}
	if !o.confirm() {
		return nil
	}
	var reclaimed uint64
	if o.kind == "container" || o.kind == "system" {
		r, err := e.PruneContainers(o.filters)
		if printDeleted("Containers", r.ContainersDeleted); err != nil {
			return err
		}
		reclaimed = r.SpaceReclaimed
	}
	if o.kind == "network" || o.kind == "system" {
		r, err := e.PruneNetworks(o.filters)
		if printDeleted("Networks", r.NetworksDeleted); err != nil || o.kind == "network" {
			return err
		}
	}
	if o.kind == "volume" || o.volumes {
		r, err := e.PruneVolumes(o.filters)
		if printDeleted("Volumes", r.VolumesDeleted); err != nil {
			return err
		}
		reclaimed += r.SpaceReclaimed
	}
	if o.kind == "system" || o.kind == "image" {
		images, err := e.PruneImages(o.all, o.filters)
		var lines []string
		for _, i := range images.ImagesDeleted {
			if i.Untagged != "" {
				lines = append(lines, "untagged: "+i.Untagged)
			} else {
				lines = append(lines, "deleted: "+i.Deleted)
			}
		}
		if printDeleted("Images", lines); err != nil {
			return err
		}
		reclaimed += images.SpaceReclaimed
	}
	fmt.Println("Total reclaimed space:", units.HumanSize(float64(reclaimed)))
	return nil
}

func printDeleted(what string, lines []string) {
	if len(lines) > 0 {
		fmt.Printf("Deleted %s:\n%s\n\n", what, strings.Join(lines, "\n"))
	}
}

// confirm asks in Docker's words, as Docker does also where nobody can answer. A no is no failure.
func (o *pruneOptions) confirm() bool {
	if o.force {
		return true
	}
	images := map[bool]string{false: "all dangling images", true: "all images without at least one container associated to them"}[o.all]
	warning := map[string]string{
		"image": " " + images + ".", "container": " all stopped containers.", "network": " all custom networks not used by at least one container.",
		"volume": " anonymous local volumes not used by at least one container.",
	}[o.kind]
	if o.kind == "volume" && o.all {
		warning = " all local volumes not used by at least one container."
	}
	if o.kind == "system" {
		volumes := map[bool]string{true: "  - all anonymous volumes not used by at least one container\n"}[o.volumes]
		warning = ":\n  - all stopped containers\n  - all networks not used by at least one container\n" + volumes + "  - " + images + "\n"
	}
	var given []string
	for name, values := range o.filters {
		for _, value := range values {
			given = append(given, name+"="+value)
		}
	}
	if slices.Sort(given); o.kind == "system" && given != nil {
		warning += "\n  Items to be pruned will be filtered with:\n  - " + strings.Join(given, "\n  - ") + "\n"
	}
	fmt.Print("WARNING! This will remove", warning, "\nAre you sure you want to continue? [y/N] ")
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(answer), "y")
}
