package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/system"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func infoCommand(s *session) *cli.Command {
	var format string
	return &cli.Command{
		Name: "info", Usage: "Display system-wide information",
		ArgsUsage:   "[OPTIONS]",
		UsageText:   "mydocker system info, mydocker info",
		Description: "mydocker info --format '{{.CgroupVersion}}'",
		Flags: []cli.Flag{
			text(&format, "f", "format", "Format output using a custom template: 'json' or a Go TEMPLATE"),
		},
		Before: takes(0, 0),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			i, err := e.Info()
			if err != nil {
				return err
			}
			if format != "" {
				return printTemplate(os.Stdout, format, i)
			}
			printInfo(os.Stdout, i)
			for _, warning := range i.Warnings {
				fmt.Fprintln(os.Stderr, warning)
			}
			return nil
		}),
	}
}

// printInfo has Docker's lines for what there is here.
func printInfo(w io.Writer, i system.Info) {
	line := func(label string, value any) {
		if value != "" {
			fmt.Fprintf(w, "%s: %v\n", label, value)
		}
	}
	line("Containers", i.Containers)
	line(" Running", i.ContainersRunning)
	line(" Paused", i.ContainersPaused)
	line(" Stopped", i.ContainersStopped)
	line("Images", i.Images)
	line("Server Version", i.ServerVersion)
	line("Storage Driver", i.Driver)
	for _, pair := range i.DriverStatus {
		line(" "+pair[0], pair[1])
	}
	line("Logging Driver", i.LoggingDriver)
	line("Cgroup Driver", i.CgroupDriver)
	line("Cgroup Version", i.CgroupVersion)
	line("Networks", strings.Join(i.Plugins.Network, " "))
	if len(i.SecurityOptions) > 0 {
		fmt.Fprintln(w, "Security Options:")
		for _, option := range i.SecurityOptions {
			printSecurity(w, option)
		}
	}
	line("Kernel Version", i.KernelVersion)
	line("Operating System", i.OperatingSystem)
	line("OSType", i.OSType)
	line("Architecture", i.Architecture)
	line("CPUs", i.NCPU)
	line("Total Memory", units.BytesSize(float64(i.MemTotal)))
	line("Name", i.Name)
	line("ID", i.ID)
	line("Docker Root Dir", i.DockerRootDir)
	line("Debug Mode", i.Debug)
}

// printSecurity prints name=seccomp,profile=builtin as the API writes it.
func printSecurity(w io.Writer, option string) {
	for field := range strings.SplitSeq(option, ",") {
		key, value, ok := strings.Cut(field, "=")
		switch {
		case !ok:
			fmt.Fprintf(w, " %s\n", key)
		case key == "name":
			fmt.Fprintf(w, " %s\n", value)
		case key == "profile":
			fmt.Fprintf(w, "  Profile: %s\n", value)
		}
	}
}
