package monitor

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/container"

	"github.com/moby/moby/api/types/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// streams are the monitor's ends of the container's standard streams: pipes, or
// a terminal, which is input and output at once.
type streams struct {
	stdin  *os.File // nil: the container has none
	output []stream
	theirs [3]*os.File // the container's ends, until it has been created
	copied chan struct{}
}

type stream struct {
	file *os.File
	kind byte
	name string // in the log
}

// openPipes makes the pipes of a container without a terminal. They belong to
// its user, as the host knows him, who may open /dev/stdout again.
func openPipes(stdin bool, user specs.User, ids container.UserNamespace) (s streams, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for fd := range 3 {
		if fd == 0 && !stdin {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return s, err
		}
		if fd == 0 {
			s.theirs[0], s.stdin = r, w
		} else {
			s.theirs[fd] = w
			// Room for what the container writes while the last piece is logged.
			unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20)
			s.output = append(s.output, stream{r, byte(fd), [...]string{1: "stdout", 2: "stderr"}[fd]})
		}
		if err := s.theirs[fd].Chown(ids.Host(user.UID), ids.Host(user.GID)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// closeTheirs closes the container's ends once it has them itself: only then
// does the last writer's end end the stream.
func (s *streams) closeTheirs() {
	for i, file := range s.theirs {
		if file != nil {
			file.Close()
			s.theirs[i] = nil
		}
	}
}

func (s *streams) close() {
	s.closeTheirs()
	if s.stdin != nil {
		s.stdin.Close()
	}
	for _, out := range s.output {
		out.file.Close()
	}
}

// pump copies the container's output to the log and to whoever is attached.
func (m *Monitor) pump(l *life) {
	l.streams.copied = make(chan struct{})
	var all sync.WaitGroup
	for _, out := range l.streams.output {
		all.Go(func() { m.copyOutput(l, out) })
	}
	go func() {
		all.Wait()
		close(l.streams.copied)
	}()
}

func (m *Monitor) copyOutput(l *life, out stream) {
	buffer := make([]byte, 4<<10) // grown when the container has more to say: most are silent
	for {
		n, err := out.file.Read(buffer)
		if n > 0 {
			if l.log != nil {
				l.log.Write(out.name, buffer[:n])
			}
			m.broadcast(l, out.kind, buffer[:n])
		}
		if n == len(buffer) && n < 256<<10 {
			buffer = make([]byte, 256<<10)
		}
		if err != nil && !l.terminalIdle(err) {
			return
		}
	}
}

// terminalIdle tells whether an error of a read is no end: a terminal that no
// process has open reads as EIO, until one opens it again.
func (l *life) terminalIdle(err error) bool {
	if !errors.Is(err, unix.EIO) || l.process.Done() {
		return false
	}
	time.Sleep(20 * time.Millisecond)
	return true
}

func (m *Monitor) broadcast(l *life, kind byte, data []byte) {
	m.mu.Lock()
	boxes := slices.Clone(l.outboxes)
	m.mu.Unlock()
	for _, box := range boxes {
		if !box.Write(kind, data) {
			m.forget(l, box)
		}
	}
}

func (m *Monitor) forget(l *life, box *attach.Outbox) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.outboxes = slices.DeleteFunc(l.outboxes, func(b *attach.Outbox) bool { return b == box })
}

// attach serves one reader and writer of the standard streams until it goes or
// the container's life ends: another one is another attachment.
func (m *Monitor) attach(conn *net.UnixConn, request attach.Request) {
	box, err := attach.NewOutbox(conn, m.store.Dir(m.id()), request.Stdout, request.Stderr)
	if err != nil {
		return
	}
	m.mu.Lock()
	if m.phase == ended {
		m.mu.Unlock()
		return
	}
	l := m.life
	l.outboxes = append(l.outboxes, box)
	m.mu.Unlock()
	attach.Send(conn, attach.Response{Terminal: m.record().Config.Tty})
	m.event(events.ActionAttach, nil)

	gone := make(chan struct{})
	go func() {
		if request.Stdin {
			m.feed(l, conn)
		}
		<-hangup(conn)
		close(gone)
	}()
	select {
	case <-gone:
		m.forget(l, box)
		select {
		case <-l.over:
		default:
			m.event(events.ActionDetach, nil)
		}
	case <-l.over:
		box.Close()
	}
}

// feed copies a client's input to the container's standard input. Its end is
// the container's if the container was created for one client (StdinOnce).
func (m *Monitor) feed(l *life, conn *net.UnixConn) {
	select {
	case <-l.started:
	case <-l.over:
		return
	}
	m.mu.Lock()
	stdin := l.streams.stdin
	m.mu.Unlock()
	if stdin == nil {
		return
	}
	io.Copy(stdin, conn)
	if config := m.record().Config; config.StdinOnce && !config.Tty {
		stdin.Close()
	}
}

// hangup gives a channel that closes when the peer has closed its end
// altogether. (A read ends already when it has closed its output alone.)
func hangup(conn *net.UnixConn) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		raw, err := conn.SyscallConn()
		if err != nil {
			return
		}
		raw.Read(func(fd uintptr) bool {
			events := []unix.PollFd{{Fd: int32(fd)}}
			unix.Poll(events, 0)
			return events[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
		})
	}()
	return gone
}

func (m *Monitor) resize(height, width uint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.phase != running || m.life.process.Terminal == nil {
		return nil // a size before the start or after the end has no terminal to go to
	}
	return attach.SetSize(m.life.process.Terminal, height, width)
}
