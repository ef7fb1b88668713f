package oci

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func (h *host) deleteCommand() *cli.Command {
	var force bool
	return &cli.Command{Name: "delete", Usage: "delete a container and what it has on the host", ArgsUsage: "<container-id>",
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill it first if it runs", Destination: &force}},
		Action: h.on(func(_ *cli.Context, id string) error { return h.delete(id, force) })}
}

// delete removes a container. With force it removes what a command that was killed has left, too.
func (h *host) delete(id string, force bool) error {
	dir, err := h.place(id)
	if err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err == nil {
		defer unlock()
		err = h.deleteLocked(dir, id, force)
	}
	if force && errors.Is(err, errNotExist) {
		return nil
	}
	return err
}

func (h *host) deleteLocked(dir, id string, force bool) error {
	c, err := read(dir, stateFile)
	if errors.Is(err, errNotExist) && force {
		if c, err = read(dir, creatingFile); err != nil { // killed before it had more than a name
			return disk.RemoveAll(dir)
		}
	}
	if err != nil {
		return err
	}
	status, p, err := c.status()
	if err != nil {
		return err
	}
	if p != nil {
		defer p.Close()
		if !force && status != specs.StateCreated {
			return fmt.Errorf("cannot delete container %s that is not stopped: %s", id, status)
		}
		if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill container: %w", err)
		}
		if !p.DoneWithin(10_000) {
			return errors.New("container init still running")
		}
	}
	spec, err := c.spec()
	if err != nil && !force {
		return err
	}
	return h.remove(c, spec)
}

// remove deletes a container whose process has ended and runs the hooks for that.
// That one fails is worth a warning (runtime.md, "Lifecycle").
func (h *host) remove(c *container, spec *specs.Spec) error {
	err := c.release(spec)
	if err == nil && spec != nil && spec.Hooks != nil && c.Pid != 0 {
		for _, hook := range spec.Hooks.Poststop {
			h.warn(runtime.RunHooks([]specs.Hook{hook}, c.state(specs.StateStopped)))
		}
	}
	return err
}

func (h *host) killCommand() *cli.Command {
	var all bool
	return &cli.Command{Name: "kill", Usage: "send a signal (default: SIGTERM) to the container's process", ArgsUsage: "<container-id> [signal]",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "send it to all processes of the container", Destination: &all}},
		Action: func(c *cli.Context) error {
			if err := arguments(c, 1, 2); err != nil {
				return err
			}
			number, err := parseSignal(c.Args().Get(1))
			if err != nil {
				return err
			}
			return h.kill(c.Args().First(), number, all)
		}}
}

// kill sends a signal. To a container without a pid namespace SIGKILL goes to all its
// processes: the others would not end with the first.
func (h *host) kill(id string, number unix.Signal, all bool) error {
	c, err := h.load(id)
	if err != nil {
		return err
	}
	p, err := c.process()
	ended := errors.Is(err, os.ErrProcessDone)
	if err != nil && !ended {
		return err
	}
	if !ended {
		defer p.Close()
	}
	spec, err := c.spec()
	if err != nil {
		return err
	}
	if all || number == unix.SIGKILL && sharesPids(spec) && !c.Cgroup.Shared {
		return c.killAll(number)
	}
	if ended {
		return errNotRuns
	}
	if err = p.Signal(number); errors.Is(err, os.ErrProcessDone) {
		return errNotRuns
	}
	return err
}

// killAll signals all processes of the cgroup; none is a success.
func (c *container) killAll(number unix.Signal) error {
	group, err := c.group()
	if err != nil {
		return err
	}
	if number == unix.SIGKILL {
		return group.Kill()
	}
	pids, err := group.Pids()
	if err != nil || len(pids) == 0 {
		return err
	}
	frozen, err := group.Frozen()
	if err == nil && !frozen { // so that none forks, and no number is used again
		if err = group.Freeze(); err != nil {
			return err
		}
		defer group.Thaw()
		if pids, err = group.Pids(); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err2 := unix.Kill(pid, number); err2 != nil && err2 != unix.ESRCH {
			err = errors.Join(err, fmt.Errorf("signal process %d: %w", pid, err2))
		}
	}
	return err
}

// parseSignal reads a number or a name, with SIG or without; "" is SIGTERM.
func parseSignal(text string) (unix.Signal, error) {
	if text == "" {
		return unix.SIGTERM, nil
	}
	if number, err := strconv.Atoi(text); err == nil && number >= 0 && number <= 64 {
		return unix.Signal(number), nil
	}
	if number := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")); number != 0 {
		return number, nil
	}
	return 0, fmt.Errorf("unknown signal %q", text)
}
