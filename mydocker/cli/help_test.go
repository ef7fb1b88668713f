package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHelp: each command stands once in the help of the program or of its group,
// each has help of its own with an example, and no two flags of a command share a
// name.
func TestHelp(t *testing.T) {
	s := &session{}
	for group, listed := range map[string]string{
		"": help(t), "container ": help(t, "container"), "image ": help(t, "image"), "network ": help(t, "network"), "system ": help(t, "system"), "volume ": help(t, "volume"),
	} {
		for _, c := range s.commandsIn(group) {
			if n := strings.Count(listed, "\n  "+c.Name+" "); n != 1 {
				t.Errorf("%s stands %d times in help:\n%s", c.Name, n, listed)
			}
			if c.Subcommands == nil {
				checkHelp(t, c, help(t, strings.Fields(group+c.Name)...))
			}
		}
	}
}

func help(t *testing.T, words ...string) string {
	t.Helper()
	return redirect(t, os.Stdin, func() {
		if err := new(session).run(append(words, "--help")); err != nil {
			t.Error(err)
		}
	})
}

// TestCommands: what Docker's users type is there, alone and in its group.
func TestCommands(t *testing.T) {
	for group, names := range map[string]string{
		"":          "run create start stop kill wait rm ps logs attach exec inspect events import load images rmi info version doctor port pull push login logout search",
		"container": "run create start stop kill wait rm remove ls list ps logs attach exec inspect port",
		"image":     "ls list rm remove rmi import load inspect pull push",
		"volume":    "create ls list inspect rm remove prune",
		"network":   "create ls list inspect rm remove connect disconnect prune",
		"system":    "check info events",
	} {
		for _, word := range strings.Fields(names) {
			words := strings.Fields(group + " " + word)
			if c, rest := new(session).command(words); c == nil || len(rest) > 0 {
				t.Errorf("there is no mydocker %s", strings.Join(words, " "))
			}
		}
	}
}

func checkHelp(t *testing.T, c *command, help string) {
	if !strings.Contains(help, "\nExamples:\n  mydocker ") || c.Usage == "" {
		t.Errorf("%s: help has no usage or no example:\n%s", c.Name, help)
	}
	seen := map[string]bool{"help": true}
	for _, f := range c.Flags {
		o := f.(*option)
		if seen[o.name] || o.letter != "" && seen[o.letter] {
			t.Errorf("%s: flag %s twice", c.Name, o.label())
		}
		seen[o.name], seen[o.letter] = true, true
	}
}

func TestHelpOfFlags(t *testing.T) {
	got := help(t, "ps")
	_, got, _ = strings.Cut(got, "Options:\n")
	want := `  -a, --all             Show all containers (default shows just running)
  -f, --filter filter   Filter output based on conditions provided
      --format string   Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
  -n, --last int        Show n last created containers (includes all states) (default -1)
  -l, --latest          Show the latest created container (includes all states)
      --no-trunc        Don't truncate output
  -q, --quiet           Only display IDs
  -s, --size            Display total file sizes
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := help(t, "volume", "ls"); !strings.Contains(got, "\nAliases:\n  mydocker volume ls, mydocker volume list\n") {
		t.Errorf("volume ls --help:\n%s", got)
	}
	if got := help(t, "rm"); strings.Contains(got, "link") {
		t.Errorf("a flag that is not supported is in help:\n%s", got)
	}
}
