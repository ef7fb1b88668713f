package cli

import "github.com/urfave/cli/v2"

// entry is a command before it is built. Only the one that is run is built: run
// alone has more than a hundred flags, and starting a container is to be fast.
type entry struct {
	name  string
	build func(*session) *cli.Command
	usage string  // of a group
	group []entry // the commands of a group; nil: build makes the command
}

// commands is the tree of commands in the order in which help lists them.
func commands() []entry {
	return []entry{
		{name: "run", build: runCommand},
		{name: "exec", build: execCommand},
		{name: "ps", build: psCommand},
		{name: "images", build: imagesCommand},
		{name: "version", build: versionCommand},
		{name: "info", build: infoCommand},
		{name: "doctor", build: doctorCommand},

		{name: "container", usage: "Manage containers", group: []entry{
			{name: "attach", build: attachCommand},
			{name: "create", build: createCommand},
			{name: "exec", build: execCommand},
			{name: "inspect", build: inspectContainerCommand},
			{name: "kill", build: killCommand},
			{name: "logs", build: logsCommand},
			{name: "ls", build: listContainersCommand},
			{name: "rm", build: removeContainersCommand},
			{name: "run", build: runCommand},
			{name: "start", build: startCommand},
			{name: "stop", build: stopCommand},
			{name: "wait", build: waitCommand},
		}},
		{name: "image", usage: "Manage images", group: []entry{
			{name: "import", build: importCommand},
			{name: "inspect", build: inspectImageCommand},
			{name: "load", build: loadCommand},
			{name: "ls", build: listImagesCommand},
			{name: "rm", build: removeImagesCommand},
		}},
		{name: "system", usage: "Manage mydocker", group: []entry{
			{name: "check", build: checkCommand},
			{name: "events", build: eventsCommand},
			{name: "info", build: infoCommand},
		}},

		{name: "attach", build: attachCommand},
		{name: "create", build: createCommand},
		{name: "events", build: eventsCommand},
		{name: "import", build: importCommand},
		{name: "inspect", build: inspectCommand},
		{name: "kill", build: killCommand},
		{name: "load", build: loadCommand},
		{name: "logs", build: logsCommand},
		{name: "rm", build: rmCommand},
		{name: "rmi", build: rmiCommand},
		{name: "start", build: startCommand},
		{name: "stop", build: stopCommand},
		{name: "wait", build: waitCommand},
	}
}

// pick builds the entry that words begin with. If there is none it builds all:
// for help, for an alias, or to suggest the nearest.
func (s *session) pick(entries []entry, words []string) []*cli.Command {
	if len(words) > 0 {
		for _, e := range entries {
			if e.name == words[0] {
				return []*cli.Command{s.build(e, words[1:])}
			}
		}
	}
	all := make([]*cli.Command, len(entries))
	for i, e := range entries {
		all[i] = s.build(e, nil)
	}
	return all
}

func (s *session) build(e entry, words []string) *cli.Command {
	if e.group != nil {
		return &cli.Command{
			Name: e.name, Usage: e.usage, HideHelpCommand: true,
			OnUsageError: usageError, Subcommands: s.pick(e.group, words),
		}
	}
	c := e.build(s)
	c.HideHelpCommand, c.OnUsageError = true, usageError
	return c
}
