package cli

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

// The scripts ask `mydocker __complete WORDS...`, the last word being the one that is typed.
//
//go:embed completion
var completionScripts embed.FS

func completionCommand(*session) *command {
	return &command{
		Usage: "Generate the autocompletion script for the specified shell", ArgsUsage: "bash|zsh|fish",
		Description: "mydocker completion bash > /etc/bash_completion.d/mydocker",
		Action: func(c *cli.Context) error {
			script, err := completionScripts.ReadFile("completion/" + c.Args().First())
			if err != nil {
				return exit(1, "%s completion: there are scripts for bash, zsh and fish, not for %q", name, c.Args().First())
			}
			_, err = os.Stdout.Write(script)
			return err
		},
	}
}

// completion collects what may stand in the place of the last word.
type completion struct {
	*session
	last   string
	prefix string   // of last, in front of each word: --flag=
	words  []string // each perhaps with a tab and what it is
	files  bool     // or a file
}

// complete answers a script: the words, and in the last line what else the shell is to
// do, cobra's ShellCompDirective: 2, no space behind the word; 4, no files. Nobody reads an error.
func (s *session) complete(w io.Writer, words []string) {
	c := &completion{session: s, last: words[len(words)-1]}
	c.find(words[:len(words)-1])
	directive := map[bool]int{false: 4}[c.files]
	for _, word := range c.words {
		if strings.HasPrefix(word, c.last) {
			fmt.Fprintln(w, strings.TrimSuffix(word, "\t"))
			if word, _, _ = strings.Cut(word, "\t"); strings.HasSuffix(word, ":") {
				directive |= 2
			}
		}
	}
	fmt.Fprintf(w, ":%d\n", directive)
}

func (c *completion) add(word, what string) { c.words = append(c.words, c.prefix+word+"\t"+what) }

// find reads the words as if to run the command, except that its flags set nothing.
func (c *completion) find(words []string) {
	on := &command{Flags: c.flags(), Subcommands: c.commandsIn("")}
	args, _, err := parse(on, words, false)
	if len(args) > 0 && args[0] == "help" {
		args = args[1:]
	}
	if len(args) > 0 {
		if on, words = c.command(args); on == nil {
			return
		}
		for _, f := range on.Flags {
			f.(*option).preset, f.(*option).assign = "", func(string) error { return nil }
		}
		args, _, err = parse(on, words, interspersed(on))
	}
	flag, value, assigned := strings.Cut(c.last, "=")
	isFlag := strings.HasPrefix(flag, "-") && !slices.Contains(words, "--") && (len(args) == 0 || interspersed(on))
	switch lacks := (*pflag.ValueRequiredError)(nil); {
	case errors.As(err, &lacks):
		c.values(lacks.GetFlag().Name, c.last)
	case err != nil:
	case isFlag && assigned:
		c.prefix = flag + "="
		c.values(strings.TrimLeft(flag, "-"), value)
	case isFlag:
		for _, f := range on.Flags {
			if o := f.(*option); o.IsVisible() {
				for word := range strings.SplitSeq(o.label(), ", ") {
					c.add(word, o.usage)
				}
			}
		}
	case on.Subcommands != nil && len(args) == 0:
		for _, sub := range on.Subcommands {
			c.add(sub.Name, sub.Usage)
		}
	default:
		c.argument(on, words, args)
	}
}

// values are the known ones of a flag; given is the beginning of one.
func (c *completion) values(flag, given string) {
	for values, flags := range map[string]string{
		"container:": "net network", "host private": "cgroupns", "host none private shareable": "ipc", "host": "pid uts",
		"json table": "format", "linux/amd64 linux/arm64": "platform", "json-file none": "log-driver", "always missing never": "pull", "container image network volume": "type", "local": "driver volume-driver",
		"always no on-failure unless-stopped": "restart", "HUP INT KILL QUIT TERM USR1 USR2": "signal stop-signal",
	} {
		if slices.Contains(strings.Fields(flags), flag) {
			for value := range strings.FieldsSeq(values) {
				c.add(value, "")
			}
		}
	}
	if flag == "net" || flag == "network" {
		c.argument(&command{ArgsUsage: "NETWORK"}, nil, nil)
		if word := "container:"; strings.HasPrefix(given, word) {
			c.prefix += word
			c.argument(&command{Name: "exec", ArgsUsage: "CONTAINER"}, nil, nil)
		}
	}
	switch flag {
	case "volumes-from":
		c.argument(&command{Name: "inspect", ArgsUsage: "CONTAINER"}, nil, nil)
	case "volume":
		c.argument(&command{ArgsUsage: "VOLUME:"}, nil, nil)
	}
	c.files = strings.Contains(" cidfile config device env-file input label-file output root run-root volume ", " "+flag+" ") && !strings.Contains(given, ":")
}

// argument is the one behind args, by the command's usage. A container is named if its
// state fits the command; without root, nothing is.
func (c *completion) argument(on *command, words, args []string) {
	kinds := arguments(on)
	if len(args) >= len(kinds) && !strings.HasSuffix(on.ArgsUsage, "...]") {
		return
	}
	kind, verb := kinds[min(len(args), len(kinds)-1)], on.Name[strings.Index(on.Name, " ")+1:]
	has := func(part string) bool { return strings.Contains(kind, part) }
	c.files = (has("PATH") || has("file")) && !strings.Contains(c.last, ":")
	if has("|") && strings.ToLower(kind) == kind { // bash|zsh|fish
		c.words = strings.Split(kind, "|")
	}
	config, err := c.configure()
	if err != nil {
		return
	}
	if _, err := os.Stat(cmp.Or(config.Root, engine.DefaultRoot)); err != nil { // a question makes no directories
		return
	}
	e, err := engine.Open(config)
	if err != nil {
		return
	}
	if has("CONTAINER") || has("PATH") || has("NAME|ID") {
		o, colon := engine.ListOptions{All: true, Filters: engine.Filters{}}, map[bool]string{true: ":"}[has("PATH")]
		switch verb {
		case "attach", "exec", "kill", "port", "stats", "stop", "top", "wait":
			o.All = false
		case "pause", "unpause":
			o.Filters["status"] = []string{map[string]string{"pause": "running", "unpause": "paused"}[verb]}
		case "start", "rm":
			if !slices.Contains(words, "-f") && !slices.Contains(words, "--force") {
				o.Filters["status"] = []string{"created", "exited", "dead"}
			}
		case "disconnect":
			o.Filters["network"] = args
		}
		found, _ := e.List(o)
		for _, one := range found {
			c.add(one.Names[0][1:]+colon, one.Image+", "+one.Status)
		}
	}
	if has("NETWORK") || has("NAME|ID") {
		found, _ := e.Networks(nil)
		for _, one := range found {
			c.add(one.Name, one.Driver)
		}
	}
	if has("VOLUME") && verb != "create" || has("NAME|ID") {
		found, _ := e.Volumes(nil)
		for _, one := range found {
			c.add(one.Name+map[bool]string{true: ":"}[has(":")], one.Driver)
		}
	}
	if has("IMAGE") || has("REPOSITORY") || verb == "push" || has("NAME|ID") {
		found, _ := e.Images(engine.ImagesOptions{})
		for _, image := range found {
			for _, tag := range image.RepoTags {
				c.add(tag, shortID(image.ID))
			}
		}
	}
}
