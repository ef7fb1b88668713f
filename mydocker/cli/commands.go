package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

type command = cli.Command

// entry is a command before it is built. Only the one that is run is built: run
// alone has more than a hundred flags, and starting a container is to be fast.
type entry struct {
	top    string   // its name alone; "": only in a group
	groups []string // its names in a group; the first is in help
	build  func(*session) *command
}

// entries are the commands in the order in which help lists them.
func entries() []entry {
	return []entry{
		{"run", []string{"container run"}, runCommand},
		{"exec", []string{"container exec"}, execCommand},
		{"ps", []string{"container ls", "container list", "container ps"}, new(psOptions).command},
		{"pull", []string{"image pull"}, pullCommand},
		{"push", []string{"image push"}, pushCommand},
		{"images", []string{"image ls", "image list"}, new(imagesOptions).command},
		{"login", nil, loginCommand},
		{"logout", nil, logoutCommand},
		{"search", nil, searchCommand},
		{"version", nil, versionCommand},
		{"info", []string{"system info"}, infoCommand},
		{"doctor", nil, doctorCommand},

		{"container", nil, group("container", "Manage containers")},
		{"image", nil, group("image", "Manage images")},
		{"network", nil, group("network", "Manage networks")},
		{"oci", nil, ociCommand},
		{"volume", nil, group("volume", "Manage volumes")},
		{"system", nil, group("system", "Manage mydocker")},

		{"attach", []string{"container attach"}, attachCommand},
		{"", []string{"system check"}, checkCommand},
		{"commit", []string{"container commit"}, commitCommand},
		{"completion", nil, completionCommand},
		{"cp", []string{"container cp"}, cpCommand},
		{"create", []string{"container create"}, createCommand},
		{"", []string{"system df"}, new(usageOptions).command},
		{"diff", []string{"container diff"}, diffCommand},
		{"events", []string{"system events"}, eventsCommand},
		{"export", []string{"container export"}, exportCommand},
		{"history", []string{"image history"}, historyCommand},
		{"import", []string{"image import"}, importCommand},
		{"inspect", nil, inspectCommand("")},
		{"", []string{"container inspect"}, inspectCommand("container")},
		{"", []string{"image inspect"}, inspectCommand("image")},
		{"", []string{"network inspect"}, inspectCommand("network")},
		{"kill", []string{"container kill"}, killCommand},
		{"load", []string{"image load"}, loadCommand},
		{"logs", []string{"container logs"}, logsCommand},
		{"", []string{"network connect"}, networkConnectCommand},
		{"", []string{"network create"}, new(networkOptions).command},
		{"", []string{"network disconnect"}, networkDisconnectCommand},
		{"", []string{"network ls", "network list"}, new(networksOptions).command},
		{"", []string{"network prune"}, pruneCommand("network", "Remove all unused networks")},
		{"", []string{"network rm", "network remove"}, networkRmCommand},
		{"pause", []string{"container pause"}, pauseCommand},
		{"port", []string{"container port"}, portCommand},
		{"", []string{"container prune"}, pruneCommand("container", "Remove all stopped containers")},
		{"", []string{"image prune"}, pruneCommand("image", "Remove unused images")},
		{"", []string{"system prune"}, pruneCommand("system", "Remove stopped containers, unused networks and unused images")},
		{"rename", []string{"container rename"}, renameCommand},
		{"restart", []string{"container restart"}, restartCommand},
		{"rm", []string{"container rm", "container remove"}, rmCommand},
		{"rmi", []string{"image rm", "image remove", "image rmi"}, rmiCommand},
		{"save", []string{"image save"}, saveCommand},
		{"start", []string{"container start"}, startCommand},
		{"stats", []string{"container stats"}, statsCommand},
		{"", []string{"system start"}, systemStartCommand},
		{"stop", []string{"container stop"}, stopCommand},
		{"tag", []string{"image tag"}, tagCommand},
		{"top", []string{"container top"}, topCommand},
		{"unpause", []string{"container unpause"}, unpauseCommand},
		{"update", []string{"container update"}, updateCommand},
		{"", []string{"volume create"}, volumeCreateCommand},
		{"", []string{"volume inspect"}, inspectCommand("volume")},
		{"", []string{"volume ls", "volume list"}, new(volumesOptions).command},
		{"", []string{"volume prune"}, pruneCommand("volume", "Remove unused local volumes")},
		{"", []string{"volume rm", "volume remove"}, volumeRmCommand},
		{"wait", []string{"container wait"}, waitCommand},
	}
}

// group is the help of the commands in a group.
func group(called, usage string) func(*session) *command {
	return func(s *session) *command {
		return &command{Usage: usage, ArgsUsage: "COMMAND", Subcommands: s.commandsIn(called + " ")}
	}
}

// commandsIn builds what help lists: the commands of a group ("image ") by name, or those that stand alone ("").
func (s *session) commandsIn(group string) (all []*command) {
	for _, e := range entries() {
		if group == "" && e.top != "" {
			all = append(all, s.build(e, e.top))
		} else if group != "" && e.groups != nil && strings.HasPrefix(e.groups[0], group) {
			all = append(all, s.build(e, e.groups[0][len(group):]))
		}
	}
	if group != "" {
		slices.SortFunc(all, func(a, b *command) int { return strings.Compare(a.Name, b.Name) })
	}
	return all
}

// command builds the command that words begin with, and returns the other words.
func (s *session) command(words []string) (*command, []string) {
	for n := min(2, len(words)); n > 0; n-- {
		called := strings.Join(words[:n], " ")
		for _, e := range entries() {
			if e.top == called {
				return s.build(e, called), words[n:]
			}
			if slices.Contains(e.groups, called) {
				return s.build(e, e.groups[0]), words[n:]
			}
		}
	}
	return nil, nil
}

func (s *session) build(e entry, called string) *command {
	c := e.build(s)
	c.Name, c.HideHelp, c.CustomHelpTemplate = called, true, commandHelp
	names := e.groups
	if e.top != "" {
		names = append(names, e.top)
	}
	if len(names) > 1 {
		c.UsageText = "mydocker " + strings.Join(names, ", mydocker ")
	}
	return c
}
