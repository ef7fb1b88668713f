package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/docker/cli/pkg/kvfile"
	"github.com/opencontainers/go-digest"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/image"
)

func createCommand(s *session) *command {
	o := &containerOptions{}
	return &command{
		Usage: "Create a new container", ArgsUsage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
		Description: "mydocker create --name web -v ./html:/html:ro busybox httpd -f -h /html",
		Flags:       o.flags(),
		Action: s.action(func(e *engine.Engine, words []string) error {
			if err := o.request(words); err != nil {
				return withHelp(err, "create")
			}
			id, err := o.create(e)
			if err == nil {
				fmt.Println(id)
			}
			return err
		}),
	}
}

// request completes what the flags have filled in to what Docker's command line
// sends to the engine. words are IMAGE [COMMAND] [ARG...].
func (o *containerOptions) request(words []string) (err error) {
	c, h := &o.config, &o.host
	c.Image = words[0]
	if len(words) > 1 { // otherwise that of the image
		c.Cmd = words[1:]
	}
	c.StdinOnce = c.OpenStdin // the input ends with the client that was attached from the start
	c.AttachStdin = c.AttachStdin || c.OpenStdin
	if !o.attached {
		c.AttachStdout, c.AttachStderr = true, true
	}
	if err := o.checkPolicies(); err != nil {
		return err
	}
	if c.Env, err = withFiles(o.envFiles, c.Env); err != nil {
		return err
	}
	for i, opt := range h.SecurityOpt {
		if h.SecurityOpt[i], err = withProfile(opt); err != nil {
			return err
		}
	}
	return cmp.Or(o.settlePorts(), o.settleNetworks())
}

// environment is -e: a variable without a value has that of the client's environment.
func environment(to *[]string) *option {
	return parsed("list", "e,env", "Set environment variables", func(v string) error {
		if v == "" || v[0] == '=' {
			return fmt.Errorf("invalid environment variable: %s", v)
		}
		if value, ok := os.LookupEnv(v); ok {
			v += "=" + value
		}
		*to = append(*to, v)
		return nil
	})
}

// withFiles reads the files of --env-file first, so that -e overrides them.
func withFiles(files, given []string) (all []string, err error) {
	for _, file := range files {
		lines, err := kvfile.Parse(file, os.LookupEnv)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return append(all, given...), nil
}

// withProfile replaces the name of a seccomp profile's file by its content, for
// the engine may be on another machine.
func withProfile(opt string) (string, error) {
	file, ok := strings.CutPrefix(opt, "seccomp=")
	switch {
	case !strings.ContainsAny(opt, "=:") && opt != "no-new-privileges":
		return "", fmt.Errorf("Invalid --security-opt: %q", opt)
	case !ok || file == "unconfined" || file == "builtin":
		return opt, nil
	}
	profile, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("opening seccomp profile (%s) failed: %w", file, err)
	}
	compact, err := json.Marshal(json.RawMessage(profile))
	if err != nil {
		return "", fmt.Errorf("compacting json for seccomp profile (%s) failed: %w", file, err)
	}
	return "seccomp=" + string(compact), nil
}

// create makes the container and writes the file of --cidfile. The file is made
// before the container, so that there are never two with the same file.
func (o *containerOptions) create(e *engine.Engine) (id string, err error) {
	if path := o.host.ContainerIDFile; path != "" {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			return "", fmt.Errorf("container ID file found, make sure the other container isn't running or delete %s", path)
		}
		if err != nil {
			return "", err
		}
		defer func() { closeIDFile(file, id) }()
	}
	o.host.ConsoleSize = windowSize()
	if i := slices.IndexFunc(o.host.DNS, netip.Addr.IsLoopback); i >= 0 {
		fmt.Fprintf(os.Stderr, "WARNING: Localhost DNS (%s) may fail in containers.\n", o.host.DNS[i])
	}
	if o.pull == "always" {
		if err := o.pullImage(e); err != nil {
			return "", err
		}
	}
	request := engine.CreateRequest{Name: o.name, Config: &o.config, HostConfig: &o.host, Networks: o.endpoints, Platform: o.platform}
	response, err := e.Create(request)
	_, noID := digest.Parse(o.config.Image) // an ID cannot be pulled
	if n, bad := image.ParseName(o.config.Image); isNoImage(err) && bad == nil && noID != nil && o.pull == "missing" {
		if !o.quiet {
			fmt.Fprintf(os.Stderr, "Unable to find image '%s' locally\n", n.Short)
		}
		if err := o.pullImage(e); err != nil {
			return "", err
		}
		response, err = e.Create(request)
	}
	for _, warning := range response.Warnings {
		fmt.Fprintln(os.Stderr, "WARNING:", warning)
	}
	return response.ID, err
}

// pullImage tells of the pull on standard error: the container's ID alone goes to standard output.
func (o *containerOptions) pullImage(e *engine.Engine) error {
	n, err := image.ParseName(o.config.Image)
	if err != nil {
		return err
	}
	return (&pullOptions{quiet: o.quiet, platform: o.platform}).pull(e, n, os.Stderr)
}

func closeIDFile(file *os.File, id string) {
	if _, err := file.WriteString(id); err != nil {
		fmt.Fprintln(os.Stderr, "WARNING:", err)
	}
	file.Close()
	if id == "" {
		os.Remove(file.Name())
	}
}
