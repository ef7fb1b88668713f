package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/template"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/system"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

// infoText has Docker's lines for what there is here.
const infoText = `Containers: {{.Containers}}
 Running: {{.ContainersRunning}}
 Paused: {{.ContainersPaused}}
 Stopped: {{.ContainersStopped}}
Images: {{.Images}}
Server Version: {{.ServerVersion}}
Storage Driver: {{.Driver}}{{range .DriverStatus}}
 {{index . 0}}: {{index . 1}}{{end}}
Logging Driver: {{.LoggingDriver}}
Cgroup Driver: {{.CgroupDriver}}
Cgroup Version: {{.CgroupVersion}}
Plugins:
 Network: {{join .Plugins.Network " "}}
Security Options:{{range .Security}}
 {{.}}{{end}}
Kernel Version: {{.KernelVersion}}
Operating System: {{.OperatingSystem}}
OSType: {{.OSType}}
Architecture: {{.Architecture}}
CPUs: {{.NCPU}}
Total Memory: {{.Memory}}
Name: {{.Name}}
ID: {{.ID}}
Docker Root Dir: {{.DockerRootDir}}
Debug Mode: {{.Debug}}{{with .RegistryConfig}}
Insecure Registries:{{range .IndexConfigs}}{{if not .Secure}}
 {{.Name}}{{end}}{{end}}{{range .InsecureRegistryCIDRs}}
 {{.}}{{end}}{{with .Mirrors}}
Registry Mirrors:{{range .}}
 {{.}}{{end}}{{end}}{{end}}{{with .DefaultAddressPools}}
Default Address Pools:{{range .}}
  Base: {{.Base}}, Size: {{.Size}}{{end}}{{end}}`

func infoCommand(s *session) *command {
	var format *template.Template
	all := object(&format, "f,format", infoText)
	normal := format
	return &command{
		Usage: "Display system-wide information", ArgsUsage: "[OPTIONS]",
		Description: "mydocker info --format '{{.CgroupVersion}}'",
		Flags:       flags("", all),
		Action: s.action(func(e *engine.Engine, _ []string) error {
			i, err := e.Info()
			if err != nil {
				return err
			}
			for _, warning := range i.Warnings {
				if format == normal { // a script asks for one thing
					fmt.Fprintln(os.Stderr, warning)
				}
			}
			return printInfo(os.Stdout, format, i)
		}),
	}
}

type info struct {
	system.Info
	Memory   string   `json:"-"`
	Security []string `json:"-"`
}

func printInfo(w io.Writer, format *template.Template, i system.Info) error {
	var security []string
	for _, option := range i.SecurityOptions { // name=seccomp,profile=builtin
		security = append(security, strings.NewReplacer("name=", "", ",profile=", "\n  Profile: ").Replace(option))
	}
	return printTemplate(w, format, info{i, units.BytesSize(float64(i.MemTotal)), security})
}

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
