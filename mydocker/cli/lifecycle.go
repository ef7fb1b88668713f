package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/container"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

func startCommand(s *session) *command {
	x := exchange{stdout: true, stderr: true, mayDetach: true}
	var attach bool
	return &command{
		Usage: "Start one or more stopped containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker start -ai shell",
		Flags: flags("checkpoint checkpoint-dir",
			boolean(&attach, "a,attach", "Attach STDOUT/STDERR and forward signals"),
			detachKeys(&x.keys),
			boolean(&x.stdin, "i,interactive", "Attach container's STDIN"),
		),
		Action: s.action(func(e *engine.Engine, refs []string) error {
			if !attach && !x.stdin {
				return startAll(e, refs)
			}
			if len(refs) > 1 {
				return exit(1, "you cannot start and attach multiple containers at once")
			}
			r, err := e.Inspect(refs[0], false)
			if err != nil {
				return err
			}
			x.stdin, x.tty, x.proxied = x.stdin && r.Config.OpenStdin, r.Config.Tty, !r.Config.Tty
			_, err = x.follow(e, r.ID, r.HostConfig.AutoRemove, e.StartAttached)
			return err
		}),
	}
}

func startAll(e *engine.Engine, refs []string) error {
	var missed []string
	for _, ref := range refs {
		if err := e.Start(ref); err != nil {
			show(err)
			missed = append(missed, ref)
		} else {
			fmt.Println(ref)
		}
	}
	if missed != nil {
		return fmt.Errorf("failed to start containers: %s", strings.Join(missed, ", "))
	}
	return nil
}

// verb is a command that does the same to several containers.
func (s *session) verb(usage, example string, all []cli.Flag, do func(e *engine.Engine, ref string) error) *command {
	arguments := "CONTAINER [CONTAINER...]"
	if all != nil {
		arguments = "[OPTIONS] " + arguments
	}
	return &command{
		Usage: usage, ArgsUsage: arguments, Description: example, Flags: all,
		Action: s.action(each(func(e *engine.Engine, ref string) (string, error) { return ref, do(e, ref) })),
	}
}

func stopCommand(s *session) *command {
	var o engine.StopOptions
	return s.verb("Stop one or more running containers", "mydocker stop -t 3 web        # SIGKILL after 3 seconds", stopFlags(&o),
		func(e *engine.Engine, ref string) error { return e.Stop(ref, o) })
}

// stopFlags are those of stop and restart.
func stopFlags(o *engine.StopOptions) []cli.Flag {
	return flags("",
		text(&o.Signal, "s,signal", "Signal to send to the container"),
		optional(&o.Timeout, integer[int], "t,timeout", "Seconds to wait before killing the container"),
		optional(&o.Timeout, integer[int], "time", ""),
	)
}

func restartCommand(s *session) *command {
	var o engine.StopOptions
	return s.verb("Restart one or more containers", "mydocker restart -t 3 web", stopFlags(&o), func(e *engine.Engine, ref string) error {
		err := e.Restart(ref, o)
		if err != nil && !isNotFound(err) { // with 1, also if the command was not found: 127 is run's
			err = exit(1, "Error: Cannot restart container %s: %w", ref, err)
		}
		return err
	})
}

func killCommand(s *session) *command {
	var signal string
	return s.verb("Kill one or more running containers", "mydocker kill -s HUP web",
		flags("", text(&signal, "s,signal", "Signal to send to the container").or("KILL")),
		func(e *engine.Engine, ref string) error { return e.Kill(ref, signal) })
}

func pauseCommand(s *session) *command {
	return s.verb("Pause all processes within one or more containers", "mydocker pause job        # until: mydocker unpause job", nil, (*engine.Engine).Pause)
}

func unpauseCommand(s *session) *command {
	return s.verb("Unpause all processes within one or more containers", "mydocker unpause job", nil, (*engine.Engine).Unpause)
}

func renameCommand(s *session) *command {
	return &command{
		Usage: "Rename a container", ArgsUsage: "CONTAINER NEW_NAME",
		Description: "mydocker rename web web-old",
		Action: s.action(func(e *engine.Engine, args []string) error {
			if strings.TrimSpace(args[0]) == "" || strings.TrimSpace(args[1]) == "" {
				return errors.New("Neither old nor new names may be empty")
			}
			err := e.Rename(args[0], args[1])
			if err != nil {
				err = errors.Join(err, fmt.Errorf("failed to rename container named %s", args[0]))
			}
			return err
		}),
	}
}

func waitCommand(s *session) *command {
	return &command{
		Usage: "Block until one or more containers stop, then print their exit codes", ArgsUsage: "CONTAINER [CONTAINER...]",
		Description: "mydocker wait job",
		Action: s.action(each(func(e *engine.Engine, ref string) (string, error) {
			wait, err := e.Wait(ref, api.WaitConditionNotRunning)
			if err != nil {
				return "", err
			}
			response, err := wait()
			return strconv.FormatInt(response.StatusCode, 10), err
		})),
	}
}

func rmCommand(s *session) *command {
	var o engine.RemoveOptions
	return &command{
		Usage: "Remove one or more containers", ArgsUsage: "[OPTIONS] CONTAINER [CONTAINER...]",
		Description: "mydocker rm -f web",
		Flags: flags("l,link",
			boolean(&o.Force, "f,force", "Force the removal of a running container (uses SIGKILL)"),
			boolean(&o.Volumes, "v,volumes", "Remove anonymous volumes associated with the container"),
		),
		Action: s.action(each(func(e *engine.Engine, ref string) (string, error) {
			err := e.Remove(ref, o)
			if o.Force && isNotFound(err) { // said, but no failure, as in Docker
				show(err)
				return "", nil
			}
			return ref, err
		})),
	}
}

func systemStartCommand(s *session) *command {
	return &command{
		Usage: "Start the containers whose restart policy wants them to run; once after boot", ArgsUsage: "[OPTIONS]",
		Description: "mydocker system start        # README has a systemd unit for it",
		Action: s.action(func(e *engine.Engine, _ []string) error {
			started, err := e.StartByPolicy()
			for _, name := range started {
				fmt.Println(name)
			}
			return err
		}),
	}
}
