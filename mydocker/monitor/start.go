package monitor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/logfile"
	"minidocker/mydocker/overlay"
	"minidocker/mydocker/runtime"
	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// start acquires what the container needs, runs it and records that it runs. It
// is a success if it runs already.
func (m *Monitor) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.phase {
	case running:
		return nil
	case ended:
		return attach.ErrLeaving
	}
	err := m.run()
	if err == nil {
		return nil
	}
	m.failed(err)
	return fmt.Errorf("start container %s: %w", container.ShortID(m.id()), err)
}

// run is the way from a record to a running process. What is acquired before an
// error, failed releases.
func (m *Monitor) run() error {
	bundle := filepath.Join(m.store.RunDir(m.id()), "bundle")
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o700); err != nil {
		return err
	}
	layers := overlay.Mount{
		Upper:    filepath.Join(m.store.Dir(m.id()), "rw", "upper"),
		Work:     filepath.Join(m.store.Dir(m.id()), "rw", "work"),
		Volatile: m.record.HostConfig.AutoRemove,
	}
	for _, layer := range m.record.Layers {
		layers.Lower = append(layers.Lower, filepath.Join(m.root, layer))
	}
	if err := layers.Prepare(0, 0); err != nil {
		return err
	}
	root, err := layers.Open()
	if err != nil {
		return err
	}
	defer root.Close()

	facts, err := m.facts(root, filepath.Join(bundle, "rootfs"))
	if err != nil {
		return err
	}
	s, err := spec.Build(m.record.Config, m.record.HostConfig, facts)
	if err != nil {
		return err
	}
	if err := disk.WriteJSON(filepath.Join(bundle, "config.json"), s, disk.Volatile); err != nil {
		return err
	}
	if err := m.group.Create(s.Linux.Resources); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	if err := m.group.SetDevices(s.Linux.Resources.Devices); err != nil {
		return err
	}
	if !s.Process.Terminal {
		if m.streams, err = openPipes(m.record.Config.OpenStdin, s.Process.User); err != nil {
			return fmt.Errorf("make the standard streams: %w", err)
		}
	}
	m.process, err = runtime.Create(s, m.store.RunDir(m.id()), m.group,
		runtime.Options{Stdio: m.streams.theirs, Root: root, DieWithParent: true})
	m.streams.closeTheirs()
	if err != nil {
		return err
	}
	return m.launch(s)
}

// launch lets the created process go. Its state is recorded before: had the
// monitor died between the two, nobody would look for the process.
func (m *Monitor) launch(s *specs.Spec) error {
	if terminal := m.process.Terminal; terminal != nil {
		m.streams = streams{stdin: terminal, output: []stream{{terminal, attach.Stdout, "stdout"}}}
	}
	m.openLog()
	bootID, err := container.BootID()
	if err != nil {
		return err
	}
	before := *m.state
	*m.state = container.State{Status: api.StateRunning, Pid: m.process.Pid, BootID: bootID,
		StartedAt: time.Now().UTC(), FinishedAt: before.FinishedAt, RestartCount: before.RestartCount}
	if err := m.saveState(); err != nil {
		return err
	}
	if err := m.process.Start(); err != nil {
		*m.state = before
		return err
	}
	linux := *s.Linux
	linux.Seccomp = nil // compiled, and with the process
	s.Linux, m.spec = &linux, s
	m.phase = running
	close(m.started)
	m.pump()
	m.event(events.ActionStart, nil)
	go m.awaitEnd()
	return nil
}

// openLog opens the log as the container's log configuration wants it.
func (m *Monitor) openLog() {
	config := m.record.HostConfig.LogConfig
	if config.Type == "none" {
		return
	}
	options := logfile.Options{}
	options.MaxSize, _ = strconv.ParseInt(config.Config["max-size"], 10, 64)
	options.MaxFiles, _ = strconv.Atoi(config.Config["max-file"])
	m.log = logfile.New(m.store.LogPath(m.id()), options)
}

// failed releases what a start that did not succeed acquired. The container
// keeps the reason; the monitor has nothing more to do. The caller holds mu.
func (m *Monitor) failed(err error) {
	if m.process != nil {
		m.process.Abandon()
		m.process = nil
	}
	m.streams.close()
	m.state.Error, m.state.ExitCode, m.state.Pid = err.Error(), exitCode(err), 0
	m.finish(errors.Join(m.group.Kill(), m.group.Delete(), m.saveState()))
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
	var known *attach.Error
	if errors.As(err, &known) {
		return attach.Response{Error: known.Message, Code: known.Code, NotRunning: known.NotRunning}
	}
	return attach.Response{Error: err.Error(), Code: exitCode(err)}
}
