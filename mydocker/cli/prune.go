package cli

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"minidocker/mydocker/engine"
)

type pruneOptions struct {
	all, force bool
	filters    engine.Filters
}

func containerPruneCommand(s *session) *command {
	return new(pruneOptions).command(s, &command{
		Usage: "Remove all stopped containers", Description: "mydocker container prune --filter until=24h --filter label=job",
	})
}

func systemPruneCommand(s *session) *command {
	o := &pruneOptions{}
	return o.command(s, &command{
		Usage: "Remove stopped containers and unused images", Description: "mydocker system prune -af",
		Flags: flags("volumes", boolean(&o.all, "a,all", "Remove all unused images not just dangling ones")),
	})
}

// command completes one that removes containers, and if it has flags of its own images too.
func (o *pruneOptions) command(s *session, c *command) *command {
	ofSystem := c.Flags != nil
	filter := filters(&o.filters)
	filter.letter, filter.usage = "", `Provide filter values (e.g. "until=24h", "label!=keep")`
	c.Flags = append(c.Flags, filter, boolean(&o.force, "f,force", "Do not prompt for confirmation"))
	c.ArgsUsage = "[OPTIONS]"
	c.Action = s.action(func(e *engine.Engine, _ []string) error {
		if !o.confirm(ofSystem) {
			return nil
		}
		r, err := e.PruneContainers(o.filters)
		printDeleted("Containers", r.ContainersDeleted)
		if ofSystem && err == nil {
			images, ierr := e.PruneImages(o.all, o.filters)
			var lines []string
			for _, i := range images.ImagesDeleted {
				if i.Untagged != "" {
					lines = append(lines, "untagged: "+i.Untagged)
				} else {
					lines = append(lines, "deleted: "+i.Deleted)
				}
			}
			printDeleted("Images", lines)
			r.SpaceReclaimed, err = r.SpaceReclaimed+images.SpaceReclaimed, ierr
		}
		if err == nil {
			fmt.Println("Total reclaimed space:", units.HumanSize(float64(r.SpaceReclaimed)))
		}
		return err
	})
	return c
}

func printDeleted(what string, lines []string) {
	if lines != nil {
		fmt.Printf("Deleted %s:\n%s\n\n", what, strings.Join(lines, "\n"))
	}
}

// confirm asks in Docker's words, as Docker does also where nobody can answer. A no is no failure.
func (o *pruneOptions) confirm(ofSystem bool) bool {
	if o.force {
		return true
	}
	warning := " all stopped containers."
	if ofSystem {
		images := map[bool]string{false: "all dangling images", true: "all images without at least one container associated to them"}[o.all]
		warning = ":\n  - all stopped containers\n  - " + images + "\n"
	}
	var given []string
	for name, values := range o.filters {
		for _, value := range values {
			given = append(given, name+"="+value)
		}
	}
	if slices.Sort(given); ofSystem && given != nil {
		warning += "\n  Items to be pruned will be filtered with:\n  - " + strings.Join(given, "\n  - ") + "\n"
	}
	fmt.Print("WARNING! This will remove", warning, "\nAre you sure you want to continue? [y/N] ")
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	return strings.EqualFold(strings.TrimSpace(answer), "y")
}
