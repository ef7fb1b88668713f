package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/moby/term"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/image"
)

func loadCommand(s *session) *command {
	var input string
	var quiet bool
	return &command{
		Usage: "Load an image from a tar archive or STDIN", ArgsUsage: "[OPTIONS]",
		Description: "mydocker load -i debian.tar",
		Flags: flags("platform",
			text(&input, "i,input", "Read from tar archive file, instead of STDIN"),
			boolean(&quiet, "q,quiet", "Suppress the load output"),
		),
		Action: s.action(func(e *engine.Engine, _ []string) (err error) {
			archive := os.Stdin
			if input != "" {
				if archive, err = os.Open(input); err != nil {
					return exit(1, "%w", err)
				}
				defer archive.Close()
			} else if term.IsTerminal(0) {
				return exit(1, "requested load from stdin, but stdin is empty")
			}
			show := showProgress(os.Stdout, quiet || !term.IsTerminal(1))
			loaded, err := e.Load(context.Background(), archive, func(layer string, done, total int64) {
				show(image.Progress{Layer: layer, Status: "Loading layer", Current: done, Total: total})
			})
			for _, one := range loaded {
				if one.Name != "" {
					fmt.Println("Loaded image:", one.Name)
				} else {
					fmt.Println("Loaded image ID:", one.ID)
				}
			}
			return err
		}),
	}
}
