package cli

import (
	"fmt"
	"os"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

type psOptions struct {
	all, quiet, latest, noTrunc, size bool
	last                              int
	format                            string
	filters                           map[string][]string
}

func psCommand(s *session) *cli.Command { return new(psOptions).command(s) }

func (o *psOptions) command(s *session) *cli.Command {
	return &cli.Command{
		Name: "ps", Usage: "List containers",
		ArgsUsage:   "[OPTIONS]",
		UsageText:   "mydocker container ls, mydocker container list, mydocker container ps, mydocker ps",
		Description: `mydocker ps -a --filter status=exited --format 'table {{.Names}}\t{{.Status}}'`,
		Flags: []cli.Flag{
			boolean(&o.all, "a", "all", "Show all containers (default shows just running)"),
			filters(&o.filters),
			text(&o.format, "", "format", formatHelp),
			integer(&o.last, "n", "last", "Show n last created containers (includes all states)").or("-1"),
			boolean(&o.latest, "l", "latest", "Show the latest created container (includes all states)"),
			boolean(&o.noTrunc, "", "no-trunc", "Don't truncate output"),
			boolean(&o.quiet, "q", "quiet", "Only display container IDs"),
			boolean(&o.size, "s", "size", "Display total file sizes"),
		},
		Before: takes(0, 0),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error { return o.run(e) }),
	}
}

func listContainersCommand(s *session) *cli.Command {
	c := psCommand(s)
	c.Name, c.Aliases = "ls", []string{"list", "ps"}
	return c
}

func (o *psOptions) run(e *engine.Engine) error {
	if o.quiet && o.format != "" {
		fmt.Fprintln(os.Stderr, "WARNING: Ignoring custom format, because both --format and --quiet are set.")
	}
	l, err := o.listing()
	if err != nil {
		return err
	}
	found, err := e.List(o.request())
	if err != nil {
		return err
	}
	return l.write(os.Stdout, o.rows(found))
}

// withSize tells whether sizes are shown. They take a walk through each
// container's files, so they are computed only then.
func (o *psOptions) withSize() bool {
	return !o.quiet && (o.size || strings.Contains(o.format, ".Size") || strings.Contains(o.format, "json .}"))
}

func (o *psOptions) request() engine.ListOptions {
	request := engine.ListOptions{All: o.all, Size: o.withSize(), Filters: o.filters, Last: max(o.last, 0)}
	if o.latest && o.last < 0 {
		request.Last = 1
	}
	return request
}

func (o *psOptions) listing() (*listing, error) {
	format := o.format
	normal := `table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}`
	if o.quiet {
		format = "{{.ID}}"
	} else if o.size {
		normal += `\t{{.Size}}`
	}
	l, err := newListing(format, normal, containerTitles())
	if err != nil {
		return nil, err
	}
	return l, l.check(&containerRow{})
}

func (o *psOptions) rows(found []api.Summary) []any {
	rows := make([]any, len(found))
	for i := range found {
		rows[i] = &containerRow{found[i], !o.noTrunc}
	}
	return rows
}
