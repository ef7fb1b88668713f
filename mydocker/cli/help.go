package cli

import "strings"

// The layout of help, Docker's, as templates of urfave/cli.
const (
	programHelp = `Usage:  {{.Name}} [OPTIONS] COMMAND

{{.Usage}}
{{range .Commands}}{{if eq .Name "run"}}
Common Commands:
{{else if eq .Name "container"}}
Management Commands:
{{else if eq .Name "attach"}}
Commands:
{{end}}  {{printf "%-11s" .Name}} {{.Usage}}
{{end}}
Global Options:
{{range .VisibleFlags}}{{.}}
{{end}}
Run '{{.Name}} COMMAND --help' for more information on a command.
`
	commandHelp = `Usage:  {{.HelpName}} {{.ArgsUsage}}

{{.Usage}}
{{with .UsageText}}
Aliases:
  {{.}}
{{end}}{{with .Description}}
Examples:
  {{.}}
{{end}}{{with .Subcommands}}
Commands:
{{range .}}  {{printf "%-11s" .Name}} {{.Usage}}
{{end}}
Run '{{$.HelpName}} COMMAND --help' for more information on a command.
{{end}}{{with .VisibleFlags}}
Options:
{{range .}}{{.}}
{{end}}{{end}}`
)

// path is what is typed to run the command.
func path(c *command) string { return strings.TrimSpace(name + " " + c.Name) }

func usageLine(c *command) string { return path(c) + " " + c.ArgsUsage }
