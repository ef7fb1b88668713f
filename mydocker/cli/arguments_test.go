package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

// spied records what is set of the flags, and the arguments.
func spied(c *command, args []string, interspersed bool) (string, error) {
	var set []string
	for _, f := range c.Flags {
		o := f.(*option)
		o.preset = ""
		o.assign = func(v string) error {
			set = append(set, "--"+o.name+"="+v)
			return nil
		}
	}
	rest, help, err := parse(c, args, interspersed)
	if help {
		return "help", err
	}
	return strings.Join(append(append(set, "--"), rest...), " "), err
}

func TestParse(t *testing.T) {
	for args, want := range map[string]string{
		"ps -aq":                    "--all=true --quiet=true --",
		"ps -n5":                    "--last=5 --",
		"ps -an 5":                  "--all=true --last=5 --",
		"ps -n=5":                   "--last=5 --",
		"ps --filter=a=b -f c=d":    "--filter=a=b --filter=c=d --",
		"rm web -fv":                "--force=true --volumes=true -- web",
		"rm a -f b":                 "--force=true -- a b",
		"rm -- -f a":                "-- -f a",
		"rm a -- -f":                "-- a -f",
		"rm --force=false a":        "--force=false -- a",
		"rm -f=false a":             "--force=false -- a",
		"rm -":                      "-- -",
		"stop c -t 3":               "--timeout=3 -- c",
		"stop c -t -1":              "--timeout=-1 -- c",
		"logs c -f":                 "--follow=true -- c",
		"run -it img sh -c x --rm":  "--interactive=true --tty=true -- img sh -c x --rm",
		"run -itv /a:/b -e=X img":   "--interactive=true --tty=true --volume=/a:/b --env=X -- img",
		"run --rm=false -hbox img":  "--rm=false --hostname=box -- img",
		"run -h box --net host img": "--hostname=box --net=host -- img",
		"exec -it c ls -l":          "--interactive=true --tty=true -- c ls -l",
		"exec c -- ls":              "-- c -- ls",
		"ps -h":                     "help",
		"rm a --help":               "help",
		"run img --help":            "-- img --help",
	} {
		c, rest := new(session).command(strings.Fields(args))
		got, err := spied(c, rest, !slices.Contains([]string{"run", "exec"}, c.Name))
		if err != nil || got != want {
			t.Errorf("mydocker %s: %s, %v, want %s", args, got, err, want)
		}
	}
}

func TestArrange(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "mydocker",
		"-D":                             "mydocker",
		"ps":                             "mydocker ps --",
		"run img sh -c x --rm":           "mydocker run -- img sh -c x --rm",
		"--root /r -D container rm -f a": "mydocker container rm -- a",
		"container list -a":              "mydocker container ls --",
		"container ps":                   "mydocker container ls --",
		"image rmi x":                    "mydocker image rm -- x",
		"ps -h":                          "mydocker ps",
		"rm a --help":                    "mydocker rm",
		"help":                           "mydocker",
		"help rm":                        "mydocker rm",
		"help container rm":              "mydocker container rm",
		"container":                      "mydocker container",
		"container --help":               "mydocker container",
		"--help ps":                      "mydocker",
	} {
		s := &session{}
		words, err := s.arrange(&cli.App{Flags: s.flags()}, strings.Fields(args))
		if err != nil {
			t.Errorf("mydocker %s: %v", args, err)
		}
		if diff := cmp.Diff(want, strings.Join(words, " ")); diff != "" {
			t.Errorf("mydocker %s (-want +got):\n%s", args, diff)
		}
	}
}

// TestUnknown has what Docker prints, and for a flag a line that names the nearest.
func TestUnknown(t *testing.T) {
	for args, want := range map[string]string{
		"rn":                      "mydocker: unknown command: mydocker rn\nDid you mean \"run\"?\n\nRun 'mydocker --help' for more information",
		"foo":                     "mydocker: unknown command: mydocker foo\n\nRun 'mydocker --help' for more information",
		"stop --foo x":            "unknown flag: --foo\n\nUsage:  mydocker stop [OPTIONS] CONTAINER [CONTAINER...]\n\nRun 'mydocker stop --help' for more information",
		"run --pid x y":           "mydocker: --pid: invalid PID mode\n\nRun 'mydocker run --help' for more information",
		"create -v /a:/b:/c:/d x": "mydocker: invalid spec: /a:/b:/c:/d: too many colons\n\nRun 'mydocker create --help' for more information",
		"pss":                     "mydocker: unknown command: mydocker pss\nDid you mean \"ps\"?\n\nRun 'mydocker --help' for more information",
		"help pss":                "mydocker: unknown command: mydocker pss\nDid you mean \"ps\"?\n\nRun 'mydocker --help' for more information",
		"container lst":           "mydocker: unknown command: mydocker container lst\nDid you mean \"ls\"?\n\nUsage:  mydocker container COMMAND\n\nRun 'mydocker container --help' for more information",
		"run --memori 1g x": "unknown flag: --memori\nDid you mean --memory?\n\n" +
			"Usage:  mydocker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'mydocker run --help' for more information",
		"container run --memori=1g x": "unknown flag: --memori\nDid you mean --memory?\n\n" +
			"Usage:  mydocker container run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'mydocker container run --help' for more information",
		"--deubg ps": "unknown flag: --deubg\nDid you mean --debug?\n\nUsage:  mydocker [OPTIONS] COMMAND\n\nRun 'mydocker --help' for more information",
	} {
		s := &session{}
		_, err := s.arrange(&cli.App{Flags: s.flags()}, strings.Fields(args))
		if err == nil {
			t.Errorf("mydocker %s: no error", args)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("mydocker %s (-want +got):\n%s", args, diff)
		}
	}
}

// TestOnlyOneIsBuilt keeps the start of the program fast.
func TestOnlyOneIsBuilt(t *testing.T) {
	s := &session{}
	app := &cli.App{Flags: s.flags()}
	if _, err := s.arrange(app, []string{"container", "rm", "a"}); err != nil {
		t.Fatal(err)
	}
	if len(app.Commands) != 1 {
		t.Errorf("%d commands were built, want 1", len(app.Commands))
	}
}

func TestNumberOfArguments(t *testing.T) {
	for args, want := range map[string]string{
		"rm":         "mydocker: 'mydocker rm' requires at least 1 argument\n\nUsage:  mydocker rm [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'mydocker rm --help' for more information",
		"logs":       "mydocker: 'mydocker logs' requires 1 argument\n\nUsage:  mydocker logs [OPTIONS] CONTAINER\n\nRun 'mydocker logs --help' for more information",
		"images a b": "mydocker: 'mydocker images' requires at most 1 argument\n\nUsage:  mydocker images [OPTIONS] [REPOSITORY[:TAG]]\n\nRun 'mydocker images --help' for more information",
		"ps a":       "mydocker: 'mydocker ps' accepts no arguments\n\nUsage:  mydocker ps [OPTIONS]\n\nRun 'mydocker ps --help' for more information",
		"top":        "mydocker: 'mydocker top' requires at least 1 argument\n\nUsage:  mydocker top CONTAINER [ps OPTIONS]\n\nSee 'mydocker top --help' for more information",
		"cp a":       "mydocker: 'mydocker cp' requires 2 arguments\n\nUsage:  mydocker cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tmydocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH\n\nRun 'mydocker cp --help' for more information",
		"port":       "mydocker: 'mydocker port' requires at least 1 and at most 2 arguments\n\nUsage:  mydocker port CONTAINER [PRIVATE_PORT[/PROTO]]\n\nRun 'mydocker port --help' for more information",
		"exec a":     "mydocker: 'mydocker exec' requires at least 2 arguments\n\nUsage:  mydocker exec [OPTIONS] CONTAINER COMMAND [ARG...]\n\nSee 'mydocker exec --help' for more information",
	} {
		err := new(session).run(strings.Fields(args))
		if err == nil {
			t.Errorf("mydocker %s: no error", args)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("mydocker %s (-want +got):\n%s", args, diff)
		}
	}
}
