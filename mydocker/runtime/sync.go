package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The parent and init talk over one pair of connected sockets, whole messages
// each way:
//
//	parent                             init
//	  |  payload, in a memfd             |
//	  |--------------------------------->|
//	  |             namespaces           |  stop 1: its namespaces exist
//	  |<---------------------------------|
//	  |  (network)                       |
//	  |  proceed                         |
//	  |--------------------------------->|
//	  |                                  |  mounts
//	  |  (prestart, createRuntime hooks) |
//	  |             mounted              |  if there are such hooks
//	  |<---------------------------------|
//	  |  proceed                         |
//	  |--------------------------------->|
//	  |                                  |  pivot_root, credentials
//	  |             seccomp              |  if a seccomp agent is to get the
//	  |<---------------------------------|  filter's descriptor
//	  |  proceed                         |
//	  |--------------------------------->|
//	  |       ready (+ the terminal)     |
//	  |<---------------------------------|
//	  |  (pids.max)                      |  stop 2: opens exec.fifo for writing
//	  |  Start opens it for reading      |
//	  |              EOF                 |  execve has closed the socket
//	  |<---------------------------------|
//
// In place of any message init may send an error, and ends.
type stage string

const (
	stageNamespaces stage = "namespaces"
	stageProceed    stage = "proceed"
	stageMounted    stage = "mounted"
	stageSeccomp    stage = "seccomp"
	stageReady      stage = "ready"
	stageError      stage = "error"
)

type message struct {
	Stage stage
	Error string `json:",omitempty"`
	Code  int    `json:",omitempty"` // exit code that goes with Error
}

// Error is why a container's process could not be started, with the exit code
// Docker gives it.
type Error struct {
	Message string
	Code    int // 125 engine, 126 cannot be invoked, 127 not found
}

func (e *Error) Error() string { return e.Message }

// ExitCode is the exit code of a command line that fails by this error.
func (e *Error) ExitCode() int { return e.Code }

// channel is one end of the pair.
type channel struct{ file *os.File }

func newChannel() (parent, child channel, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return channel{}, channel{}, fmt.Errorf("socketpair: %w", err)
	}
	return channel{os.NewFile(uintptr(fds[0]), "sync")}, channel{os.NewFile(uintptr(fds[1]), "sync")}, nil
}

// send sends m, with a descriptor if file is not nil.
func (c channel) send(m message, file *os.File) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if file == nil { // by write, which no seccomp agent may hold up
		_, err := unix.Write(int(c.file.Fd()), data)
		return err
	}
	return unix.Sendmsg(int(c.file.Fd()), data, unix.UnixRights(int(file.Fd())), nil, unix.MSG_NOSIGNAL)
}

// receive waits for a message. The other side's end is io.EOF-like: errGone. An
// error sent by init comes back as *Error.
func (c channel) receive() (message, *os.File, error) {
	buffer := make([]byte, 16384)
	control := make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	var err error
	for {
		n, oobn, _, _, err = unix.Recvmsg(int(c.file.Fd()), buffer, control, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return message{}, nil, fmt.Errorf("receive: %w", err)
	}
	if n == 0 {
		return message{}, nil, errGone
	}
	var m message
	if err := json.Unmarshal(buffer[:n], &m); err != nil {
		return message{}, nil, fmt.Errorf("receive: %w", err)
	}
	var file *os.File
	if oobn > 0 {
		if file, err = receivedFile(control[:oobn]); err != nil {
			return message{}, nil, err
		}
	}
	if m.Stage == stageError {
		return m, nil, &Error{m.Error, m.Code}
	}
	return m, file, nil
}

// expect receives and insists on one of the stages.
func (c channel) expect(want ...stage) (stage, *os.File, error) {
	m, file, err := c.receive()
	if errors.Is(err, errGone) {
		return "", nil, fmt.Errorf("init ended before %q", want[0])
	}
	if err != nil {
		return "", nil, err
	}
	if !slices.Contains(want, m.Stage) {
		return "", nil, fmt.Errorf("init said %q before %q", m.Stage, want[0])
	}
	return m.Stage, file, nil
}

// ask reports a stage and waits for the other side to have done its part.
func (c channel) ask(at stage) error {
	if err := c.send(message{Stage: at}, nil); err != nil {
		return fmt.Errorf("report %s: %w", at, err)
	}
	_, _, err := c.expect(stageProceed)
	return err
}

var errGone = errors.New("the other side has closed")

func receivedFile(control []byte) (*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return nil, fmt.Errorf("receive descriptor: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, fmt.Errorf("receive descriptor: %w", err)
	}
	// Non-blocking, so that os.File waits in the poller and Close ends a Read.
	unix.SetNonblock(fds[0], true)
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}
