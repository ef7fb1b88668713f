package cli

import "minidocker/mydocker/engine"

func tagCommand(s *session) *command {
	return &command{
		Usage: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", ArgsUsage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
		Description: "mydocker tag busybox shell:v1",
		Action:      s.action(func(e *engine.Engine, args []string) error { return e.Tag(args[0], args[1]) }),
	}
}
