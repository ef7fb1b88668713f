// Package cli is the command line: it alone knows flags, tables and exit codes.
//
// A command is one file: its flags, and an action that asks package engine and
// prints the answer as Docker would. The library is urfave/cli; arguments.go puts
// the words of the command line into the one order it understands, option.go
// gives it Docker's flags.
//
// On the host the package owns nothing but the mode of the terminal, which every
// way out restores (terminal.go), and the file of --cidfile. A client that is
// killed leaves its container running, and perhaps a terminal in raw mode: `reset`.
package cli

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/trace"
)

// name is what the program calls itself, however it was started.
const name = "mydocker"

// session is one use of the command line: the global flags.
type session struct {
	root, runRoot, instance string
	debug, version          bool
}

// Main runs the command line args, args[0] being the program, and returns the
// exit status: the command's own; or that of the container, for run, exec, attach
// and the like; or Docker's 125, 126 and 127 when a container could not be made,
// its command could not be invoked, or not be found.
func Main(args []string) int {
	s := &session{}
	cli.HelpPrinter = printHelp
	return report(s.run(args[1:]))
}

func (s *session) run(args []string) error {
	app := &cli.App{
		Name:            name,
		Usage:           "A small container engine",
		Flags:           s.flags(),
		HideHelpCommand: true,
		OnUsageError:    usageError,
		Action:          s.noCommand,
		ExitErrHandler:  func(*cli.Context, error) {}, // the default would exit at once
		Before: func(*cli.Context) error {
			if s.debug {
				trace.To(os.Stderr, "cli")
			}
			return nil
		},
	}
	words, err := s.arrange(app, args)
	if err != nil {
		return err
	}
	return app.Run(words)
}

func (s *session) flags() []cli.Flag {
	return []cli.Flag{
		boolean(&s.debug, "D", "debug", "Tell each step on standard error").from("MYDOCKER_DEBUG"),
		text(&s.instance, "", "instance", "Name of the parent cgroup and the network devices").from("MYDOCKER_INSTANCE").or("mydocker").hide(),
		text(&s.root, "", "root", "Directory of images and containers").from("MYDOCKER_ROOT").or("/var/lib/mydocker"),
		text(&s.runRoot, "", "run-root", "Directory of sockets and other state that a reboot may erase").from("MYDOCKER_RUN_ROOT").or("/run/mydocker"),
		boolean(&s.version, "v", "version", "Print version information and quit"),
	}
}

// noCommand answers a command line that names none.
func (s *session) noCommand(c *cli.Context) error {
	if !s.version {
		return cli.ShowAppHelp(c)
	}
	fmt.Printf("%s version %s\n", name, engine.Version)
	return nil
}

func (s *session) engine() (*engine.Engine, error) {
	return engine.Open(engine.Config{Root: s.root, RunRoot: s.runRoot, Instance: s.instance})
}

// action is a command's action that needs the engine.
func (s *session) action(act func(c *cli.Context, e *engine.Engine) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		e, err := s.engine()
		if err != nil {
			return err
		}
		return act(c, e)
	}
}
