package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/runtime"
	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// start starts the container by hand. It is a success if it runs already or, unless
// it is wanted now, is about to by its policy.
func (m *Monitor) start(now bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.state.Status == api.StatePaused:
		return errors.New("cannot start a paused container, try unpause instead")
	case m.phase == running || m.phase == restarting && !now:
		return nil
	case m.phase == ended:
		return attach.ErrLeaving
	}
	m.state.RestartCount, m.delay = 0, 0
	return m.begin()
}

// begin acquires what the container needs, runs it and records that it runs. The
// caller holds mu.
func (m *Monitor) begin() error {
	if err := m.run(); err != nil {
		return m.failed(err)
	}
	return nil
}

// run is the way from a record to a running process. What is acquired before an
// error, failed releases.
func (m *Monitor) run() error {
	record, l := m.record(), m.life
	m.warnings = nil
	if err := m.holdPorts(record.Networks); err != nil {
		return err
	}
	if err := m.joinNetworks(l); err != nil {
		return err
	}
	bundle := filepath.Join(m.store.RunDir(m.id()), "bundle")
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o700); err != nil {
		return err
	}
	others := &joined{given: map[string]*os.File{}, memory: map[string]bool{}}
	defer others.close()
	users, err := m.join(others)
	if err != nil {
		return err
	}
	layers, ids := m.store.Layers(record), record.UserNamespace
	layers.Volatile = record.HostConfig.AutoRemove
	if users != nil {
		layers.MapLower = func(dir *os.File) error { return rootfs.MapIDs(dir, users, false) }
	}
	if err := layers.Prepare(ids.Host(0), ids.Host(0)); err != nil {
		return err
	}
	root, err := layers.Open()
	if err != nil {
		return err
	}
	defer root.Close()

	facts, err := m.facts(l, root, filepath.Join(bundle, "rootfs"))
	if err != nil {
		return err
	}
	facts.Namespaces, facts.ShmPath = others.namespaces, others.shm
	if err := m.openVolumes(others, &facts); err != nil {
		return err
	}
	s, err := spec.Build(record.Config, record.HostConfig, facts)
	if err != nil {
		return err
	}
	if err := disk.WriteJSON(filepath.Join(bundle, "config.json"), runtime.Config{Spec: s}, disk.Volatile); err != nil {
		return err
	}
	if users != nil {
		namespace.Find(s.Linux.Namespaces, specs.UserNamespace).Path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), users.Fd())
		if err := m.mapMounts(others, users, s.Mounts); err != nil {
			return err
		}
	}
	if err := m.group.Create(s.Linux.Resources); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	if err := m.group.SetDevices(s.Linux.Resources.Devices); err != nil {
		return err
	}
	if !s.Process.Terminal {
		if l.streams, err = openPipes(record.Config.OpenStdin, s.Process.User, ids); err != nil {
			return fmt.Errorf("make the standard streams: %w", err)
		}
	}
	l.spec = s
	l.process, err = runtime.Create(s, m.store.RunDir(m.id()), m.group,
		runtime.Options{Stdio: l.streams.theirs, Root: root, Given: others.given, DieWithParent: true,
			Connect: func(pid int) error { return m.plugIn(l, pid) }})
	l.streams.closeTheirs()
	if err != nil {
		return err
	}
	return m.launch(l, s)
}

// launch lets the created process go. Its state is recorded before: had the
// monitor died between the two, nobody would look for the process.
func (m *Monitor) launch(l *life, s *specs.Spec) error {
	if terminal := l.process.Terminal; terminal != nil {
		l.streams = streams{stdin: terminal, output: []stream{{terminal, attach.Stdout, "stdout"}}}
	}
	if err := m.openLog(l); err != nil {
		return err
	}
	bootID, err := container.BootID()
	if err != nil {
		return err
	}
	if err := l.awaitPlugged(); err != nil {
		return err
	}
	l.serve(m.ports)
	before := *m.state
	*m.state = container.State{Status: api.StateRunning, Pid: l.process.Pid, BootID: bootID,
		StartedAt: time.Now().UTC(), FinishedAt: before.FinishedAt, RestartCount: before.RestartCount, Health: m.initialHealth(),
		Ports: m.ports.Bindings()}
	if err = m.saveState(); err == nil {
		err = l.process.Start()
	}
	if err != nil {
		*m.state = before
		return err
	}
	linux := *s.Linux
	linux.Seccomp = nil // compiled, and with the process
	s.Linux, l.spec = &linux, s
	m.phase = running
	close(l.started)
	m.pump(l)
	m.event(events.ActionStart, nil)
	m.startProbing()
	go m.awaitEnd(l)
	return nil
}

// failed ends the container after a start that did not succeed, and gives the error
// that its caller is told. The container keeps the reason. The caller holds mu.
func (m *Monitor) failed(err error) error {
	m.state.Error, m.state.ExitCode, m.state.Pid = err.Error(), exitCode(err), 0
	if m.state.Status == api.StateRestarting { // as Docker, which gives up then
		m.state.Status = api.StateExited
	}
	m.finish(errors.Join(m.undo(), m.saveState()))
	return &attach.Error{Message: fmt.Sprintf("start container %s: %v", container.ShortID(m.id()), err), Code: exitCode(err)}
}

// undo gives back what a start that did not succeed acquired. The caller holds mu.
func (m *Monitor) undo() error {
	l := m.life
	if l.process != nil {
		l.process.Abandon()
		l.process = nil
	}
	m.disconnect(l)
	l.streams.close()
	l.streams = streams{}
	return errors.Join(m.group.Kill(), m.group.Delete(), m.leaveNetworks())
}

// exitCode is the exit code that goes with an error of a start: Docker's, or
// its general one.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 125
}

// respond makes a response of an error.
func respond(err error) attach.Response {
	if err == nil {
		return attach.Response{}
	}
	response := attach.Response{Error: err.Error(), Leaving: errors.Is(err, attach.ErrLeaving)}
	if known := (*attach.Error)(nil); errors.As(err, &known) {
		response.Code, response.NotRunning = known.Code, known.NotRunning
	} else if coded := (*runtime.Error)(nil); errors.As(err, &coded) {
		response.Code = coded.ExitCode()
	}
	return response
}
