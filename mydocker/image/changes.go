package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
)

// Change applies Dockerfile instructions to a config, those that docker import
// --change and docker commit --change take: CMD, ENTRYPOINT, ENV, EXPOSE,
// HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR.
func Change(config *dockerspec.DockerOCIImageConfig, instructions []string) error {
	c := changer{config: config}
	for _, line := range logicalLines(instructions) {
		name, rest := cutWord(line)
		name = strings.ToUpper(name)
		if rest == "" {
			return fmt.Errorf("%s requires at least one argument", name)
		}
		if err := c.apply(name, rest); err != nil {
			return err
		}
	}
	return nil
}

// logicalLines drops comments and joins lines that end in a backslash.
func logicalLines(instructions []string) []string {
	var lines []string
	open := false
	for line := range strings.SplitSeq(strings.Join(instructions, "\n"), "\n") {
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		text, continued := strings.CutSuffix(strings.TrimRight(line, " \t\r"), `\`)
		if open {
			lines[len(lines)-1] += text
		} else {
			lines = append(lines, text)
		}
		open = continued
	}
	return lines
}

func cutWord(line string) (word, rest string) {
	line = strings.TrimSpace(line)
	if at := strings.IndexAny(line, " \t"); at >= 0 {
		return line[:at], strings.TrimSpace(line[at:])
	}
	return line, ""
}

type changer struct {
	config *dockerspec.DockerOCIImageConfig
	cmdSet bool // CMD was among the instructions, so ENTRYPOINT leaves it
}

func (c *changer) apply(name, rest string) error {
	switch name {
	case "CMD":
		c.config.Cmd, c.cmdSet = c.command(rest), true
		return nil
	case "ENTRYPOINT":
		c.config.Entrypoint = c.command(rest)
		if !c.cmdSet {
			c.config.Cmd = nil
		}
		return nil
	case "ONBUILD":
		return c.onBuild(rest)
	case "HEALTHCHECK":
		return c.healthcheck(rest)
	case "ENV":
		return c.pairs(name, rest, c.setEnv)
	case "LABEL":
		return c.pairs(name, rest, func(key, value string) { put(&c.config.Labels, key, value) })
	case "EXPOSE", "VOLUME", "USER", "WORKDIR", "STOPSIGNAL":
		words, err := c.arguments(name, rest)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return c.set(name, words)
	}
	return fmt.Errorf("%s is not a valid change command", strings.ToLower(name))
}

func (c *changer) set(name string, words []string) error {
	if len(words) != 1 && name != "EXPOSE" && name != "VOLUME" {
		return fmt.Errorf("%s requires exactly one argument", name)
	}
	switch name {
	case "USER":
		c.config.User = words[0]
	case "STOPSIGNAL":
		c.config.StopSignal = words[0]
	case "WORKDIR":
		dir := words[0]
		if !path.IsAbs(dir) {
			dir = path.Join("/", c.config.WorkingDir, dir)
		}
		c.config.WorkingDir = path.Clean(dir)
	case "VOLUME":
		for _, word := range words {
			if strings.TrimSpace(word) == "" {
				return errors.New("VOLUME specified can not be an empty string")
			}
			put(&c.config.Volumes, word, struct{}{})
		}
	case "EXPOSE":
		for _, word := range words {
			if err := c.expose(word); err != nil {
				return err
			}
		}
	}
	return nil
}

// arguments are an instruction's words; VOLUME's may be a JSON list.
func (c *changer) arguments(name, rest string) ([]string, error) {
	raw := splitWords(rest)
	if list, ok := jsonList(rest); ok && name == "VOLUME" {
		raw = list
	} else if name == "USER" || name == "WORKDIR" || name == "STOPSIGNAL" {
		raw = []string{rest}
	}
	for n := range raw {
		word, err := expand(raw[n], c.config.Env)
		if err != nil {
			return nil, err
		}
		raw[n] = word
	}
	return raw, nil
}

// command is a JSON list as it stands, or any other text for the shell.
func (c *changer) command(text string) []string {
	if list, ok := jsonList(text); ok {
		return list
	}
	shell := c.config.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(shell[:len(shell):len(shell)], text)
}

func jsonList(text string) ([]string, bool) {
	list := []string{}
	if !strings.HasPrefix(text, "[") || json.Unmarshal([]byte(text), &list) != nil {
		return nil, false
	}
	return list, true
}

// pairs parses key=value words, or the older "key value" with one pair a line.
func (c *changer) pairs(name, rest string, set func(key, value string)) error {
	words := splitWords(rest)
	if key, value := cutWord(rest); !strings.Contains(words[0], "=") {
		if value == "" {
			return fmt.Errorf("%s must have two arguments", name)
		}
		words = []string{key + "=" + value}
	}
	env := c.config.Env // a line sees the variables of the lines above it
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return fmt.Errorf("syntax error: can't find = in %q. Must be of the form: name=value", word)
		}
		key, err := expand(key, env)
		if err == nil {
			value, err = expand(value, env)
		}
		if err == nil && key == "" {
			err = errors.New("names can not be blank")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		set(key, value)
	}
	return nil
}

func (c *changer) setEnv(key, value string) {
	env := append([]string(nil), c.config.Env...)
	for n := range env {
		if strings.HasPrefix(env[n], key+"=") {
			env[n] = key + "=" + value
			c.config.Env = env
			return
		}
	}
	c.config.Env = append(env, key+"="+value)
}

// expose takes PORT[-PORT][/PROTOCOL].
func (c *changer) expose(spec string) error {
	ports, protocol, ok := strings.Cut(strings.ToLower(spec), "/")
	if !ok {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return fmt.Errorf("invalid proto: %s", protocol)
	}
	low, high, isRange := strings.Cut(ports, "-")
	first, err := strconv.ParseUint(low, 10, 16)
	last := first
	if err == nil && isRange {
		last, err = strconv.ParseUint(high, 10, 16)
	}
	if err != nil || last < first {
		return fmt.Errorf("invalid containerPort: %s", spec)
	}
	for port := first; port <= last; port++ {
		put(&c.config.ExposedPorts, fmt.Sprintf("%d/%s", port, protocol), struct{}{})
	}
	return nil
}

func (c *changer) onBuild(rest string) error {
	trigger, _ := cutWord(rest)
	switch trigger = strings.ToUpper(trigger); trigger {
	case "ONBUILD":
		return errors.New("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
	case "MAINTAINER", "FROM":
		return fmt.Errorf("%s isn't allowed as an ONBUILD trigger", trigger)
	}
	c.config.OnBuild = append(c.config.OnBuild, rest)
	return nil
}

func (c *changer) healthcheck(rest string) error {
	var check dockerspec.HealthcheckConfig
	word, after := cutWord(rest)
	for ; strings.HasPrefix(word, "--"); word, after = cutWord(after) {
		if err := healthcheckFlag(&check, word[2:]); err != nil {
			return err
		}
	}
	switch kind := strings.ToUpper(word); {
	case kind == "NONE" && after == "":
		check.Test = []string{"NONE"}
	case kind == "NONE":
		return errors.New("HEALTHCHECK NONE takes no arguments")
	case kind == "CMD" && after == "":
		return errors.New("missing command after HEALTHCHECK CMD")
	case kind == "CMD":
		if list, ok := jsonList(after); ok {
			check.Test = append([]string{"CMD"}, list...)
		} else {
			check.Test = []string{"CMD-SHELL", after}
		}
	default:
		return fmt.Errorf("unknown type %q in HEALTHCHECK (try CMD)", word)
	}
	c.config.Healthcheck = &check
	return nil
}

func healthcheckFlag(check *dockerspec.HealthcheckConfig, flag string) error {
	name, value, _ := strings.Cut(flag, "=")
	var err error
	switch name {
	case "interval":
		check.Interval, err = time.ParseDuration(value)
	case "timeout":
		check.Timeout, err = time.ParseDuration(value)
	case "start-period":
		check.StartPeriod, err = time.ParseDuration(value)
	case "start-interval":
		check.StartInterval, err = time.ParseDuration(value)
	case "retries":
		check.Retries, err = strconv.Atoi(value)
	default:
		return fmt.Errorf("unknown flag: --%s", name)
	}
	if err != nil {
		return fmt.Errorf("HEALTHCHECK --%s: %w", name, err)
	}
	return nil
}

// put sets a key of a map that may not exist yet.
func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}
