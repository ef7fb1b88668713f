package cli

import (
	"context"
	"fmt"
	"os"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/image"
)

func pushCommand(s *session) *command {
	var all, quiet bool
	return &command{
		Usage: "Upload an image to a registry", ArgsUsage: "[OPTIONS] NAME[:TAG]",
		Description: "mydocker push registry.example:5000/web:v1",
		Flags: flags("platform",
			boolean(&all, "a,all-tags", "Push all tags of an image to the repository"),
			unverified(),
			boolean(&quiet, "q,quiet", "Suppress verbose output"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			n, err := tagged(args[0], all, quiet)
			if err != nil {
				return err
			}
			err = e.Push(context.Background(), n.Short, image.PushOptions{All: all, Progress: showProgress(os.Stdout, quiet)})
			switch {
			case err != nil:
				return exit(1, "%w", err)
			case quiet:
				fmt.Println(n.Full)
			}
			return nil
		}),
	}
}
