package cgroup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/trace"
)

// scope is a unit of systemd for processes it has not started itself (systemd.scope(5)),
// delegated: below it, systemd leaves all groups alone. It lives no longer than its
// processes, so that a crash leaves it exactly if it leaves a container.
type scope struct {
	name    string // with ".scope"
	version int
	fixed   []property // of the unit from its start on
	end     func()     // ends the process that holds the place of the first; nil: none does
}

type property = dbus.Property

func prop(name string, value any) property {
	return property{Name: name, Value: godbus.MakeVariant(value)}
}

// OpenSystemd returns the group of a scope named by a cgroupsPath "slice:prefix:name", in
// runc's form for systemd: prefix-name.scope in that slice. "" is "system.slice:runc:ID".
// Annotations org.systemd.property.NAME become properties of the unit, their values in
// GVariant's text format. The group's methods then speak to the systemd of the host.
func OpenSystemd(path, id string, annotations map[string]string) (Group, error) {
	parts := []string{"", "runc", id}
	if path != "" {
		parts = strings.Split(path, ":")
	}
	if len(parts) != 3 || parts[2] == "" {
		return Group{}, fmt.Errorf("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got %q instead", path)
	}
	slice, name := cmp.Or(parts[0], "system.slice"), strings.TrimPrefix(parts[1]+"-"+parts[2]+".scope", "-")
	dir, err := expandSlice(slice)
	if err == nil && (strings.Contains(name, "/") || strings.HasSuffix(name, ".slice.scope")) {
		err = fmt.Errorf("cgroupsPath %q: %s is not the name of a scope", path, name)
	}
	own, err2 := annotated(annotations)
	if err := errors.Join(err, err2); err != nil {
		return Group{}, err
	}
	g, err := Open(filepath.Join(dir, name))
	if err != nil {
		return Group{}, err
	}
	accounting := "IOAccounting"
	if g.host.Version != 2 {
		accounting = "BlockIOAccounting"
	}
	g.manager = &scope{name: name, version: g.host.Version, fixed: append(own,
		prop("Description", "mydocker container "+parts[2]), prop("Slice", slice), prop("Delegate", true),
		prop("DefaultDependencies", false), // else it would be stopped before the services that use it
		prop("CPUAccounting", true), prop("MemoryAccounting", true), prop("TasksAccounting", true), prop(accounting, true),
	)}
	return g, nil
}

// expandSlice is where systemd has a slice: a-b.slice lies in a.slice (systemd.slice(5)).
func expandSlice(slice string) (path string, err error) {
	name, ok := strings.CutSuffix(slice, ".slice")
	if slice == "-.slice" {
		return "/", nil
	}
	if !ok || strings.Contains(name, "/") || strings.Contains("-"+name+"-", "--") {
		return "", fmt.Errorf("invalid slice name: %s", slice)
	}
	for i, letter := range name + "-" {
		if letter == '-' {
			path += "/" + name[:i] + ".slice"
		}
	}
	return path, nil
}

// start makes the unit. A scope must have a process from its start on, and the container
// has none yet: until the first is born, one holds its place that never runs.
func (s *scope) start(limits []setting) error {
	list, err := properties(limits, s.version)
	if err != nil {
		return err
	}
	pid, end, err := hold()
	if err != nil {
		return fmt.Errorf("start a process to hold a place: %w", err)
	}
	s.end = end
	list = slices.Concat([]property{prop("PIDs", []uint32{uint32(pid)})}, s.fixed, list)
	begin := func(c *dbus.Conn, done chan<- string) (int, error) {
		return c.StartTransientUnitContext(context.Background(), s.name, "replace", list, done)
	}
	err = s.job("StartTransientUnit", begin)
	// Perhaps one that failed, which systemd keeps to be looked at.
	if is(err, "UnitExists") && s.reset() == nil {
		err = s.job("StartTransientUnit", begin)
	}
	if err != nil {
		s.born()
	}
	return err
}

func (s *scope) set(limits []setting) error {
	list, err := properties(limits, s.version)
	if err != nil || len(list) == 0 {
		return err
	}
	return s.tell(list)
}

// tell sets properties, not on disk.
func (s *scope) tell(list []property) error {
	return s.call("SetUnitProperties", func(c *dbus.Conn) error {
		return c.SetUnitPropertiesContext(context.Background(), s.name, true, list...)
	})
}

func (s *scope) reset() error {
	return s.call("ResetFailedUnit", func(c *dbus.Conn) error { return c.ResetFailedUnitContext(context.Background(), s.name) })
}

func (s *scope) born() {
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

func (s *scope) stop() error {
	s.born()
	err := s.job("StopUnit", func(c *dbus.Conn, done chan<- string) (int, error) {
		return c.StopUnitContext(context.Background(), s.name, "replace", done)
	})
	if is(err, "NoSuchUnit") {
		return nil
	}
	s.reset() // it may not have failed
	return err
}

// hold starts a process that stops before its first instruction, and lives until end or
// the end of the calling process.
func hold() (pid int, end func(), err error) {
	started, ended, done := make(chan error), make(chan struct{}), make(chan struct{})
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	go namespace.OnThread(func() error { // it would end with the thread that traces it
		defer close(done)
		started <- cmd.Start()
		<-ended
		if cmd.Process != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
		return nil
	})
	if err := <-started; err != nil {
		close(ended)
		return 0, nil, err
	}
	return cmd.Process.Pid, func() { close(ended); <-done }, nil
}

// is tells whether systemd answered with one of its errors.
func is(err error, name string) bool {
	var answer godbus.Error
	return errors.As(err, &answer) && answer.Name == "org.freedesktop.systemd1."+name
}

// call reaches systemd at its own socket, where root needs no message bus, or, in a
// container that is given but that of the host, by the bus.
func (s *scope) call(method string, f func(*dbus.Conn) error) error {
	trace.Step("systemd", "%s %s", method, s.name)
	conn, err := dbus.NewSystemdConnectionContext(context.Background())
	if err != nil {
		conn, err = dbus.NewSystemConnectionContext(context.Background())
	}
	if err == nil {
		defer conn.Close()
		err = f(conn)
	}
	if err != nil {
		return fmt.Errorf("systemd: %s %s: %w", method, s.name, err)
	}
	return nil
}

// job calls a method that answers with a job, and waits for the job's end.
func (s *scope) job(method string, begin func(*dbus.Conn, chan<- string) (int, error)) error {
	return s.call(method, func(c *dbus.Conn) error {
		done := make(chan string, 1)
		if _, err := begin(c, done); err != nil {
			return err
		}
		select {
		case result := <-done:
			if result != "done" {
				return fmt.Errorf("the job's result is %q", result)
			}
			return nil
		case <-time.After(30 * time.Second):
			return errors.New("the job did not end in 30 s")
		}
	})
}
