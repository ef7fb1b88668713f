package monitor

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/runtime"
	"minidocker/mydocker/security"
	"minidocker/mydocker/spec"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// exec runs a command beside the container's first process. The client gets
// descriptors: the ends of pipes that belong to the container's user, or the
// terminal's master. So no descriptor of the host gets into the container, and
// the monitor is not in the way of the data.
func (m *Monitor) exec(conn *net.UnixConn, request attach.Request) {
	x, err := m.beginExec(*request.Exec, request.Detach)
	if err != nil {
		attach.Send(conn, respond(err))
		return
	}
	process, s := x.process, &x.streams
	err = attach.Send(conn, attach.Response{Terminal: request.Exec.Tty}, s.clientEnds()...)
	if s.stdin != nil && process.Terminal == nil {
		s.stdin.Close() // the client's now: its end must be the command's
		s.stdin = nil
	}
	// The other ends are kept open: when the client goes, the command goes on,
	// and what it writes is taken and thrown away, as Docker does.
	gone := hangup(conn)
	ended := make(chan struct{})
	go func() {
		if err == nil && !request.Detach {
			select {
			case <-gone:
			case <-ended:
				return
			}
		}
		for _, out := range s.output {
			go io.Copy(io.Discard, out.file)
		}
	}()
	code := m.awaitExec(x)
	close(ended)
	attach.Send(conn, attach.Response{ExitCode: code})
	s.close()
	process.Close()
	m.endExec(x)
}

// command is a process that runs beside the container's first one.
type command struct {
	id      string
	life    *life
	process *runtime.Process
	streams streams
}

// beginExec starts a command and notes it for inspect, until endExec.
func (m *Monitor) beginExec(r api.ExecCreateRequest, detach bool) (*command, error) {
	m.mu.Lock()
	err := m.errNoProcess()
	if err == nil && m.state.Status == api.StatePaused {
		err = fmt.Errorf("Container %s is paused, unpause the container before exec", m.record().Name)
	}
	if err != nil {
		m.mu.Unlock()
		return nil, err
	}
	x := &command{id: newExecID(), life: m.life}
	x.life.execs.Add(1)
	x.life.execIDs = append(x.life.execIDs, x.id)
	m.mu.Unlock()
	line := events.Action(": " + strings.Join(r.Cmd, " "))
	m.event(events.ActionExecCreate+line, map[string]string{"execID": x.id})
	if x.process, x.streams, err = m.startExec(x.life, r, detach); err != nil {
		m.endExec(x)
		return nil, err
	}
	if x.life.process.Done() { // awaitEnd may have killed the others already
		x.process.Signal(unix.SIGKILL)
	}
	m.event(events.ActionExecStart+line, map[string]string{"execID": x.id})
	return x, nil
}

// awaitExec gives the command's exit status.
func (m *Monitor) awaitExec(x *command) int {
	code := x.process.Wait()
	m.event(events.ActionExecDie, map[string]string{"execID": x.id, "exitCode": strconv.Itoa(code)})
	return code
}

func (m *Monitor) endExec(x *command) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x.life.execIDs = slices.DeleteFunc(x.life.execIDs, func(other string) bool { return other == x.id })
	x.life.execs.Done()
}

func newExecID() string {
	var id [32]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// startExec makes and starts the process, and gives the streams it has.
func (m *Monitor) startExec(l *life, r api.ExecCreateRequest, detach bool) (*runtime.Process, streams, error) {
	description, err := m.describeExec(l, r)
	if err != nil {
		return nil, streams{}, err
	}
	var s streams
	if !r.Tty && !detach {
		if s, err = openPipes(r.AttachStdin, description.User, m.record().UserNamespace); err != nil {
			return nil, s, fmt.Errorf("make the standard streams: %w", err)
		}
	}
	process, err := runtime.Exec(l.spec, l.process, description, m.group, runtime.Options{Stdio: s.theirs})
	s.closeTheirs()
	if err != nil {
		s.close()
		return nil, streams{}, m.execFailed(l, err)
	}
	if terminal := process.Terminal; terminal != nil {
		s = streams{stdin: terminal, output: []stream{{file: terminal, kind: attach.Stdout}}}
	}
	return process, s, nil
}

// describeExec completes the request from the container's specification.
func (m *Monitor) describeExec(l *life, r api.ExecCreateRequest) (*specs.Process, error) {
	available, err := security.AvailableCapabilities()
	if err != nil {
		return nil, err
	}
	root, err := l.process.Root()
	if err != nil {
		return nil, m.errNotRunning()
	}
	defer root.Close()
	who := r.User
	if who == "" {
		who = m.record().Config.User
	}
	user, home, err := m.resolveUser(root, who)
	if err != nil {
		return nil, &attach.Error{Message: err.Error(), Code: 126}
	}
	if r.WorkingDir != "" && !filepath.IsAbs(r.WorkingDir) {
		return nil, &attach.Error{Message: "Cwd must be an absolute path", Code: 126}
	}
	return spec.Exec(l.spec, m.record().Config, r, user, home, available)
}

// execFailed keeps the exit code that an error carries; others are Docker's 126.
func (m *Monitor) execFailed(l *life, err error) error {
	var known *runtime.Error
	if errors.As(err, &known) {
		return err
	}
	// A process that is ending has no namespaces to join (EINVAL), a dead init's
	// PID namespace takes nobody (ENOMEM), and a reaped one is ESRCH.
	if l.process.DoneWithin(200) {
		return m.errNotRunning()
	}
	return &attach.Error{Message: fmt.Sprintf("exec: %v", err), Code: 126}
}

// clientEnds are the descriptors a client gets, in this order: the terminal, or
// standard input if there is one, output, error.
func (s streams) clientEnds() []*os.File {
	var files []*os.File
	if s.stdin != nil {
		files = append(files, s.stdin)
	}
	for _, out := range s.output {
		if out.file != s.stdin {
			files = append(files, out.file)
		}
	}
	return files
}
