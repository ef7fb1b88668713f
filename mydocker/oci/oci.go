// Package oci is the command line of runc over package runtime: what Docker,
// containerd and Podman start to make a container of an OCI bundle. Every command
// is a process of its own, which ends; what the next one has to know is on disk.
//
// On the host it owns a directory for each container, ROOT/ID, and the container's
// cgroup and processes; it is the only one that writes there (see record.go). A
// kill -9 at any line leaves these, and `delete --force ID` removes them.
package oci

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
)

const (
	name        = "mydocker-runc"
	version     = "0.1.0"
	defaultRoot = "/run/mydocker-oci"
)

// host is one use of the command line: the global flags.
type host struct {
	log
	root     string
	systemd  bool
	rootless string
}

// Main runs the command line args, without the program's name, and returns the
// exit status: the container's for run and exec in the foreground, else 0, or 1
// for an error (255 in exec). Errors go to standard error and to the log.
func Main(args []string) int {
	runtime.GOMAXPROCS(1) // one thing after the other: a second processor only makes threads to wake
	h := &host{}
	app := &cli.App{
		Name: name, Usage: "runs containers of OCI bundles, with the command line of runc",
		UsageText:       name + " [global options] command [command options] [arguments...]",
		HideHelpCommand: true, DisableSliceFlagSeparator: true, HideVersion: true, Flags: h.flags(), Commands: h.commands(), Action: noCommand,
		Before: h.before, ExitErrHandler: func(*cli.Context, error) {}, // the default would exit at once
	}
	return h.report(app.Run(append([]string{name}, arrange(app, args)...)))
}

func (h *host) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "debug", Usage: "log each kernel step"},
		&cli.StringFlag{Name: "log", Usage: "file for the log, beside standard error", Destination: &h.path},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "format of the log: text or json", Destination: &h.format},
		&cli.StringFlag{Name: "root", Value: defaultRoot, Usage: "directory of the containers' state, on a tmpfs", Destination: &h.root},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "let systemd make the cgroups; cgroupsPath is \"slice:prefix:name\"", Destination: &h.systemd},
		&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "false or auto, which are the same: the caller is root", Destination: &h.rootless},
		&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version"},
	}
}

func (h *host) before(c *cli.Context) error {
	if err := h.open(); err != nil {
		return err
	}
	if c.Bool("debug") {
		if err := h.trace(); err != nil {
			return err
		}
	}
	if h.rootless != "auto" && h.rootless != "false" {
		return fmt.Errorf("--rootless %s is not supported: containers are made by root only", h.rootless)
	}
	needsNone := []string{"", "spec", "features"}
	if os.Geteuid() != 0 && !slices.Contains(needsNone, c.Args().First()) && !slices.Contains(c.Args().Slice(), "--help") {
		return fmt.Errorf("%s needs to be run by root: containers of other users are not supported", name)
	}
	return nil
}

// noCommand answers a command line that names none, or one there is not.
func noCommand(c *cli.Context) error {
	if c.NArg() > 0 {
		return &exitError{3, fmt.Errorf("No help topic for '%s'", c.Args().First())}
	}
	if !c.Bool("version") {
		return cli.ShowAppHelp(c)
	}
	// containerd and Docker take the second words of the first lines.
	_, err := fmt.Printf("%s version %s\ncommit: v%[2]s\nspec: %s\ngo: %s\n", name, version, specs.Version, runtime.Version())
	return err
}

// arrange moves a command's flags before its arguments, since runc takes them in any
// order. What follows the container in exec and ps is another program's.
func arrange(app *cli.App, args []string) []string {
	at := 0
	for at < len(args) && strings.HasPrefix(args[at], "-") {
		at += 1 + takesNext(app.Flags, args[at])
	}
	command := (*cli.Command)(nil)
	if at < len(args) {
		command = app.Command(args[at])
	}
	if command == nil || command.SkipFlagParsing || command.Name == "exec" || command.Name == "ps" {
		return args
	}
	flags, rest := slices.Clone(args[:at+1]), []string(nil)
	for at++; at < len(args); at++ {
		if args[at] == "--" {
			rest = append(rest, args[at+1:]...)
			break
		}
		if len(args[at]) < 2 || args[at][0] != '-' {
			rest = append(rest, args[at])
			continue
		}
		flags = append(flags, args[at])
		if takesNext(command.Flags, args[at]) == 1 && at+1 < len(args) {
			at++
			flags = append(flags, args[at])
		}
	}
	return append(append(flags, "--"), rest...)
}

// takesNext is 1 for a flag whose value is the next argument, else 0.
func takesNext(flags []cli.Flag, arg string) int {
	for _, flag := range flags {
		if _, isSwitch := flag.(*cli.BoolFlag); !isSwitch && slices.Contains(flag.Names(), strings.TrimLeft(arg, "-")) {
			return 1
		}
	}
	return 0
}
