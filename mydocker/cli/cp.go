package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/term"

	"minidocker/mydocker/engine"
)

func cpCommand(s *session) *command {
	var o engine.CopyOptions
	quiet := !term.IsTerminal(1)
	return &command{
		Usage:       "Copy files/folders between a container and the local filesystem",
		ArgsUsage:   "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tmydocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
		Description: "mydocker cp web:/etc/nginx .\n  tar c html | mydocker cp - web:/usr/share",
		Flags: flags("",
			boolean(&o.Archive, "a,archive", "Archive mode (what is copied in belongs to the container's user)"),
			boolean(&o.FollowLink, "L,follow-link", "Always follow symbol link in SRC_PATH"),
			boolean(&quiet, "q,quiet", "Suppress progress output during copy; without a terminal there is none"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			err := cp(e, args[0], args[1], &o, quiet)
			if own := (engine.CopyError{}); errors.As(err, &own) {
				return exit(1, "%w", own)
			}
			return err
		}),
	}
}

func cp(e *engine.Engine, source, target string, o *engine.CopyOptions, quiet bool) error {
	from, path := splitPath(source)
	to, place := splitPath(target)
	switch {
	case source == "":
		return exit(1, "source can not be empty")
	case target == "":
		return exit(1, "destination can not be empty")
	case from != "" && to != "":
		return exit(1, "copying between containers is not supported")
	case from == "" && to == "":
		return exit(1, "must specify at least one container source")
	case from != "" && path == "":
		return errors.New("bad parameter: path cannot be empty")
	case to != "" && place == "":
		return exit(1, "no such directory")
	case source == "-":
		return e.Extract(to, place, o, os.Stdin)
	case target == "-" && term.IsTerminal(1):
		return exit(1, "cowardly refusing to write an archive to a terminal")
	case target == "-":
		return e.Archive(from, path, o, os.Stdout)
	}
	err := error(nil)
	if to != "" {
		err = e.CopyTo(to, path, place, o)
	} else if err = e.CopyFrom(from, path, place, o); err == nil {
		target, err = filepath.Abs(target)
	}
	if err == nil && !quiet {
		fmt.Fprintln(os.Stderr, "Successfully copied", units.HumanSizeWithPrecision(float64(o.Size), 3), "to", target)
	}
	return err
}

// splitPath takes CONTAINER:PATH apart. A path of the host that has a colon
// begins with / or a dot.
func splitPath(arg string) (container, path string) {
	container, path, ok := strings.Cut(arg, ":")
	if !ok || strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, ".") {
		return "", arg
	}
	return container, path
}

func diffCommand(s *session) *command {
	return &command{
		Usage: "Inspect changes to files or directories on a container's filesystem", ArgsUsage: "CONTAINER",
		Description: "mydocker diff web",
		Action: s.action(func(e *engine.Engine, args []string) error {
			changes, err := e.Changes(args[0])
			for _, change := range changes {
				fmt.Println(change.Kind, change.Path)
			}
			return err
		}),
	}
}
