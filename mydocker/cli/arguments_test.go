package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func TestArrange(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "mydocker",
		"-D":                             "mydocker --debug=true",
		"ps":                             "mydocker ps --",
		"ps -aq":                         "mydocker ps --all=true --quiet=true --",
		"ps -n5":                         "mydocker ps --last=5 --",
		"ps -an 5":                       "mydocker ps --all=true --last=5 --",
		"ps -n=5":                        "mydocker ps --last=5 --",
		"ps --filter=a=b -f c=d":         "mydocker ps --filter=a=b --filter=c=d --",
		"rm web -fv":                     "mydocker rm --force=true --volumes=true -- web",
		"rm a -f b":                      "mydocker rm --force=true -- a b",
		"rm -- -f a":                     "mydocker rm -- -f a",
		"rm a -- -f":                     "mydocker rm -- a -f",
		"rm --force=false a":             "mydocker rm --force=false -- a",
		"rm -f=false a":                  "mydocker rm --force=false -- a",
		"rm -":                           "mydocker rm -- -",
		"stop c -t 3":                    "mydocker stop --timeout=3 -- c",
		"stop c -t -1":                   "mydocker stop --timeout=-1 -- c",
		"logs c -f":                      "mydocker logs --follow=true -- c",
		"--root /r -D container rm -f a": "mydocker --root=/r --debug=true container rm --force=true -- a",
		"container list -a":              "mydocker container ls --all=true --",
		"container ps":                   "mydocker container ls --",
		"image rmi x":                    "mydocker image rm -- x",
		"run -it img sh -c x --rm":       "mydocker run --interactive=true --tty=true -- img sh -c x --rm",
		"run -itv /a:/b -e=X img":        "mydocker run --interactive=true --tty=true --volume=/a:/b --env=X -- img",
		"run --rm=false -hbox img":       "mydocker run --rm=false --hostname=box -- img",
		"run -h box --net host img":      "mydocker run --hostname=box --net=host -- img",
		"exec -it c ls -l":               "mydocker exec --interactive=true --tty=true -- c ls -l",
		"exec c -- ls":                   "mydocker exec -- c -- ls",
		"ps -h":                          "mydocker ps --help",
		"rm a --help":                    "mydocker rm --help",
		"run img --help":                 "mydocker run -- img --help",
		"help":                           "mydocker --help",
		"help rm":                        "mydocker rm --help",
		"help container rm":              "mydocker container rm --help",
		"container":                      "mydocker container --",
		"container --help":               "mydocker container --help",
		"--help ps":                      "mydocker --help",
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

// TestUnknown has what Docker prints, and a second line that names the nearest.
func TestUnknown(t *testing.T) {
	for args, want := range map[string]string{
		"pss":           "mydocker: unknown command: mydocker pss\nDid you mean \"ps\"?\n\nRun 'mydocker --help' for more information",
		"container lst": "mydocker: unknown command: mydocker container lst\nDid you mean \"list\"?\n\nUsage:  mydocker container COMMAND\n\nRun 'mydocker container --help' for more information",
		"help pss":      "unknown help topic: pss",
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
	if len(app.Commands) != 1 || len(app.Commands[0].Subcommands) != 1 {
		t.Errorf("%d commands, %d of the group were built, want 1 and 1", len(app.Commands), len(app.Commands[0].Subcommands))
	}
}

func TestNumberOfArguments(t *testing.T) {
	for args, want := range map[string]string{
		"rm":         "mydocker: 'mydocker rm' requires at least 1 argument\n\nUsage:  mydocker rm [OPTIONS] CONTAINER [CONTAINER...]\n\nSee 'mydocker rm --help' for more information",
		"logs":       "mydocker: 'mydocker logs' requires 1 argument\n\nUsage:  mydocker logs [OPTIONS] CONTAINER\n\nRun 'mydocker logs --help' for more information",
		"images a b": "mydocker: 'mydocker images' requires at most 1 argument\n\nUsage:  mydocker images [OPTIONS] [REPOSITORY[:TAG]]\n\nRun 'mydocker images --help' for more information",
		"ps a":       "mydocker: 'mydocker ps' accepts no arguments\n\nUsage:  mydocker ps [OPTIONS]\n\nRun 'mydocker ps --help' for more information",
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
