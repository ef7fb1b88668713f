package cli

import (
	"fmt"
	"strings"

	"minidocker/mydocker/engine"
)

func startCommand(s *session) *command {
	x := exchange{stdout: true, stderr: true, mayDetach: true}
	var attach bool
	return &command{
		Usage: "Start one or more stopped containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker start -ai shell",
		Flags: flags("checkpoint checkpoint-dir",
			boolean(&attach, "a,attach", "Attach STDOUT/STDERR and forward signals"),
			detachKeys(&x.keys),
			boolean(&x.stdin, "i,interactive", "Attach container's STDIN"),
		),
		Action: s.action(func(e *engine.Engine, refs []string) error {
			if !attach && !x.stdin {
				return startAll(e, refs)
			}
			if len(refs) > 1 {
				return exit(1, "you cannot start and attach multiple containers at once")
			}
			r, err := e.Inspect(refs[0], false)
			if err != nil {
				return err
			}
			x.stdin, x.tty, x.proxied = x.stdin && r.Config.OpenStdin, r.Config.Tty, !r.Config.Tty
			_, err = x.follow(e, r.ID, r.HostConfig.AutoRemove, e.StartAttached)
			return err
		}),
	}
}

func startAll(e *engine.Engine, refs []string) error {
	var missed []string
	for _, ref := range refs {
		if err := e.Start(ref); err != nil {
			show(err)
			missed = append(missed, ref)
		} else {
			fmt.Println(ref)
		}
	}
	if missed != nil {
		return fmt.Errorf("failed to start containers: %s", strings.Join(missed, ", "))
	}
	return nil
}
