package spec

import (
	"fmt"
	"slices"
	"strings"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
)

// Merge completes config, what the user asked for, by the image's configuration,
// as Docker does at create. The result has a command, or the error is ErrNoCommand.
//
// An entrypoint of the user's own makes the image's command void: it was written
// for the image's entrypoint. An entrypoint of one empty string removes the
// image's and is then none.
func Merge(config *api.Config, image *dockerspec.DockerOCIImageConfig) error {
	if image == nil {
		image = &dockerspec.DockerOCIImageConfig{}
	}
	orDefault(&config.User, image.User)
	orDefault(&config.WorkingDir, image.WorkingDir)
	orDefault(&config.StopSignal, image.StopSignal)
	config.Labels = union(config.Labels, image.Labels)
	config.Volumes = union(config.Volumes, image.Volumes)
	for _, variable := range image.Env {
		name, _, _ := strings.Cut(variable, "=")
		if indexOfVariable(config.Env, name) < 0 {
			config.Env = append(config.Env, variable)
		}
	}
	for name := range image.ExposedPorts {
		port, err := network.ParsePort(name)
		if err != nil {
			return fmt.Errorf("exposed port of the image: %w", err)
		}
		if config.ExposedPorts == nil {
			config.ExposedPorts = network.PortSet{}
		}
		config.ExposedPorts[port] = struct{}{}
	}
	if len(config.Entrypoint) == 0 {
		if len(config.Cmd) == 0 {
			config.Cmd = slices.Clone(image.Cmd)
		}
		if config.Entrypoint == nil {
			config.Entrypoint = slices.Clone(image.Entrypoint)
		}
	}
	if len(config.Entrypoint) == 1 && config.Entrypoint[0] == "" {
		config.Entrypoint = nil
	}
	mergeHealthcheck(config, image.Healthcheck)
	_, err := Command(config)
	return err
}

func mergeHealthcheck(config *api.Config, image *dockerspec.HealthcheckConfig) {
	if image == nil {
		return
	}
	if config.Healthcheck == nil {
		config.Healthcheck = &api.HealthConfig{}
	}
	check := config.Healthcheck
	if len(check.Test) == 0 {
		check.Test = slices.Clone(image.Test)
	}
	orDefault(&check.Interval, image.Interval)
	orDefault(&check.Timeout, image.Timeout)
	orDefault(&check.StartPeriod, image.StartPeriod)
	orDefault(&check.StartInterval, image.StartInterval)
	orDefault(&check.Retries, image.Retries)
}

func orDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// union has what is in either map; of two values the first map's.
func union[V any](first, second map[string]V) map[string]V {
	all := make(map[string]V, len(first)+len(second))
	for _, m := range []map[string]V{second, first} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}
