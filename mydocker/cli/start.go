package cli

import (
	"fmt"
	"os"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

type startOptions struct {
	attach, interactive bool
	keys                string
}

func startCommand(s *session) *cli.Command {
	o := &startOptions{}
	return &cli.Command{
		Name: "start", Usage: "Start one or more stopped containers",
		ArgsUsage:   "[OPTIONS] CONTAINER [CONTAINER...]",
		UsageText:   "mydocker container start, mydocker start",
		Description: "mydocker start -ai shell",
		Flags: []cli.Flag{
			boolean(&o.attach, "a", "attach", "Attach STDOUT/STDERR and forward signals"),
			unsupported("", "checkpoint"), unsupported("", "checkpoint-dir"),
			text(&o.keys, "", "detach-keys", "Override the key sequence for detaching a container"),
			boolean(&o.interactive, "i", "interactive", "Attach container's STDIN"),
		},
		Before: takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			if !o.attach && !o.interactive {
				return startAll(e, c.Args().Slice())
			}
			if c.NArg() > 1 {
				return exit(1, "you cannot start and attach multiple containers at once")
			}
			return o.run(e, c.Args().First())
		}),
	}
}

func startAll(e *engine.Engine, refs []string) error {
	var missed []string
	for _, ref := range refs {
		if err := e.Start(ref); err != nil {
			show(err)
			missed = append(missed, ref)
			continue
		}
		fmt.Fprintln(os.Stdout, ref)
	}
	if len(missed) > 0 {
		return fmt.Errorf("failed to start containers: %s", strings.Join(missed, ", "))
	}
	return nil
}

// run starts one container and attaches to it.
func (o *startOptions) run(e *engine.Engine, ref string) error {
	keys, err := detachKeys(o.keys)
	if err != nil {
		return err
	}
	r, err := e.Inspect(ref, false)
	if err != nil {
		return err
	}
	x := exchange{
		stdin: o.interactive && r.Config.OpenStdin, stdout: true, stderr: true,
		tty: r.Config.Tty, keys: keys, proxied: !r.Config.Tty,
	}
	if x.proxied {
		defer proxySignals(false, func(signal string) error { return e.Kill(r.ID, signal) })()
	}
	stream, err := e.Attach(r.ID, engine.AttachOptions{Stdin: x.stdin, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	defer stream.Close()
	until := api.WaitConditionNextExit
	if r.HostConfig.AutoRemove {
		until = api.WaitConditionRemoved
	}
	wait, err := e.Wait(r.ID, until)
	if err != nil {
		return err
	}
	if err := e.Start(r.ID); err != nil {
		return err
	}
	if x.tty {
		defer followSize(func(h, w uint) error { return e.Resize(r.ID, h, w) })()
	}
	return x.finish(stream, wait)
}
