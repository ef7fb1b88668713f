package cli

import (
	"errors"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

type attachOptions struct {
	noStdin, sigProxy bool
	keys              string
}

func attachCommand(s *session) *cli.Command {
	o := &attachOptions{}
	return &cli.Command{
		Name: "attach", Usage: "Attach local standard input, output, and error streams to a running container",
		ArgsUsage:   "[OPTIONS] CONTAINER",
		UsageText:   "mydocker container attach, mydocker attach",
		Description: "mydocker attach web        # Ctrl-P Ctrl-Q detaches from a terminal",
		Flags: []cli.Flag{
			text(&o.keys, "", "detach-keys", "Override the key sequence for detaching a container"),
			boolean(&o.noStdin, "", "no-stdin", "Do not attach STDIN"),
			boolean(&o.sigProxy, "", "sig-proxy", "Proxy all received signals to the process").or("true"),
		},
		Before: takes(1, 1),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return o.run(e, c.Args().First())
		}),
	}
}

func (o *attachOptions) run(e *engine.Engine, ref string) error {
	keys, err := detachKeys(o.keys)
	if err != nil {
		return err
	}
	wait, err := e.Wait(ref, api.WaitConditionNotRunning) // before the look at its state: no exit is missed
	if err != nil {
		return err
	}
	r, err := e.Inspect(ref, false)
	if err != nil {
		return err
	}
	if !r.State.Running {
		return exit(1, "You cannot attach to a stopped container, start it first")
	}
	if err := checkTTY(!o.noStdin, r.Config.Tty); err != nil {
		return err
	}
	x := exchange{
		stdin: !o.noStdin && r.Config.OpenStdin, stdout: true, stderr: true,
		tty: r.Config.Tty, keys: keys, proxied: o.sigProxy && !r.Config.Tty,
	}
	if x.proxied {
		defer proxySignals(false, func(signal string) error { return e.Kill(r.ID, signal) })()
	}
	stream, err := e.Attach(r.ID, engine.AttachOptions{Stdin: x.stdin, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	defer stream.Close()
	if x.tty {
		// A program redraws when the size changes, and only then: change it once.
		if size := windowSize(); size != [2]uint{} {
			e.Resize(r.ID, size[0]+1, size[1]+1)
		}
		defer followSize(func(h, w uint) error { return e.Resize(r.ID, h, w) })()
	}
	// Unlike run, attach has not done what it was asked for when the user detaches:
	// Docker says so and exits with 1.
	if err := x.run(stream); err != nil {
		if errors.As(err, new(term.EscapeError)) {
			return exit(1, "%w", err)
		}
		return exitWith(err)
	}
	return exitStatus(wait)
}
