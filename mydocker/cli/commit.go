package cli

import (
	"fmt"
	"strings"

	"minidocker/mydocker/engine"
)

func commitCommand(s *session) *command {
	var o engine.CommitOptions
	return &command{
		Usage: "Create a new image from a container's changes", ArgsUsage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
		Description: `mydocker commit -m "nginx installed" -c 'CMD ["nginx"]' web shop/web:2`,
		Flags: flags("",
			text(&o.Author, "a,author", `Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")`),
			list(&o.Changes, "c,change", "Apply Dockerfile instruction to the created image"),
			text(&o.Message, "m,message", "Commit message"),
			boolean(&o.Pause, "p,pause", "Pause container during commit").or("true"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			o.Ref = strings.Join(args[1:], "") // "" if there is none
			id, err := e.Commit(args[0], o)
			if err == nil {
				fmt.Println(id)
			}
			return err
		}),
	}
}
