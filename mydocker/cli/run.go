package cli

import (
	"fmt"
	"os"

	"minidocker/mydocker/engine"
)

type runOptions struct {
	containerOptions
	exchange
	detach bool
}

func runCommand(s *session) *command {
	o := &runOptions{exchange: exchange{mayDetach: true}}
	return &command{
		Usage: "Create and run a new container from an image", ArgsUsage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
		Description: "mydocker run --rm -it -m 64m busybox sh",
		Flags: o.flags(
			boolean(&o.detach, "d,detach", "Run container in background and print container ID"),
			detachKeys(&o.keys),
			boolean(&o.proxied, "sig-proxy", "Proxy received signals to the process").or("true"),
		),
		Action: s.action(o.createAndStart),
	}
}

func (o *runOptions) createAndStart(e *engine.Engine, words []string) error {
	if err := o.request(words); err != nil {
		return withHelp(err, "run")
	}
	c := &o.config
	if o.detach {
		if o.attached {
			return exit(1, "conflicting options: cannot specify both --attach and --detach")
		}
		c.AttachStdin, c.AttachStdout, c.AttachStderr, c.StdinOnce = false, false, false, false
	}
	o.stdin, o.stdout, o.stderr, o.tty = c.AttachStdin, c.AttachStdout, c.AttachStderr, c.Tty
	if err := checkTTY(o.stdin, o.tty); err != nil {
		return err
	}
	id, err := o.create(e)
	if err != nil {
		return withHelp(err, "run")
	}
	started := false
	if o.stdin || o.stdout || o.stderr {
		started, err = o.follow(e, id, o.host.AutoRemove, e.StartAttached)
	} else {
		fmt.Println(id)
		err = e.Start(id)
		started = err == nil
	}
	if started {
		return err
	}
	if o.host.AutoRemove { // of a start that went wrong nothing is left
		if err := e.Remove(id, engine.RemoveOptions{Force: true, Volumes: true}); err != nil && !isNotFound(err) {
			fmt.Fprintln(os.Stderr, "WARNING:", err)
		}
	}
	return withHelp(err, "run")
}
