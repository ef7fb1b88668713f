package cli

import (
	"fmt"
	"os"
	"strings"

	imageapi "github.com/moby/moby/api/types/image"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

type imagesOptions struct {
	all, digests, noTrunc, quiet bool
	format                       string
	filters                      map[string][]string
}

func imagesCommand(s *session) *cli.Command { return new(imagesOptions).command(s) }

func (o *imagesOptions) command(s *session) *cli.Command {
	return &cli.Command{
		Name: "images", Usage: "List images",
		ArgsUsage:   "[OPTIONS] [REPOSITORY[:TAG]]",
		UsageText:   "mydocker image ls, mydocker image list, mydocker images",
		Description: `mydocker images --format '{{.Repository}}:{{.Tag}} {{.Size}}'`,
		Flags: []cli.Flag{
			boolean(&o.all, "a", "all", "Show all images (default hides intermediate images)"),
			boolean(&o.digests, "", "digests", "Show digests"),
			filters(&o.filters),
			text(&o.format, "", "format", formatHelp),
			boolean(&o.noTrunc, "", "no-trunc", "Don't truncate output"),
			boolean(&o.quiet, "q", "quiet", "Only show image IDs"),
			unsupported("", "tree"),
		},
		Before: takes(0, 1),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			n, err := o.run(e, c.Args().First())
			if word := c.Args().First(); err == nil && n == 0 && strings.Contains(" build history import inspect list load ls prune pull push rm save tag ", " "+word+" ") {
				fmt.Fprintf(os.Stderr, "\nNo images found matching %q: did you mean \"%s image %s\"?\n", word, name, word)
			}
			return err
		}),
	}
}

func listImagesCommand(s *session) *cli.Command {
	c := imagesCommand(s)
	c.Name, c.Aliases = "ls", []string{"list"}
	return c
}

func (o *imagesOptions) run(e *engine.Engine, ref string) (n int, err error) {
	l, err := o.listing()
	if err != nil {
		return 0, err
	}
	found, err := e.Images(engine.ImagesOptions{All: o.all, Ref: ref, Filters: o.filters})
	if err != nil {
		return 0, err
	}
	return len(found), l.write(os.Stdout, o.rows(found))
}

func (o *imagesOptions) listing() (*listing, error) {
	format, id := o.format, `{{.ID}}`
	if o.quiet {
		format = id
	}
	if o.digests {
		id = `{{.Digest}}\t{{.ID}}`
	}
	l, err := newListing(format, `table {{.Repository}}\t{{.Tag}}\t`+id+`\t{{.CreatedSince}}\t{{.Size}}`, imageTitles())
	if err != nil {
		return nil, err
	}
	return l, l.check(&imageRow{})
}

func (o *imagesOptions) rows(found []imageapi.Summary) (rows []any) {
	digests := o.digests || strings.Contains(o.format, ".Digest")
	for _, image := range found {
		for _, row := range imageRows(image, digests) {
			row.short = !o.noTrunc
			rows = append(rows, row)
		}
	}
	return rows
}
