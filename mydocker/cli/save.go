package cli

import (
	"context"
	"os"

	"github.com/moby/term"

	"minidocker/mydocker/engine"
)

func saveCommand(s *session) *command {
	var output, platform string
	return &command{
		Usage: "Save one or more images to a tar archive (streamed to STDOUT by default)", ArgsUsage: "[OPTIONS] IMAGE [IMAGE...]",
		Description: "mydocker save -o both.tar busybox:latest debian:12",
		Flags: flags("",
			text(&output, "o,output", "Write to a file, instead of STDOUT"),
			text(&platform, "platform", `Save only the given platform variant, such as "linux/amd64"`),
		),
		Action: s.action(func(e *engine.Engine, refs []string) error {
			save := func(file *os.File) error { return e.Save(context.Background(), file, platform, refs...) }
			if output != "" {
				return writeNew("save image", output, save)
			}
			if term.IsTerminal(1) {
				return exit(1, "cowardly refusing to save to a terminal. Use the -o flag or redirect")
			}
			return save(os.Stdout)
		}),
	}
}
