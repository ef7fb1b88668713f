package cli

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func rmiCommand(s *session) *cli.Command {
	var o engine.RemoveImageOptions
	return &cli.Command{
		Name: "rmi", Usage: "Remove one or more images",
		ArgsUsage:   "[OPTIONS] IMAGE [IMAGE...]",
		UsageText:   "mydocker image rm, mydocker image remove, mydocker rmi",
		Description: "mydocker rmi busybox:latest",
		Flags: []cli.Flag{
			boolean(&o.Force, "f", "force", "Force removal of the image"),
			boolean(&o.NoPrune, "", "no-prune", "Do not delete untagged parents"),
			unsupported("", "platform"),
		},
		Before: takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return removeImages(e, c.Args().Slice(), o)
		}),
	}
}

func removeImagesCommand(s *session) *cli.Command {
	c := rmiCommand(s)
	c.Name, c.Aliases = "rm", []string{"remove", "rmi"}
	return c
}

func removeImages(e *engine.Engine, refs []string, o engine.RemoveImageOptions) error {
	var errs []error
	failed := false
	for _, ref := range refs {
		removed, err := e.RemoveImage(ref, o)
		if err != nil {
			errs = append(errs, err)
			failed = failed || !o.Force || !isNoImage(err)
		}
		for _, r := range removed {
			if r.Deleted != "" {
				fmt.Println("Deleted:", r.Deleted)
			} else {
				fmt.Println("Untagged:", r.Untagged)
			}
		}
	}
	err := errors.Join(errs...)
	if err != nil && !failed { // -f: that there is none is what was wanted
		show(err)
		return nil
	}
	return err
}
