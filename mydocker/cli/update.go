package cli

import (
	"fmt"
	"strings"
	"sync"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

func updateCommand(s *session) *command {
	o, given := &containerOptions{}, false
	h := &o.host
	options := append(o.resourceFlags(),
		value(&h.RestartPolicy, "string", "restart", "Restart policy to apply when a container exits", func(v string) (api.RestartPolicy, error) {
			policy, err := parseRestart(v)
			if err != nil {
				err = exit(1, "%w", err)
			}
			return policy, err
		}))
	for _, option := range options {
		assign := option.assign
		option.assign = func(v string) error {
			given = true
			return assign(v)
		}
	}
	return &command{
		Usage: "Update configuration of one or more containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker update --cpus 0.5 --restart unless-stopped web",
		Flags:       flags("cpu-rt-period cpu-rt-runtime kernel-memory", options...),
		Action: s.action(func(e *engine.Engine, refs []string) error {
			if !given {
				return exit(1, "you must provide one or more flags when using this command")
			}
			if h.PidsLimit != nil && *h.PidsLimit == 0 {
				h.PidsLimit = nil // as it is
			}
			var mu sync.Mutex
			var warnings []string
			err := each(func(e *engine.Engine, ref string) (string, error) {
				response, err := e.Update(ref, api.UpdateConfig{Resources: h.Resources, RestartPolicy: h.RestartPolicy})
				mu.Lock()
				warnings = append(warnings, response.Warnings...)
				mu.Unlock()
				return ref, err
			})(e, refs)
			if len(warnings) > 0 {
				fmt.Println(strings.Join(warnings, "\n"))
			}
			return err
		}),
	}
}
