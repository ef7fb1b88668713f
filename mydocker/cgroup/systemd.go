package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

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

// property is an element of the D-Bus type a(sv).
type property struct {
	Name  string
	Value dbus.Variant
}

func prop(name string, value any) property { return property{name, dbus.MakeVariant(value)} }

// OpenSystemd returns the group of a scope named by a cgroupsPath "slice:prefix:name", in
// runc's form for systemd: prefix-name.scope in that slice. "" is "system.slice:runc:ID".
// Annotations org.systemd.property.NAME become properties of the unit, their values in
// GVariant's text format. The group's methods then speak to the systemd of the host.
func OpenSystemd(path, id string, annotations map[string]string) (Group, error) {
	if path == "" {
		path = "::" + id
	}
	parts := strings.Split(path, ":")
	if len(parts) != 3 || parts[2] == "" {
		return Group{}, fmt.Errorf("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got %q instead", path)
	}
	if path == "::"+id {
		parts[1] = "runc"
	}
	slice, prefix, name := parts[0], parts[1], parts[2]+".scope"
	if slice == "" {
		slice = "system.slice"
	}
	if prefix != "" {
		name = prefix + "-" + name
	}
	dir, err := expandSlice(slice)
	if err != nil {
		return Group{}, err
	}
	if strings.Contains(name, "/") || strings.HasSuffix(name, ".slice.scope") {
		return Group{}, fmt.Errorf("cgroupsPath %q: %s is not the name of a scope", path, name)
	}
	g, err := Open(filepath.Join(dir, name))
	if err != nil {
		return Group{}, err
	}
	own, err := annotated(annotations)
	g.manager = &scope{name: name, version: g.host.Version, fixed: append([]property{
		prop("Description", "mydocker container "+parts[2]),
		prop("Slice", slice),
		prop("Delegate", true),
		prop("DefaultDependencies", false), // else it would be stopped before the services that use it
		prop("CPUAccounting", true), prop("MemoryAccounting", true), prop("TasksAccounting", true), prop("IOAccounting", true),
	}, own...)}
	return g, err
}

// expandSlice is where systemd has a slice: a-b.slice lies in a.slice (systemd.slice(5)).
func expandSlice(slice string) (path string, err error) {
	name, ok := strings.CutSuffix(slice, ".slice")
	if !ok || name == "" || strings.Contains(name, "/") || name != "-" && strings.Contains("-"+name+"-", "--") {
		return "", fmt.Errorf("invalid slice name: %s", slice)
	}
	if name == "-" {
		return "/", nil
	}
	path = "/"
	for i := range name + "-" {
		if i == len(name) || name[i] == '-' {
			path = filepath.Join(path, name[:i]+".slice")
		}
	}
	return path, nil
}

// start makes the unit. A scope must have a process from its start on, and the container
// has none yet: until the first is born, one holds its place that never runs.
func (s *scope) start(limits []setting) error {
	pid, end, err := hold()
	if err != nil {
		return fmt.Errorf("create systemd unit %s: %w", s.name, err)
	}
	s.end = end
	list, err := properties(limits, s.version)
	if err == nil {
		list = slices.Concat([]property{prop("PIDs", []uint32{uint32(pid)})}, s.fixed, list)
		type unit struct {
			Name       string
			Properties []property
		}
		for range 2 {
			trace.Step("systemd", "StartTransientUnit %s", s.name)
			err = s.job("StartTransientUnit", s.name, "replace", list, []unit{})
			// Perhaps one that failed, which systemd keeps to be looked at.
			if !is(err, "UnitExists") || s.call("ResetFailedUnit", s.name) != nil {
				break
			}
		}
	}
	if err != nil {
		s.born()
		return fmt.Errorf("create systemd unit %s: %w", s.name, err)
	}
	return nil
}

func (s *scope) set(limits []setting) error {
	list, err := properties(limits, s.version)
	if err == nil && len(list) > 0 {
		err = s.call("SetUnitProperties", s.name, true, list)
	}
	return err
}

func (s *scope) born() {
	if s.end != nil {
		s.end()
		s.end = nil
	}
}

func (s *scope) stop() error {
	s.born()
	trace.Step("systemd", "StopUnit %s", s.name)
	err := s.job("StopUnit", s.name, "replace")
	if is(err, "NoSuchUnit") {
		return nil
	}
	s.call("ResetFailedUnit", s.name) // it may not have failed
	return err
}

// hold starts a process that stops before its first instruction, and lives until end or
// the end of the calling process.
func hold() (pid int, end func(), err error) {
	started, ended, done := make(chan error), make(chan struct{}), make(chan struct{})
	cmd := exec.Command("/proc/self/exe")
	// The thread that traces a process is its parent: with that it would end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			<-ended
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return 0, nil, fmt.Errorf("start a process to hold its place: %w", err)
	}
	return cmd.Process.Pid, func() { close(ended); <-done }, nil
}

const manager1 = "org.freedesktop.systemd1.Manager."

// is tells whether systemd answered with one of its errors.
func is(err error, name string) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == "org.freedesktop.systemd1."+name
}

// call calls a method of systemd that has no result.
func (s *scope) call(method string, args ...any) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := object(conn).Call(manager1+method, 0, args...).Err; err != nil {
		return fmt.Errorf("systemd: %s %s: %w", method, s.name, err)
	}
	return nil
}

// job calls a method that answers with a job, and waits for the signal of the job's end.
func (s *scope) job(method string, args ...any) error {
	conn, err := connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	var job dbus.ObjectPath
	if err := object(conn).Call(manager1+method, 0, args...).Store(&job); err != nil {
		return fmt.Errorf("systemd: %s %s: %w", method, s.name, err)
	}
	limit := time.After(30 * time.Second)
	for {
		select {
		case signal, ok := <-signals:
			if !ok {
				return fmt.Errorf("systemd: %s %s: the connection ended", method, s.name)
			}
			// JobRemoved(id, job, unit, result)
			if signal.Name != manager1+"JobRemoved" || len(signal.Body) != 4 || signal.Body[1] != job {
				continue
			}
			if result := signal.Body[3]; result != "done" {
				return fmt.Errorf("systemd: %s %s: the job's result is %q", method, s.name, result)
			}
			return nil
		case <-limit:
			return fmt.Errorf("systemd: %s %s: timeout of 30 s", method, s.name)
		}
	}
}

func object(conn *dbus.Conn) dbus.BusObject {
	return conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
}

// connect reaches systemd at its own socket, where root needs no message bus and gets all
// signals, or, in a container that is given but that of the host, by the bus.
func connect() (*dbus.Conn, error) {
	const private = "/run/systemd/private"
	if _, err := os.Stat(private); err == nil {
		conn, err := dbus.Dial("unix:path=" + private)
		if err == nil {
			if err = conn.Auth(nil); err == nil {
				return conn, nil
			}
			conn.Close()
		}
	}
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	err = conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.systemd1.Manager"), dbus.WithMatchMember("JobRemoved"))
	if err == nil {
		err = object(conn).Call(manager1+"Subscribe", 0).Err
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return conn, nil
}
