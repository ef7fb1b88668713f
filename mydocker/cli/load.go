package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func loadCommand(s *session) *cli.Command {
	var input string
	var quiet bool
	return &cli.Command{
		Name: "load", Usage: "Load an image from a tar archive or STDIN",
		ArgsUsage:   "[OPTIONS]",
		UsageText:   "mydocker image load, mydocker load",
		Description: "mydocker load -i debian.tar",
		Flags: []cli.Flag{
			text(&input, "i", "input", "Read from tar archive file, instead of STDIN"),
			unsupported("", "platform"),
			boolean(&quiet, "q", "quiet", "Suppress the load output"),
		},
		Before: takes(0, 0),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			var archive io.Reader = os.Stdin
			if input != "" {
				file, err := os.Open(input)
				if err != nil {
					return exit(1, "%w", err)
				}
				defer file.Close()
				archive = file
			} else if term.IsTerminal(0) {
				return exit(1, "requested load from stdin, but stdin is empty")
			}
			var show func(layer string, done, total int64)
			if !quiet && term.IsTerminal(1) {
				show = newProgress(os.Stdout, int(windowSize()[1])).show
			}
			loaded, err := e.Load(c.Context, archive, show)
			for _, image := range loaded {
				if image.Name != "" {
					fmt.Println("Loaded image:", image.Name)
				} else {
					fmt.Println("Loaded image ID:", image.ID)
				}
			}
			return err
		}),
	}
}
