package cli

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/moby/term"

	"minidocker/mydocker/engine"
)

func exportCommand(s *session) *command {
	var output string
	return &command{
		Usage: "Export a container's filesystem as a tar archive", ArgsUsage: "[OPTIONS] CONTAINER",
		Description: "mydocker export -o web.tar web",
		Flags:       flags("", text(&output, "o,output", "Write to a file, instead of STDOUT")),
		Action: s.action(func(e *engine.Engine, args []string) error {
			if output == "" {
				if term.IsTerminal(1) {
					return exit(1, "cowardly refusing to save to a terminal. Use the -o flag or redirect")
				}
				return e.Export(args[0], os.Stdout)
			}
			return writeNew("export container", output, func(file *os.File) error { return e.Export(args[0], file) })
		}),
	}
}

// writeNew writes a file that appears under its name when it is whole. An error,
// or a signal that ends the program, leaves nothing.
func writeNew(what, path string, write func(*os.File) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		kinds := map[bool]string{true: "directory", false: "special file"}
		return exit(1, "failed to %s: cannot write to a %s", what, kinds[info.IsDir()])
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return exit(1, "failed to %s: invalid output path: %w", what, err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return exit(1, "failed to %s: %w", what, err)
	}
	defer os.Remove(file.Name())
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		signal := <-ended
		os.Remove(file.Name())
		os.Exit(128 + int(signal.(syscall.Signal)))
	}()
	if err := errors.Join(write(file), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
