package cli

import (
	"os"
	"text/template"

	"github.com/moby/moby/api/types/system"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

const versionText = `{{with .Server}}mydocker:
 Version:           {{.Version}}{{with .APIVersion}}
 API version:       {{.}}{{end}}
 Go version:        {{.GoVersion}}{{with .GitCommit}}
 Git commit:        {{.}}{{end}}{{with .BuildTime}}
 Built:             {{.}}{{end}}
 OS/Arch:           {{.Os}}/{{.Arch}}
 Kernel:            {{.KernelVersion}}{{end}}`

func versionCommand(*session) *command {
	var format *template.Template
	return &command{
		Usage: "Show the version information", ArgsUsage: "[OPTIONS]",
		Description: "mydocker version --format '{{.Server.Version}}'",
		Flags:       flags("", object(&format, "f,format", versionText)),
		Action: func(*cli.Context) error { // not s.action: a user without privileges may ask
			v, err := new(engine.Engine).Version()
			if err != nil {
				return err
			}
			// Client and engine are one program; Docker's templates name one of them.
			return printTemplate(os.Stdout, format, struct{ Client, Server system.VersionResponse }{v, v})
		},
	}
}
