package cli

import (
	"fmt"
	"os"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func createCommand(s *session) *cli.Command {
	o := &containerOptions{}
	return &cli.Command{
		Name: "create", Usage: "Create a new container",
		ArgsUsage:   "[OPTIONS] IMAGE [COMMAND] [ARG...]",
		UsageText:   "mydocker container create, mydocker create",
		Description: "mydocker create --name web -v ./html:/html:ro busybox httpd -f -h /html",
		Flags:       o.flags(),
		Before:      takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			config, host, err := o.config(c.Args().Slice())
			if err != nil {
				return withHelp(err, "create")
			}
			id, err := o.create(e, config, host)
			if err == nil {
				fmt.Println(id)
			}
			return err
		}),
	}
}

// create makes the container and writes the file of --cidfile.
func (o *containerOptions) create(e *engine.Engine, config *api.Config, host *api.HostConfig) (id string, err error) {
	if o.cidfile != "" {
		file, err := newIDFile(o.cidfile)
		if err != nil {
			return "", err
		}
		defer func() { closeIDFile(file, id) }()
	}
	host.ConsoleSize = windowSize()
	response, err := e.Create(engine.CreateRequest{Name: o.name, Config: config, HostConfig: host})
	if err != nil {
		if isNoImage(err) {
			fmt.Fprintf(os.Stderr, "Unable to find image '%s' locally\n", withTag(config.Image))
		}
		return "", err
	}
	for _, warning := range response.Warnings {
		fmt.Fprintln(os.Stderr, "WARNING:", warning)
	}
	return response.ID, nil
}

// newIDFile makes the file before the container, so that a second one with the
// same file is never made.
func newIDFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return nil, fmt.Errorf("container ID file found, make sure the other container isn't running or delete %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("create the container ID file: %w", err)
	}
	return file, nil
}

func closeIDFile(file *os.File, id string) {
	_, err := file.WriteString(id)
	if err != nil {
		fmt.Fprintln(os.Stderr, "WARNING: write the container ID:", err)
	}
	file.Close()
	if id == "" {
		os.Remove(file.Name())
	}
}

// withTag adds the tag that is meant when an image's name has none.
func withTag(image string) string {
	if strings.Contains(image, "@") || strings.Contains(image[strings.LastIndex(image, "/")+1:], ":") {
		return image
	}
	return image + ":latest"
}
