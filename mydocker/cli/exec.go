package cli

import (
	"cmp"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	api "github.com/moby/moby/api/types/container"

	"minidocker/mydocker/engine"
)

type execOptions struct {
	api.ExecCreateRequest
	envFiles []string
	detach   bool
	keys     []byte
}

func execCommand(s *session) *command {
	o := &execOptions{}
	return &command{
		Usage: "Execute a command in a running container", ArgsUsage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
		Description: "mydocker exec -it web sh",
		Flags: flags("",
			boolean(&o.detach, "d,detach", "Detached mode: run command in the background"),
			detachKeys(&o.keys),
			environment(&o.Env),
			list(&o.envFiles, "env-file", "Read in a file of environment variables"),
			boolean(&o.AttachStdin, "i,interactive", "Keep STDIN open even if not attached"),
			boolean(&o.Privileged, "privileged", "Give extended privileges to the command"),
			boolean(&o.Tty, "t,tty", "Allocate a pseudo-TTY"),
			text(&o.User, "u,user", `Username or UID (format: "<name|uid>[:<group|gid>]")`),
			text(&o.WorkingDir, "w,workdir", "Working directory inside the container"),
		),
		Action: s.action(func(e *engine.Engine, args []string) error { return o.run(e, args[0], args[1:]) }),
	}
}

func (o *execOptions) run(e *engine.Engine, ref string, command []string) (err error) {
	o.Cmd = command
	o.AttachStdin = o.AttachStdin && !o.detach
	o.AttachStdout, o.AttachStderr = !o.detach, !o.detach
	if o.Env, err = withFiles(o.envFiles, o.Env); err != nil {
		return err
	}
	if err := checkTTY(o.AttachStdin, o.Tty); err != nil {
		return err
	}
	if o.Tty {
		size := windowSize()
		o.ConsoleSize = &size
	}
	running, err := e.Exec(ref, o.ExecCreateRequest, o.detach)
	if err != nil || o.detach {
		return err
	}
	defer running.Close()
	x := exchange{
		stdin: o.AttachStdin, stdout: true, stderr: true, tty: o.Tty, keys: o.keys, resize: running.Resize,
		grace: 2 * time.Second, // as in Docker: children may hold the output open for as long as the container runs
	}
	return x.run(execEnd{running}, func() error {
		code, err := running.Wait()
		return errors.Join(err, status(code))
	})
}

// execEnd is an exec as the far end of an exchange.
type execEnd struct{ *engine.Exec }

func (x execEnd) Write(p []byte) (int, error) {
	if x.Tty != nil {
		return x.Tty.Write(p)
	}
	return x.Stdin.Write(p)
}

func (x execEnd) CloseWrite() error { return x.Stdin.Close() }

func (x execEnd) Copy(stdout, stderr io.Writer) (err error) {
	var copied []chan error
	for from, to := range map[*os.File]io.Writer{x.Tty: stdout, x.Stdout: stdout, x.Stderr: stderr} {
		if from == nil {
			continue
		}
		copied = append(copied, goResult(func() error {
			_, err := io.Copy(to, from)
			if errors.Is(err, syscall.EIO) { // so a terminal's master reports the end of the last slave, pty(7)
				return nil
			}
			return err
		}))
	}
	for _, done := range copied {
		err = cmp.Or(err, <-done)
	}
	return err
}
