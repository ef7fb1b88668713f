package attach

import (
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxBacklog is how far a reader may fall behind, in bytes, before it is dropped.
const maxBacklog = 4 << 30

// hole is how much of the file is sent before its blocks are given back.
const hole = 16 << 20

// patience is how long, in milliseconds, a write waits for a reader that keeps
// up in general. It bounds what a slow reader can cost the container: 64 KiB a
// millisecond go through whatever the reader does.
const patience = 1

// Outbox sends output to one reader and never keeps the writer waiting: what
// the reader does not take goes to an unlinked file, and from there to the
// reader in its own time. A reader that has vanished, or for which the disk is
// full, is dropped.
type Outbox struct {
	conn *net.UnixConn
	raw  interface {
		Write(func(fd uintptr) bool) error
	}
	dir      string // for the file
	out, err bool

	mu         sync.Mutex
	spill      *os.File // nil: none needed so far
	head, tail int64    // the part of spill not sent yet
	draining   bool
	dropped    bool
	drained    sync.Cond
}

// NewOutbox makes an outbox for the streams wanted; its file, if one becomes
// necessary, is made in dir.
func NewOutbox(conn *net.UnixConn, dir string, stdout, stderr bool) (*Outbox, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &Outbox{conn: conn, raw: raw, dir: dir, out: stdout, err: stderr}
	o.drained.L = &o.mu
	return o, nil
}

// Write sends data of a stream. It reports whether the reader is still there.
func (o *Outbox) Write(stream byte, data []byte) bool {
	if stream == Stdout && !o.out || stream == Stderr && !o.err {
		return true
	}
	h := header(stream, len(data))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.push(h[:], data)
	return !o.dropped
}

// Close tells the reader that all has been sent, and returns when it has taken
// everything or is gone.
func (o *Outbox) Close() {
	h := header(end, 0)
	o.mu.Lock()
	o.push(h[:], nil)
	for o.draining {
		o.drained.Wait()
	}
	if o.spill != nil {
		o.spill.Close()
	}
	o.mu.Unlock()
	o.conn.CloseWrite()
}

// push sends the two pieces in one system call if nothing waits before them and
// the socket has room, and spills what is left.
func (o *Outbox) push(head, data []byte) {
	if o.dropped {
		return
	}
	sent := 0
	if o.head == o.tail {
		sent = o.send(head, data)
	}
	if o.dropped || sent == len(head)+len(data) {
		return
	}
	if sent < len(head) {
		o.store(head[sent:])
		sent = len(head)
	}
	o.store(data[sent-len(head):])
	if !o.draining && !o.dropped {
		o.draining = true
		go o.drain()
	}
}

// send writes what the socket takes within patience.
func (o *Outbox) send(head, data []byte) (sent int) {
	o.raw.Write(func(fd uintptr) bool {
		for waited := false; ; {
			var n int
			var err error
			if sent < len(head) {
				n, err = unix.SendmsgBuffers(int(fd), [][]byte{head[sent:], data}, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			} else {
				n, err = unix.SendmsgBuffers(int(fd), [][]byte{data[sent-len(head):]}, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			}
			sent += max(n, 0)
			switch {
			case err == unix.EINTR:
			case err == unix.EAGAIN && !waited:
				waited = true
				unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, patience)
			case err == unix.EAGAIN:
				return true
			case err != nil:
				o.dropped = true
				return true
			case sent == len(head)+len(data):
				return true
			}
		}
	})
	return sent
}

// store appends to the spill file.
func (o *Outbox) store(data []byte) {
	if len(data) == 0 || o.dropped {
		return
	}
	if o.spill == nil {
		fd, err := unix.Open(o.dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			o.drop()
			return
		}
		o.spill = os.NewFile(uintptr(fd), "backlog")
	}
	if o.tail-o.head > maxBacklog {
		o.drop()
		return
	}
	if _, err := o.spill.WriteAt(data, o.tail); err != nil {
		o.drop()
		return
	}
	o.tail += int64(len(data))
}

func (o *Outbox) drop() {
	o.dropped = true
	o.conn.Close() // ends a drain that is blocked
	o.drained.Broadcast()
}

// drain sends the backlog in the reader's time, and gives its blocks back when
// all is sent.
func (o *Outbox) drain() {
	buffer := make([]byte, 64<<10)
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.head < o.tail && !o.dropped {
		n, err := o.spill.ReadAt(buffer[:min(int64(len(buffer)), o.tail-o.head)], o.head)
		if n == 0 && err != nil {
			o.drop()
			break
		}
		o.mu.Unlock()
		_, err = o.conn.Write(buffer[:n])
		o.mu.Lock()
		if err != nil {
			o.drop()
			break
		}
		if o.head/hole != (o.head+int64(n))/hole {
			unix.Fallocate(int(o.spill.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, o.head)
		}
		o.head += int64(n)
	}
	if !o.dropped {
		o.spill.Truncate(0)
		o.head, o.tail = 0, 0
	}
	o.draining = false
	o.drained.Broadcast()
}
