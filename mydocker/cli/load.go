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
	var input, platform string
	var quiet bool
	return &command{
		Usage: "Load an image from a tar archive or STDIN", ArgsUsage: "[OPTIONS]",
		Description: "mydocker load -i debian.tar",
		Flags: flags("",
			text(&input, "i,input", "Read from tar archive file, instead of STDIN"),
			text(&platform, "platform", `Load only the given platform variant, such as "linux/amd64"`),
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
			loaded, err := e.Load(context.Background(), archive, platform, func(layer string, done, total int64) {
				show(image.Progress{Layer: layer, Status: "Loading layer", Current: done, Total: total})
			})
			for _, one := range loaded {
				if one.Replaced != "" {
					fmt.Printf("The image %s already exists, renaming the old one with ID %s to empty string\n", one.Name, one.Replaced)
				}
			}
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
