package container

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/cli/templates"
)

// LogAttributes are the labels, variables and the tag that the log's options name:
// each entry of the log has them. Source: Docker, "Customize log driver output".
func (r *Record) LogAttributes() (map[string]string, error) {
	all := map[string]string{}
	for option, from := range map[string]map[string]string{"labels": r.Config.Labels, "env": assignments(r.Config.Env)} {
		names, pattern := r.HostConfig.LogConfig.Config[option], r.HostConfig.LogConfig.Config[option+"-regex"]
		listed := strings.Split(names, ",")
		matching, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("log opt %s-regex: %w", option, err)
		}
		for name, value := range from {
			if slices.Contains(listed, name) || pattern != "" && matching.MatchString(name) {
				all[name] = value
			}
		}
	}
	if tag := r.HostConfig.LogConfig.Config["tag"]; tag != "" {
		text, err := r.logTag(tag)
		if err != nil {
			return nil, fmt.Errorf("log opt tag: %w", err)
		}
		all["tag"] = text
	}
	return all, nil
}

func assignments(env []string) map[string]string {
	all := map[string]string{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		all[name] = value
	}
	return all
}

func (r *Record) logTag(tag string) (string, error) {
	parsed, err := templates.Parse(tag)
	if err != nil {
		return "", err
	}
	image := strings.TrimPrefix(r.Image, "sha256:")
	var text strings.Builder
	err = parsed.Execute(&text, struct{ ID, FullID, Name, ImageID, ImageFullID, ImageName, DaemonName string }{
		ShortID(r.ID), r.ID, r.Name, ShortID(image), r.Image, r.Config.Image, "mydocker",
	})
	return text.String(), err
}
