package oci

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

func (h *host) commands() []*cli.Command {
	const one = "<container-id>"
	create, run, exec := &creation{host: h, caller: caller{detach: true}}, &creation{host: h}, &execution{host: h}
	limits := []cli.Flag{text("resources,r", "file of the resources as in config.json, or - for standard input; other flags are ignored then")}
	for _, l := range limitFlags() {
		limits = append(limits, text(l.flag, l.usage))
	}
	format := &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "table or json"}
	return []*cli.Command{
		{Name: "create", Usage: "create a container", ArgsUsage: one, Flags: create.flags(), Action: take(1, 1, create.createAction)},
		{Name: "start", Usage: "execute the user's program in a created container", ArgsUsage: one, Action: take(1, 1, h.start)},
		{Name: "run", Usage: "create and start a container", ArgsUsage: one, Action: take(1, 1, run.runAction), Flags: append(run.flags(), run.detachFlag(),
			on("keep", "do not delete the container at its end"), on("no-subreaper", "do not adopt the container's orphans"))},
		{Name: "exec", Usage: "execute another process in a container", Flags: exec.flags(), Action: take(1, -1, exec.action),
			ArgsUsage: "<container-id> <command> [arguments]  or  -p process.json <container-id>"},
		{Name: "state", Usage: "print the state of a container", ArgsUsage: one, Action: take(1, 1, h.state)},
		{Name: "list", Usage: "list the containers below --root", Flags: []cli.Flag{format, on("quiet,q", "only IDs")}, Action: take(0, 0, h.list)},
		{Name: "kill", Usage: "send a signal (default: SIGTERM) to the container's process", ArgsUsage: "<container-id> [signal]",
			Flags: []cli.Flag{on("all,a", "send it to all processes of the container")}, Action: take(1, 2, h.kill)},
		{Name: "delete", Usage: "delete a container and what it has on the host", ArgsUsage: one,
			Flags: []cli.Flag{on("force,f", "kill it first if it runs")}, Action: take(1, 1, h.delete)},
		{Name: "pause", Usage: "stop all processes of a container", ArgsUsage: one, Action: take(1, 1, h.freeze)},
		{Name: "resume", Usage: "let the processes of a paused container go on", ArgsUsage: one, Action: take(1, 1, h.freeze)},
		{Name: "ps", Usage: "list the processes of a container", ArgsUsage: "<container-id> [ps options]", Flags: []cli.Flag{format}, Action: take(1, -1, h.ps)},
		{Name: "events", Usage: "print what a container uses, every few seconds, and when it runs out of memory", ArgsUsage: one, Action: take(1, 1, h.events),
			Flags: []cli.Flag{&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "time between two lines"}, on("stats", "print one line of what it uses, and end")}},
		{Name: "update", Usage: "change the limits of a container", ArgsUsage: one, Flags: limits, Action: take(1, 1, h.update)},
		{Name: "spec", Usage: "write a configuration to begin with, config.json", Action: take(0, 0, writeSpec),
			Flags: []cli.Flag{text("bundle,b", "directory of the bundle, by default the current"), on("rootless", "for a user namespace in which the caller is root")}},
		{Name: "features", Usage: "print what this runtime can do, as JSON", Action: take(0, 0, printFeatures)},
		refused("checkpoint"), refused("restore"),
	}
}

// refused is a command of runc's that needs CRIU.
func refused(name string) *cli.Command {
	return &cli.Command{Name: name, Usage: "not supported", Hidden: true, SkipFlagParsing: true, Action: func(*cli.Context) error {
		return fmt.Errorf("%s is not supported: containers cannot be saved and restored", name)
	}}
}

// take makes an action of what is done with the first argument, a container's ID if
// there is one. It checks how many there are; most < 0 is any number.
func take(least, most int, do func(c *cli.Context, id string) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		n, demand, number := c.NArg(), "exactly", least
		switch {
		case least <= n && (n <= most || most < 0):
			return do(c, c.Args().First())
		case n < least && least != most:
			demand = "a minimum of"
		case least != most:
			demand, number = "a maximum of", most
		}
		fmt.Print("Incorrect Usage.\n\n")
		cli.ShowSubcommandHelp(c)
		return fmt.Errorf("%s: %q requires %s %d argument(s)", name, c.Command.Name, demand, number)
	}
}

// text, on and several are flags, named "NAME" or "NAME,LETTER", of a value, of none,
// and of one that can be given more than once.
func text(names, usage string) cli.Flag {
	name, aliases := cutName(names)
	return &cli.StringFlag{Name: name, Aliases: aliases, Usage: usage}
}

func on(names, usage string) cli.Flag {
	name, aliases := cutName(names)
	return &cli.BoolFlag{Name: name, Aliases: aliases, Usage: usage}
}

func several(names, usage string) cli.Flag {
	name, aliases := cutName(names)
	return &cli.StringSliceFlag{Name: name, Aliases: aliases, Usage: usage}
}

func cutName(names string) (name string, aliases []string) {
	name, letter, both := strings.Cut(names, ",")
	if both {
		aliases = []string{letter}
	}
	return name, aliases
}
