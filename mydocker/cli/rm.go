package cli

import "minidocker/mydocker/engine"

func rmCommand(s *session) *command {
	var o engine.RemoveOptions
	return &command{
		Usage: "Remove one or more containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker rm -f web",
		Flags: flags("l,link",
			boolean(&o.Force, "f,force", "Force the removal of a running container (uses SIGKILL)"),
			boolean(&o.Volumes, "v,volumes", "Remove anonymous volumes associated with the container"),
		),
		Action: s.action(each(func(e *engine.Engine, ref string) (string, error) {
			err := e.Remove(ref, o)
			if o.Force && isNotFound(err) { // said, but no failure, as in Docker
				show(err)
				return "", nil
			}
			return ref, err
		})),
	}
}
