package cli

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestHelpNamesAll: each command stands once in the help of the program, each has
// help of its own with an example, and no two flags of a command share a name.
func TestHelpNamesAll(t *testing.T) {
	s := &session{}
	all := s.pick(commands(), nil)
	var help strings.Builder
	printHelp(&help, "", &cli.App{Name: name, Commands: all, Flags: s.flags()})
	for _, c := range all {
		if n := strings.Count(help.String(), "\n  "+c.Name+" "); n != 1 {
			t.Errorf("%s stands %d times in help", c.Name, n)
		}
		for _, leaf := range append(c.Subcommands, c) {
			if len(leaf.Subcommands) == 0 {
				checkHelp(t, leaf)
			}
		}
	}
}

// TestCommands: what Docker's users type is there, alone and in its group.
func TestCommands(t *testing.T) {
	for group, names := range map[string]string{
		"":          "run create start stop kill wait rm ps logs attach exec inspect events import load images rmi info version doctor",
		"container": "run create start stop kill wait rm remove ls list ps logs attach exec inspect",
		"image":     "ls list rm remove rmi import load inspect",
		"system":    "check info events",
	} {
		for _, word := range strings.Fields(names) {
			s := &session{}
			args := strings.Fields(group + " " + word)
			if _, err := s.arrange(&cli.App{Flags: s.flags()}, args); err != nil {
				t.Errorf("mydocker %s: %v", strings.Join(args, " "), err)
			}
		}
	}
}

func checkHelp(t *testing.T, c *cli.Command) {
	var help strings.Builder
	printHelp(&help, "", c)
	if !strings.Contains(help.String(), "\nExamples:\n  mydocker ") {
		t.Errorf("%s: help has no example:\n%s", c.Name, help.String())
	}
	if c.Usage == "" || c.Before == nil {
		t.Errorf("%s: no usage or no check of arguments", c.Name)
	}
	seen := map[string]bool{"help": true}
	for _, f := range c.Flags {
		o := f.(*option)
		if seen[o.name] || o.letter != "" && seen[o.letter] {
			t.Errorf("%s: flag %s twice", c.Name, o.label())
		}
		seen[o.name], seen[o.letter] = true, true
		if !o.hidden && o.usage == "" {
			t.Errorf("%s: flag %s has no usage", c.Name, o.label())
		}
	}
}

func TestHelpOfFlags(t *testing.T) {
	var got strings.Builder
	var b bool
	var n int
	var s string
	printFlags(&got, "Options", []cli.Flag{
		boolean(&b, "q", "quiet", "Say nothing"),
		integer(&n, "n", "last", "Show n").or("-1"),
		text(&s, "", "root", "Directory").or("/r"),
		unsupported("", "secret"),
	})
	want := `
Options:
  -n, --last int      Show n (default -1)
  -q, --quiet         Say nothing
      --root string   Directory (default "/r")
`
	if got.String() != want {
		t.Errorf("got:%s\nwant:%s", got.String(), want)
	}
}
