package cli

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/term"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

type execOptions struct {
	request  api.ExecCreateRequest
	env      []string
	envFiles []string
	detach   bool
}

func execCommand(s *session) *cli.Command {
	o := &execOptions{}
	r := &o.request
	return &cli.Command{
		Name: "exec", Usage: "Execute a command in a running container",
		ArgsUsage:   "[OPTIONS] CONTAINER COMMAND [ARG...]",
		UsageText:   "mydocker container exec, mydocker exec",
		Description: "mydocker exec -it web sh",
		Flags: []cli.Flag{
			boolean(&o.detach, "d", "detach", "Detached mode: run command in the background"),
			text(&r.DetachKeys, "", "detach-keys", "Override the key sequence for detaching a container"),
			environment(&o.env),
			list(&o.envFiles, "", "env-file", "Read in a file of environment variables"),
			boolean(&r.AttachStdin, "i", "interactive", "Keep STDIN open even if not attached"),
			boolean(&r.Privileged, "", "privileged", "Give extended privileges to the command"),
			boolean(&r.Tty, "t", "tty", "Allocate a pseudo-TTY"),
			text(&r.User, "u", "user", `Username or UID (format: "<name|uid>[:<group|gid>]")`),
			text(&r.WorkingDir, "w", "workdir", "Working directory inside the container"),
		},
		Before: takes(2, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return o.run(e, c.Args().First(), c.Args().Tail())
		}),
	}
}

func (o *execOptions) run(e *engine.Engine, ref string, command []string) (err error) {
	r := o.request
	r.Cmd = command
	r.AttachStdin = r.AttachStdin && !o.detach
	r.AttachStdout, r.AttachStderr = !o.detach, !o.detach
	keys, err := detachKeys(r.DetachKeys)
	if err != nil {
		return err
	}
	if r.Env, err = environmentOf(o.envFiles, o.env); err != nil {
		return err
	}
	if err := checkTTY(r.AttachStdin, r.Tty); err != nil {
		// That there is no such container is the more useful thing to say.
		if _, missing := e.Inspect(ref, false); missing != nil {
			return missing
		}
		return err
	}
	if r.Tty {
		size := windowSize()
		r.ConsoleSize = &size
	}
	running, err := e.Exec(ref, r, o.detach)
	if err != nil || o.detach {
		return err
	}
	defer running.Close()
	if r.Tty {
		defer followSize(running.Resize)()
	}
	x := exchange{stdin: r.AttachStdin, stdout: true, stderr: true, tty: r.Tty, keys: keys}
	far := &execEnd{Exec: running, exited: make(chan struct{})}
	go far.wait()
	if err := x.run(far); err != nil {
		if errors.As(err, new(term.EscapeError)) {
			return exit(1, "%w", err)
		}
		return exitWith(err)
	}
	<-far.exited
	if far.err != nil {
		return far.err
	}
	return status(far.code)
}

// execEnd is an exec as the far end of an exchange.
type execEnd struct {
	*engine.Exec
	exited chan struct{}
	code   int // when exited is closed
	err    error
}

func (x *execEnd) wait() {
	defer close(x.exited)
	x.code, x.err = x.Wait()
}

func (x *execEnd) Write(p []byte) (int, error) {
	if x.Tty != nil {
		return x.Tty.Write(p)
	}
	return x.Stdin.Write(p)
}

func (x *execEnd) CloseWrite() error { return x.Stdin.Close() }

// Copy ends with the output, or, as in Docker, two seconds after the command: it
// may have left children that hold its output open for as long as the container
// runs.
func (x *execEnd) Copy(stdout, stderr io.Writer) error {
	copied := make(chan error, 1)
	go func() { copied <- x.copyAll(stdout, stderr) }()
	select {
	case err := <-copied:
		return err
	case <-x.exited:
	}
	select {
	case err := <-copied:
		return err
	case <-time.After(2 * time.Second):
		return nil
	}
}

func (x *execEnd) copyAll(stdout, stderr io.Writer) error {
	if x.Tty != nil {
		// A terminal's master reports the end of the last slave as EIO, pty(7).
		_, err := io.Copy(stdout, x.Tty)
		return ignore(err, syscall.EIO)
	}
	var streams sync.WaitGroup
	var errOut, errErr error
	copyOne := func(err *error, to io.Writer, from *os.File) {
		if from != nil {
			streams.Go(func() { _, *err = io.Copy(to, from) })
		}
	}
	copyOne(&errOut, stdout, x.Stdout)
	copyOne(&errErr, stderr, x.Stderr)
	streams.Wait()
	return errors.Join(errOut, errErr)
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}
