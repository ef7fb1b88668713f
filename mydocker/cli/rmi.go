package cli

import (
	"errors"
	"fmt"

	"minidocker/mydocker/engine"
)

func rmiCommand(s *session) *command {
	var o engine.RemoveImageOptions
	return &command{
		Usage: "Remove one or more images", ArgsUsage: "[OPTIONS] IMAGE [IMAGE...]",
		Description: "mydocker rmi busybox:latest",
		Flags: flags("platform",
			boolean(&o.Force, "f,force", "Force removal of the image"),
			boolean(&o.NoPrune, "no-prune", "Do not delete untagged parents"),
		),
		Action: s.action(func(e *engine.Engine, refs []string) error {
			var errs []error
			for _, ref := range refs {
				removed, err := e.RemoveImage(ref, o)
				for _, r := range removed {
					if r.Deleted != "" {
						fmt.Println("Deleted:", r.Deleted)
					} else {
						fmt.Println("Untagged:", r.Untagged)
					}
				}
				if o.Force && isNoImage(err) { // that there is none is what was wanted
					show(err)
					err = nil
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		}),
	}
}
