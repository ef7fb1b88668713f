// Package cli is the command line: it alone knows flags, tables and exit codes.
//
// A command is one function, in a file with those of its kind: its flags, and an action that asks package engine and
// prints the answer as Docker would. urfave/cli runs it and prints help; pflag, as in
// Docker, reads the command line (arguments.go).
//
// On the host the package owns nothing but the mode of the terminal, which every
// way out restores (terminal.go), and the file of --cidfile. A client that is
// killed leaves its container running, and perhaps a terminal in raw mode: `reset`.
package cli

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
	"minidocker/mydocker/trace"
)

// name is what the program calls itself, however it was started.
const name = "mydocker"

// session is one use of the command line: the global flags.
type session struct {
	engine.Config
	configPath     string // "": the default file, if it is there
	debug, version bool
}

// Main runs the command line args, args[0] being the program, and returns the
// exit status: the command's own; or that of the container, for run, exec, attach
// and the like; or Docker's 125, 126 and 127 when a container could not be made,
// its command could not be invoked, or not be found.
func Main(args []string) int {
	return report(new(session).run(args[1:]))
}

func (s *session) run(args []string) error {
	if len(args) > 1 && args[0] == "__complete" {
		s.complete(os.Stdout, args[1:])
		return nil
	}
	app := &cli.App{
		Name: name, Usage: "A small container engine", Flags: s.flags(), HideHelp: true,
		CustomAppHelpTemplate: programHelp, Action: s.noCommand,
		ExitErrHandler: func(*cli.Context, error) {}, // the default would exit at once
	}
	words, err := s.arrange(app, args)
	if err != nil {
		return err
	}
	if s.debug {
		trace.To(os.Stderr, "cli")
	}
	return app.Run(words)
}

func (s *session) flags() []cli.Flag {
	return flags("",
		text(&s.BridgeAddress, "bip", "Address of the default bridge with its subnet, such as 10.1.0.1/24").or(os.Getenv("MYDOCKER_BIP")),
		text(&s.configPath, "config", "File of settings (default "+configFile+")").or(os.Getenv("MYDOCKER_CONFIG")),
		boolean(&s.debug, "D,debug", "Tell each step on standard error").or(os.Getenv("MYDOCKER_DEBUG")),
		text(&s.Instance, "instance", "").or(os.Getenv("MYDOCKER_INSTANCE")), // names the parent cgroup and the network devices
		text(&s.Root, "root", "Directory of images and containers (default "+engine.DefaultRoot+")").or(os.Getenv("MYDOCKER_ROOT")),
		text(&s.RunRoot, "run-root", "Directory of sockets and other state that a reboot may erase").or(os.Getenv("MYDOCKER_RUN_ROOT"), "/run/mydocker"),
		boolean(&s.version, "v,version", "Print version information and quit"),
	)
}

// noCommand answers a command line that names none.
func (s *session) noCommand(c *cli.Context) error {
	if !s.version {
		sort.Sort(cli.FlagsByName(c.App.Flags))
		return cli.ShowAppHelp(c)
	}
	fmt.Printf("%s version %s\n", name, engine.Version)
	return nil
}

// action is a command's action that needs the engine.
func (s *session) action(act func(e *engine.Engine, args []string) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		var e *engine.Engine
		config, err := s.configure()
		if err == nil {
			e, err = engine.Open(config)
		}
		switch {
		case err == nil:
			return act(e, c.Args().Slice())
		case strings.HasSuffix(c.Command.Name, "run"):
			return withHelp(err, "run")
		}
		return err
	}
}

// each is the action of a command that does the same to several containers, at
// once, since stopping one may take ten seconds. It prints the answers in the order
// of the command line, but for empty ones; the errors come back together.
func each(do func(e *engine.Engine, ref string) (answer string, err error)) func(*engine.Engine, []string) error {
	return func(e *engine.Engine, refs []string) error {
		answers, errs := make([]string, len(refs)), make([]error, len(refs))
		done := make([]chan struct{}, len(refs))
		for i, ref := range refs {
			done[i] = make(chan struct{})
			go func() {
				defer close(done[i])
				answers[i], errs[i] = do(e, ref)
			}()
		}
		for i := range refs {
			if <-done[i]; errs[i] == nil && answers[i] != "" {
				fmt.Println(answers[i])
			}
		}
		return errors.Join(errs...)
	}
}
