package oci

import "github.com/opencontainers/runtime-spec/specs-go"

func (c *container) runHooks(kind string, hooks []specs.Hook, status specs.ContainerState) error {
	state := c.State
	state.Status = status
	return nil
}
