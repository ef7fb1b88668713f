package monitor

import (
	"fmt"
	"net"
	"os"

	"minidocker/mydocker/attach"
)

// sendRoot hands out the container's mount namespace: what it sees as /. A paused
// container's, too. Nothing in it is opened, let alone executed, by the monitor.
func (m *Monitor) sendRoot(conn *net.UnixConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase != running {
		attach.Send(conn, respond(m.errNotRunning()))
		return
	}
	mounts, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", m.life.process.Pid))
	if err != nil || m.life.process.Done() { // and the number may be another process's
		mounts.Close()
		attach.Send(conn, respond(m.errNotRunning()))
		return
	}
	defer mounts.Close()
	attach.Send(conn, attach.Response{}, mounts)
}
