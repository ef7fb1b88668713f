package cli

import (
	"errors"
	"fmt"
	"os"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

type runOptions struct {
	containerOptions
	detach, sigProxy bool
	keys             string
}

func runCommand(s *session) *cli.Command {
	o := &runOptions{sigProxy: true}
	return &cli.Command{
		Name: "run", Usage: "Create and run a new container from an image",
		ArgsUsage:   "[OPTIONS] IMAGE [COMMAND] [ARG...]",
		UsageText:   "mydocker container run, mydocker run",
		Description: "mydocker run --rm -it -m 64m busybox sh",
		Flags: append(o.flags(),
			boolean(&o.detach, "d", "detach", "Run container in background and print container ID"),
			text(&o.keys, "", "detach-keys", "Override the key sequence for detaching a container"),
			boolean(&o.sigProxy, "", "sig-proxy", "Proxy received signals to the process").or("true"),
		),
		Before: takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return o.run(e, c.Args().Slice())
		}),
	}
}

func (o *runOptions) run(e *engine.Engine, words []string) error {
	config, host, err := o.config(words)
	if err != nil {
		return withHelp(err, "run")
	}
	if o.detach {
		if len(o.attach) > 0 {
			return exit(1, "conflicting options: cannot specify both --attach and --detach")
		}
		config.AttachStdin, config.AttachStdout, config.AttachStderr, config.StdinOnce = false, false, false, false
	} else if err := checkTTY(config.AttachStdin, config.Tty); err != nil {
		return err
	}
	keys, err := detachKeys(o.keys)
	if err != nil {
		return err
	}
	id, err := o.create(e, config, host)
	if err != nil {
		return withHelp(err, "run")
	}
	if o.sigProxy {
		defer proxySignals(config.Tty, func(signal string) error { return e.Kill(id, signal) })()
	}
	x := exchange{
		stdin: config.AttachStdin, stdout: config.AttachStdout, stderr: config.AttachStderr,
		tty: config.Tty, keys: keys, proxied: o.sigProxy,
	}
	if !x.stdin && !x.stdout && !x.stderr {
		fmt.Println(id)
		return o.started(e, id, e.Start(id))
	}
	return o.foreground(e, id, x)
}

// foreground attaches and waits before it starts: what the program says first and
// an exit at once are not missed.
func (o *runOptions) foreground(e *engine.Engine, id string, x exchange) error {
	stream, err := e.Attach(id, engine.AttachOptions{Stdin: x.stdin, Stdout: x.stdout, Stderr: x.stderr})
	if err != nil {
		return o.started(e, id, err)
	}
	defer stream.Close()
	until := api.WaitConditionNextExit
	if o.remove {
		until = api.WaitConditionRemoved
	}
	wait, err := e.Wait(id, until)
	if err != nil {
		return o.started(e, id, err)
	}
	if err := o.started(e, id, e.Start(id)); err != nil {
		return err
	}
	if x.tty {
		defer followSize(func(h, w uint) error { return e.Resize(id, h, w) })()
	}
	return x.finish(stream, wait)
}

// started is the result of a start; of one that went wrong --rm removes what is left.
func (o *runOptions) started(e *engine.Engine, id string, err error) error {
	if err == nil {
		return nil
	}
	if o.remove {
		if err := e.Remove(id, engine.RemoveOptions{Force: true, Volumes: true}); err != nil && !isNotFound(err) {
			fmt.Fprintln(os.Stderr, "WARNING:", err)
		}
	}
	return withHelp(err, "run")
}

// finish runs an exchange with a container to its end and returns the container's
// exit status; none if the user detached.
func (x exchange) finish(stream *engine.Stream, wait func() (api.WaitResponse, error)) error {
	var result error
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		result = exitStatus(wait)
	}()
	x.exited = exited
	switch err := x.run(stream); {
	case errors.As(err, new(term.EscapeError)):
		return nil
	case err != nil:
		return exitWith(err)
	}
	<-exited
	return result
}

// exitStatus waits for a container's exit.
func exitStatus(wait func() (api.WaitResponse, error)) error {
	response, err := wait()
	if err != nil {
		return exit(125, "Error: wait for the container: %w", err)
	}
	if response.Error != nil {
		return exit(125, "Error: wait for the container: %s", response.Error.Message)
	}
	return status(int(response.StatusCode))
}

// exitWith keeps the status of an error of an exchange, which is shown as it is.
func exitWith(err error) error {
	if own := (*exitError)(nil); errors.As(err, &own) {
		return own
	}
	return exit(1, "%w", err)
}
