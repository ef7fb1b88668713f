// Package monitor is the process beside a container: it acquires what the
// container needs, runs it, logs its output, serves its clients, looks after its
// health, waits for its end and releases everything; or begins anew, if the restart
// policy says so. Nobody else writes to a live container's files.
//
// It holds on the host: the container's lock, for life; its socket; the
// container's cgroup and processes; the upper directory while the overlay is
// mounted, detached, so that no mount exists on the host. A kill -9 of the monitor
// takes the container with it (init asked for that), frees lock, socket and
// mount by the kernel's hand, and leaves the cgroup, the run directory and a
// state that still says running: what the next command reconciles, and by the policy
// gives another monitor.
package monitor

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/journal"
	"minidocker/mydocker/logfile"
	"minidocker/mydocker/network"
	"minidocker/mydocker/network/ipam"
	"minidocker/mydocker/network/proxy"
	"minidocker/mydocker/runtime"
	"minidocker/mydocker/trace"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// What the process that starts a monitor hands it after descriptors 0, 1 and 2:
// both exist before the monitor does, so there is no moment at which the
// container has neither a lock nor somebody to talk to. The monitor is born in
// the cgroup INSTANCE/monitors: whoever stops the unit or session it was started
// from would kill it with the cgroup.
const (
	ListenerFD = 3 + iota
	LockFD
	ProgramFD // what it executes, see runtime.OpenSelf
	TraceFD
)

// ProgramVariable is in a monitor's environment: the path of the engine's program,
// which containers with --init get mounted.
const ProgramVariable = "MYDOCKER_PROGRAM"

// SettingsVariable is in a monitor's environment where there are Settings: as JSON.
const SettingsVariable = "MYDOCKER_SETTINGS"

// Settings are what all containers of an engine are started with. All may be empty.
type Settings struct {
	BridgeAddress string             `json:",omitempty"` // see network.Store
	AddressPools  []ipam.AddressPool `json:",omitempty"` // see network.Store
	DNS           []netip.Addr       `json:",omitempty"` // name servers of who names none
}

// phase is where the container stands.
//
//	created ──start──▶ running ──────exit─────▶ ended
//	   │                 ▲ │ exit, and the policy or the verb restart wants it again
//	   │                 │ ▼
//	   │              restarting ──stop, kill──▶ ended
//	   └──nobody is interested──────────────────▶ ended
type phase int

const (
	created phase = iota
	running       // paused, too
	restarting
	ended
)

// Monitor is one container's monitor.
type Monitor struct {
	root, runRoot, instance string

	dns      []netip.Addr // see Settings
	store    *container.Store
	networks *network.Store
	journal  *journal.Journal
	settled  atomic.Pointer[container.Record] // see record
	lock     *disk.Lock
	listener *net.UnixListener
	group    cgroup.Group
	left     chan struct{} // closed when the monitor has given up the lock
	handlers sync.WaitGroup
	ports    *proxy.Ports             // the host's that are published; nil: none
	users    func() (*os.File, error) // see makeUsers

	mu       sync.Mutex
	phase    phase
	clients  int
	holders  int   // clients that hold it paused
	held     *life // the one that was paused for them; nil: none was, or it goes on
	state    *container.State
	life     *life         // the one that goes on, or the next
	delay    time.Duration // before the policy's next restart
	shutdown bool          // the machine goes down: no restart now
	warnings []string      // about the start, for who has asked for it
}

// life is one run of the container. A restart policy may give it several.
type life struct {
	process  *runtime.Process // nil until it has begun
	spec     *specs.Spec      // what it was made of, for exec
	streams  streams
	log      *logfile.Writer // nil: not logged
	outboxes []*attach.Outbox
	stopping bool // by the verb stop
	connection
	again    chan error // the verb restart wants to know how the next life began; nil: nobody does
	exitCode *int       // nil: it has none to tell

	execs   sync.WaitGroup
	execIDs []string
	probing chan struct{} // closed to end the health check; nil: there is none

	started chan struct{} // closed when it has begun
	over    chan struct{} // closed when its end has been recorded
}

func newLife() *life {
	return &life{started: make(chan struct{}), over: make(chan struct{})}
}

// Run is the monitor: main calls it when the first argument is "monitor". args
// are root, run root, instance and container ID. It returns the exit code.
func Run(args []string) int {
	trace.Inherit("monitor")
	becomeMonitor()
	m, err := open(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitor:", err)
		return 1
	}
	m.obeySignals()
	m.resume()
	m.serve()
	return 0
}

func open(args []string) (*Monitor, error) {
	if len(args) != 4 {
		return nil, fmt.Errorf("started by hand; it is the engine's business to start it")
	}
	m := &Monitor{root: args[0], runRoot: args[1], instance: args[2],
		lock: disk.Inherit(os.NewFile(LockFD, "lock")), life: newLife(), left: make(chan struct{})}
	id := args[3]
	listener, err := net.FileListener(os.NewFile(ListenerFD, "listener"))
	if err != nil {
		return nil, fmt.Errorf("take over the socket: %w", err)
	}
	m.listener = listener.(*net.UnixListener)
	m.listener.SetUnlinkOnClose(false)
	m.networks = network.Open(m.root, m.runRoot, m.instance)
	if text := os.Getenv(SettingsVariable); text != "" {
		var settings Settings
		if err := json.Unmarshal([]byte(text), &settings); err != nil {
			return nil, fmt.Errorf("read %s: %w", SettingsVariable, err)
		}
		m.dns, m.networks.BridgeAddress, m.networks.AddressPools = settings.DNS, settings.BridgeAddress, settings.AddressPools
	}
	m.store = container.Open(m.root, m.runRoot, m.networks)
	m.journal = journal.Open(filepath.Join(m.runRoot, "events"))
	m.store.VolumeRemoved = func(name string) { m.journal.Append(container.VolumeEvent(events.ActionDestroy, name, nil)) }
	record, err := m.store.Record(id)
	if err != nil {
		return nil, err
	}
	m.settled.Store(record)
	m.users = m.makeUsers()
	if m.state, err = m.store.State(id); err != nil {
		return nil, err
	}
	m.group, err = cgroup.Open(record.CgroupPath(m.instance))
	return m, err
}

// record is what was settled about the container. A change, by rename or update,
// replaces it whole.
func (m *Monitor) record() *container.Record { return m.settled.Load() }

func (m *Monitor) id() string { return m.record().ID }

// resume goes on where another monitor was lost: the policy wanted a restart.
func (m *Monitor) resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state.Status == api.StateRestarting {
		m.phase = restarting
		m.restartLater(0)
	}
}

// serve answers clients until the container has ended for good, or if it is never
// started, until nobody is interested any more.
func (m *Monitor) serve() {
	idle := time.AfterFunc(10*time.Second, m.leaveIfIdle) // its starter may have died
	quiet := time.AfterFunc(tidyTime, tidy)
	for {
		conn, err := m.listener.AcceptUnix()
		if err != nil {
			break
		}
		m.mu.Lock()
		m.clients++
		m.mu.Unlock()
		m.handlers.Add(1)
		go func() {
			defer m.handlers.Done()
			m.handle(conn)
			m.mu.Lock()
			m.clients--
			m.mu.Unlock()
			m.leaveIfIdle()
			quiet.Reset(tidyTime)
		}()
	}
	idle.Stop()
	<-m.left
	m.handlers.Wait() // a slow reader may still be taking output; nobody waits for it
}

// leaveIfIdle ends a monitor whose container was not started and that nobody is
// connected to.
func (m *Monitor) leaveIfIdle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase == created && m.clients == 0 {
		m.leaveCreated()
	}
}

// leaveCreated leaves a container that was not started as it is. Its run
// directory goes first: while that exists with the lock free, it tells that a
// monitor has died. The caller holds mu.
func (m *Monitor) leaveCreated() {
	disk.RemoveAll(m.store.RunDir(m.id()))
	m.leave()
}

// leave gives up the published ports, the lock and the socket, in this order: who
// finds nobody to talk to finds the lock free, and the ports. Clients are told what there is to tell, and the
// process ends. The caller holds mu.
func (m *Monitor) leave() {
	m.phase = ended
	m.ports.Close()
	m.lock.Release()
	m.listener.Close()
	close(m.life.over)
	close(m.left)
}

// event records what happened to the container.
func (m *Monitor) event(action events.Action, more map[string]string) {
	m.journal.Append(m.record().Event(action, more)) // an event that cannot be recorded stops nothing
}

// saveState writes the state. The caller holds mu.
func (m *Monitor) saveState() error { return m.store.SaveState(m.id(), m.state) }
