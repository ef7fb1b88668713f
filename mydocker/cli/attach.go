package cli

import (
	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

func attachCommand(s *session) *command {
	x := exchange{stdout: true, stderr: true}
	var noStdin bool
	return &command{
		Usage: "Attach local standard input, output, and error streams to a running container", ArgsUsage: "[OPTIONS] CONTAINER",
		Description: "mydocker attach web        # Ctrl-P Ctrl-Q detaches from a terminal",
		Flags: flags("",
			detachKeys(&x.keys),
			boolean(&noStdin, "no-stdin", "Do not attach STDIN"),
			boolean(&x.proxied, "sig-proxy", "Proxy all received signals to the process").or("true"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error {
			r, err := inspectRunning(e, args[0])
			if err != nil {
				return err
			}
			if err := checkTTY(!noStdin, r.Config.Tty); err != nil {
				return err
			}
			x.stdin, x.tty, x.proxied = !noStdin && r.Config.OpenStdin, r.Config.Tty, x.proxied && !r.Config.Tty
			_, err = x.follow(e, r.ID, r.HostConfig.AutoRemove, func(string) error {
				// A program redraws when the size changes, and only then: change it once.
				if size := windowSize(); x.tty && size != [2]uint{} {
					e.Resize(r.ID, size[0]+1, size[1]+1)
				}
				_, err := inspectRunning(e, r.ID) // what has ended meanwhile would never say anything
				return err
			})
			return err
		}),
	}
}

func inspectRunning(e *engine.Engine, ref string) (api.InspectResponse, error) {
	r, err := e.Inspect(ref, false)
	switch {
	case err != nil:
	case !r.State.Running:
		err = exit(1, "You cannot attach to a stopped container, start it first")
	case r.State.Paused:
		err = exit(1, "You cannot attach to a paused container, unpause it first")
	case r.State.Restarting:
		err = exit(1, "You cannot attach to a restarting container, wait until it is running")
	}
	return r.InspectResponse, err
}

// follow attaches to a container and waits for its exit before it starts it: what
// the program says first and an exit at once are not missed. It returns the
// container's exit status; with remove, when that has been removed.
func (x exchange) follow(e *engine.Engine, id string, remove bool, start func(id string) error) (started bool, err error) {
	if x.proxied {
		defer proxySignals(x.tty, func(signal string) error { return e.Kill(id, signal) })()
	}
	until := api.WaitConditionNextExit
	if remove {
		until = api.WaitConditionRemoved
	}
	wait, err := e.Wait(id, until)
	if err != nil {
		return false, err
	}
	stream, err := e.Attach(id, engine.AttachOptions{Stdin: x.stdin, Stdout: x.stdout, Stderr: x.stderr})
	if err != nil {
		return false, err
	}
	defer stream.Close()
	if err := start(id); err != nil {
		return false, err
	}
	x.resize = func(h, w uint) error { return e.Resize(id, h, w) }
	return true, x.run(stream, func() error {
		response, err := wait()
		if err != nil {
			return exit(125, "Error: wait for the container: %w", err)
		}
		return status(int(response.StatusCode))
	})
}
