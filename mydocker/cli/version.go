package cli

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/moby/moby/api/types/system"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func versionCommand(*session) *cli.Command {
	var format string
	return &cli.Command{
		Name: "version", Usage: "Show the version information",
		ArgsUsage:   "[OPTIONS]",
		Description: "mydocker version --format '{{.Server.Version}}'",
		Flags: []cli.Flag{
			text(&format, "f", "format", "Format output using a custom template: 'json' or a Go TEMPLATE"),
		},
		Before: takes(0, 0),
		Action: func(*cli.Context) error { // not s.action: a user without privileges may ask
			v, err := new(engine.Engine).Version()
			if err != nil {
				return err
			}
			if format != "" { // client and engine are one program; Docker's templates name one of them
				return printTemplate(os.Stdout, format, struct{ Client, Server system.VersionResponse }{v, v})
			}
			printVersion(v)
			return nil
		},
	}
}

func printVersion(v system.VersionResponse) {
	table := tabwriter.NewWriter(os.Stdout, 20, 1, 1, ' ', 0)
	defer table.Flush()
	fmt.Fprintf(table, "%s:\n", name)
	for _, line := range [][2]string{
		{"Version", v.Version}, {"API version", v.APIVersion}, {"Go version", v.GoVersion}, {"Git commit", v.GitCommit},
		{"Built", v.BuildTime}, {"OS/Arch", v.Os + "/" + v.Arch}, {"Kernel", v.KernelVersion},
	} {
		if line[1] != "" {
			fmt.Fprintf(table, " %s:\t%s\n", line[0], line[1])
		}
	}
}
