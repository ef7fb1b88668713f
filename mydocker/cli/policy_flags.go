package cli

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/docker/cli/pkg/kvfile"
	api "github.com/moby/moby/api/types/container"
)

// policyFlags are the flags of run and create that settle how a container lives:
// its restarts, its health check, its log, what it may use.
func (o *containerOptions) policyFlags() []*option {
	c, h := &o.config, &o.host
	return []*option{
		pairs(&h.Annotations, "=", "annotation", "Add an annotation to the container (passed through to the OCI runtime)"),
		text(&c.Domainname, "domainname", "Container NIS domain name"),
		text(&o.healthCommand, "health-cmd", "Command to run to check health"),
		unverified(),
		duration(&o.health.Interval, "health-interval", "Time between running the check (ms|s|m|h) (default 30s)"),
		integer(&o.health.Retries, "health-retries", "Consecutive failures needed to report unhealthy (default 3)"),
		duration(&o.health.StartInterval, "health-start-interval", "Time between running the check during the start period (ms|s|m|h) (default 5s)"),
		duration(&o.health.StartPeriod, "health-start-period", "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)"),
		duration(&o.health.Timeout, "health-timeout", "Maximum time to allow one check to run (ms|s|m|h) (default 30s)"),
		list(&o.labelFiles, "label-file", "Read in a line delimited file of labels"),
		parsed("list", "link", "", func(string) error {
			return exit(125, "flag --link is not supported: containers of one network find each other by name, see --network")
		}),
		text(&h.LogConfig.Type, "log-driver", "Logging driver for the container: json-file (default) or none"),
		pairs(&h.LogConfig.Config, "=", "log-opt", "Log driver options: max-size, max-file, labels, labels-regex, env, env-regex, tag"),
		integer(&o.swappiness, "memory-swappiness", "Tune container memory swappiness (0 to 100)").or("-1"),
		boolean(&o.noHealthcheck, "no-healthcheck", "Disable any container-specified HEALTHCHECK"),
		text(&o.platform, "platform", "Set platform if server is multi-platform capable"),
		text(&o.pull, "pull", `Pull image before running ("always", "missing", "never")`).or("missing"),
		boolean(&o.quiet, "q,quiet", "Suppress the pull output"),
		text(&o.restart, "restart", "Restart policy to apply when a container exits: no, always, unless-stopped, on-failure[:n]").or("no"),
		list(&h.VolumesFrom, "volumes-from", "Mount volumes from the specified container(s)"),
	}
}

// checkPolicies completes what the flags above have filled in.
func (o *containerOptions) checkPolicies() (err error) {
	h := &o.host
	if o.swappiness < -1 || o.swappiness > 100 {
		return fmt.Errorf("invalid value: %d. Valid memory swappiness range is 0-100", o.swappiness)
	}
	if o.swappiness >= 0 {
		h.MemorySwappiness = &o.swappiness
	}
	if err := checkPull(o.pull); err != nil {
		return err
	}
	if h.RestartPolicy, err = parseRestart(o.restart); err != nil {
		return err
	}
	switch {
	case h.AutoRemove && !h.RestartPolicy.IsNone():
		return errors.New("conflicting options: cannot specify both --restart and --rm")
	case h.LogConfig.Type == "none" && len(h.LogConfig.Config) > 0:
		return errors.New("invalid logging opts for driver none")
	}
	if err := o.addLabels(); err != nil {
		return err
	}
	return o.setHealthcheck()
}

func checkPull(policy string) error {
	switch policy {
	case "always", "missing", "never":
		return nil
	}
	return fmt.Errorf("invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"", policy)
}

// parseRestart reads NAME[:N]. Which names there are package spec knows.
func parseRestart(v string) (api.RestartPolicy, error) {
	policy, most, counted := strings.Cut(v, ":")
	if counted && policy == "" {
		return api.RestartPolicy{}, errors.New("invalid restart policy format: no policy provided before colon")
	}
	n, err := strconv.Atoi(cmp.Or(most, "0"))
	if err != nil {
		return api.RestartPolicy{}, errors.New("invalid restart policy format: maximum retry count must be an integer")
	}
	return api.RestartPolicy{Name: api.RestartPolicyMode(policy), MaximumRetryCount: n}, nil
}

// addLabels reads the files of --label-file; -l overrides them.
func (o *containerOptions) addLabels() error {
	all := map[string]string{}
	for _, file := range o.labelFiles {
		lines, err := kvfile.Parse(file, nil)
		if err != nil {
			return err
		}
		for _, line := range lines {
			key, value, _ := strings.Cut(line, "=")
			all[key] = value
		}
	}
	maps.Copy(all, o.config.Labels)
	o.config.Labels = all
	return nil
}

// setHealthcheck makes the health check of its flags, or none over the image's.
func (o *containerOptions) setHealthcheck() error {
	check := o.health
	given := o.healthCommand != "" || check.Interval != 0 || check.Timeout != 0 || check.StartPeriod != 0 || check.StartInterval != 0 || check.Retries != 0
	for flag, value := range map[string]int64{
		"interval": int64(check.Interval), "timeout": int64(check.Timeout), "retries": int64(check.Retries),
		"start-period": int64(check.StartPeriod), "start-interval": int64(check.StartInterval),
	} {
		if value < 0 && !o.noHealthcheck {
			return fmt.Errorf("--health-%s cannot be negative", flag)
		}
	}
	switch {
	case o.noHealthcheck && given:
		return errors.New("--no-healthcheck conflicts with --health-* options")
	case o.noHealthcheck:
		check.Test = []string{"NONE"}
	case o.healthCommand != "":
		check.Test = []string{"CMD-SHELL", o.healthCommand}
	case !given:
		return nil
	}
	o.config.Healthcheck = &check
	return nil
}
