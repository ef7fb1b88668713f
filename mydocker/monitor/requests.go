package monitor

import (
	"fmt"
	"net"
	"slices"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/trace"

	api "github.com/moby/moby/api/types/container"
)

// handle answers one connection. A monitor that is about to leave says no
// hello, and the client looks again who has the lock.
func (m *Monitor) handle(conn *net.UnixConn) {
	defer conn.Close()
	request, traced, err := attach.Accept(conn)
	if err != nil {
		return
	}
	if traced != nil {
		defer traced.Close()
		if already, _ := trace.Output(); already == nil {
			trace.Join(traced, "monitor", request.Trace)
			defer trace.Stop()
		}
	}
	m.mu.Lock()
	gone := m.phase == ended
	m.mu.Unlock()
	if gone || attach.Hello(conn) != nil {
		return
	}
	switch request.Verb {
	case attach.Attach:
		m.attach(conn, request)
	case attach.Wait:
		m.wait(conn, request.Condition)
	case attach.Exec:
		m.exec(conn, request)
	case attach.Hold:
		m.hold(conn)
	case attach.Root:
		m.sendRoot(conn)
	case attach.Execs:
		m.mu.Lock()
		ids := slices.Clone(m.life.execIDs)
		m.mu.Unlock()
		attach.Send(conn, attach.Response{ExecIDs: ids})
	default:
		response := respond(m.do(request))
		if request.Verb == attach.Start || request.Verb == attach.Restart {
			m.mu.Lock()
			response.Warnings = m.warnings
			m.mu.Unlock()
		}
		attach.Send(conn, response)
	}
}

// do carries out a verb whose answer is no more than success or an error.
func (m *Monitor) do(request attach.Request) error {
	switch request.Verb {
	case attach.Start:
		return m.start(false)
	case attach.Stop:
		return m.stop(nil, request.Signal, request.Timeout)
	case attach.Kill:
		return m.kill(request.Signal)
	case attach.Restart:
		return m.restart(request.Signal, request.Timeout)
	case attach.Pause:
		return m.pause()
	case attach.Unpause:
		return m.unpause()
	case attach.Rename:
		return m.rename(request.Name)
	case attach.Update:
		return m.update(request.Update)
	case attach.Connect:
		return m.connect(request.Name, request.Endpoint)
	case attach.Disconnect:
		return m.leaveNetwork(request.Name)
	case attach.Resize:
		return m.resize(request.Height, request.Width)
	case attach.Release:
		return m.release()
	}
	return fmt.Errorf("unknown request %q", request.Verb)
}

// release ends the monitor of a container that was not started.
func (m *Monitor) release() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.phase {
	case running, restarting:
		return fmt.Errorf("container is running: stop the container before removing or force remove")
	case created:
		m.leaveCreated()
	}
	return nil
}

// wait answers when the condition holds. A container that was never started
// does not run: only the two other conditions wait for it. Between two lives it
// runs, as far as a client is concerned.
func (m *Monitor) wait(conn *net.UnixConn, condition api.WaitCondition) {
	m.mu.Lock()
	life, idle := m.life, m.phase == created
	m.mu.Unlock()
	over := life.over
	if condition == api.WaitConditionRemoved {
		over = m.left
	}
	if !idle || condition != api.WaitConditionNotRunning {
		select {
		case <-over:
		case <-hangup(conn):
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	code := life.exitCode
	switch {
	case condition == api.WaitConditionRemoved:
		code = m.life.exitCode
	case idle && condition == api.WaitConditionNotRunning:
		code = &m.state.ExitCode
	}
	if code != nil { // else it was never started: there is nothing to tell
		attach.Send(conn, attach.Response{ExitCode: *code})
	}
}
