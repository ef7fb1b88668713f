// Package attach is the protocol between the command line and a container's
// monitor: requests over a Unix socket, one a connection, and the container's
// standard streams on the connections that attach to them.
//
//	client                                    monitor
//	  | connect; Request                        |
//	  |---------------------------------------->|
//	  |                            hello byte   |  accepted: until here a client may
//	  |<----------------------------------------|  try again, the monitor was leaving
//	  |                              Response   |  start, stop, kill: when it is done
//	  |<----------------------------------------|  wait: when the container has ended
//	  |                                         |  exec: with descriptors; a second one when it has ended
//	  | standard input, as it is                |
//	  |========================================>|  attach only
//	  |          output in frames (stream.go)   |
//	  |<========================================|
//
// Request and Response are JSON, each behind its length in four bytes.
//
// On the host the package owns the socket monitor.sock in the container's run
// directory, and unlinked files that hold what a slow reader has not read yet.
// A crash leaves the socket file, which nobody answers.
package attach

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"minidocker/mydocker/trace"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"
)

// Verb says what a request asks for.
type Verb string

const (
	Attach     Verb = "attach"
	Start      Verb = "start"
	Wait       Verb = "wait"
	Stop       Verb = "stop"
	Kill       Verb = "kill"
	Restart    Verb = "restart"
	Pause      Verb = "pause"
	Unpause    Verb = "unpause"
	Hold       Verb = "hold" // a pause that lasts as long as the connection
	Rename     Verb = "rename"
	Update     Verb = "update"
	Resize     Verb = "resize"
	Connect    Verb = "connect"    // to a network
	Disconnect Verb = "disconnect" // from one
	Root       Verb = "root"       // a descriptor of the mount namespace, whose root the container sees as /
	Exec       Verb = "exec"
	Execs      Verb = "execs"   // which commands run beside the first process
	Release    Verb = "release" // of a container that was never started: end, give up the lock
)

// Request is what a client asks of a monitor.
type Request struct {
	Verb Verb

	Stdin, Stdout, Stderr bool                      `json:",omitempty"` // attach: the streams wanted
	Condition             api.WaitCondition         `json:",omitempty"` // wait
	Signal                int                       `json:",omitempty"` // stop, restart (0: the container's own), kill
	Timeout               *int                      `json:",omitempty"` // stop, restart: seconds; nil: the container's own; negative: for ever
	Name                  string                    `json:",omitempty"` // rename: the new one; connect, disconnect: the network's
	Force                 bool                      `json:",omitempty"` // disconnect
	Endpoint              *network.EndpointSettings `json:",omitempty"` // connect
	Update                *api.UpdateConfig         `json:",omitempty"` // update
	Height, Width         uint                      `json:",omitempty"` // resize
	Exec                  *api.ExecCreateRequest    `json:",omitempty"` // exec
	Detach                bool                      `json:",omitempty"` // exec: no streams, no second response

	Trace int64 `json:",omitempty"` // when the client's trace began; the descriptor it goes to comes along
}

// Response is the answer. A zero Response is success.
type Response struct {
	Error      string `json:",omitempty"`
	Code       int    `json:",omitempty"` // exit code that goes with Error
	NotRunning bool   `json:",omitempty"` // Error is that the container does not run
	Leaving    bool   `json:",omitempty"` // nothing was done: ErrLeaving
	ExitCode   int    `json:",omitempty"` // wait, exec
	Terminal   bool   `json:",omitempty"` // attach, exec: the streams are one terminal

	ExecIDs  []string `json:",omitempty"` // execs
	Warnings []string `json:",omitempty"` // start, restart: what of the container is not as asked for
}

// Error is an error a monitor answered with.
type Error struct {
	Message    string
	Code       int
	NotRunning bool
}

func (e *Error) Error() string { return e.Message }

// ExitCode is the exit code of a command line that fails by this error.
func (e *Error) ExitCode() int {
	if e.Code == 0 {
		return 1
	}
	return e.Code
}

// ErrLost reports that the monitor ended before it had answered, or sent all
// output: it was killed, and its container with it.
var ErrLost error = &Error{Message: "the container's monitor was lost", Code: 137}

// SocketName is the socket's name in the container's run directory.
const SocketName = "monitor.sock"

const maxMessage = 16 << 20

// Send sends a message with descriptors. The receiver gets copies of files.
func Send(conn *net.UnixConn, message any, files ...*os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	data := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	data = append(data, body...)
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, file := range files {
			fds[i] = int(file.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	n, _, err := conn.WriteMsgUnix(data, rights, nil)
	if err == nil && n < len(data) {
		_, err = conn.Write(data[n:])
	}
	return err
}

// Receive reads what Send sent.
func Receive(conn *net.UnixConn, message any) ([]*os.File, error) {
	var head [4]byte
	control := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, _, _, err := conn.ReadMsgUnix(head[:], control)
	if err != nil {
		return nil, err
	}
	files, err := parseFiles(control[:oobn])
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	if _, err := io.ReadFull(conn, head[n:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMessage {
		return nil, fmt.Errorf("message of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	return files, json.Unmarshal(body, message)
}

func parseFiles(control []byte) ([]*os.File, error) {
	if len(control) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			// Non-blocking, so that os.File waits in the poller and Close ends a Read.
			unix.SetNonblock(fd, true)
			files = append(files, os.NewFile(uintptr(fd), "stream"))
		}
	}
	return files, nil
}

// Listen makes the socket in the container's run directory. The name is reached
// through a descriptor of the directory: a socket address holds 108 bytes.
func Listen(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("listen for the container: %w", err)
	}
	defer d.Close()
	os.Remove(dir + "/" + SocketName) // of a monitor that has died: the caller holds the lock
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listen for the container: %w", err)
	}
	file := os.NewFile(uintptr(fd), SocketName)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: address(d)}); err != nil {
		file.Close()
		return nil, fmt.Errorf("bind %s/%s: %w", dir, SocketName, err)
	}
	if err := unix.Listen(fd, unix.SOMAXCONN); err != nil {
		file.Close()
		return nil, fmt.Errorf("listen on %s/%s: %w", dir, SocketName, err)
	}
	return file, nil
}

func address(dir *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), SocketName)
}

// ErrLeaving reports that nobody answers the socket, or that the monitor ended
// before it took the request: look at the container's lock and try again.
var ErrLeaving = errors.New("the container's monitor is leaving")

// hello is the byte by which a monitor accepts a connection.
const hello = '+'

// Dial sends a request to the monitor whose run directory is dir and returns the
// connection on which it answers, or ErrLeaving.
func Dial(dir string, request Request) (*net.UnixConn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, ErrLeaving
	}
	defer d.Close()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: address(d)})
	if err != nil {
		return nil, ErrLeaving
	}
	var traced []*os.File
	if file, begun := trace.Output(); file != nil {
		request.Trace, traced = begun, []*os.File{file}
	}
	var answer [1]byte
	if err := Send(conn, request, traced...); err == nil {
		_, err = io.ReadFull(conn, answer[:])
	}
	if answer[0] != hello {
		conn.Close()
		return nil, ErrLeaving
	}
	return conn, nil
}

// Answer reads a response; one that holds an error is returned as *Error, or as ErrLeaving.
func Answer(conn *net.UnixConn) (Response, []*os.File, error) {
	var response Response
	files, err := Receive(conn, &response)
	if err != nil {
		return response, nil, ErrLost
	}
	if response.Leaving {
		return response, files, ErrLeaving
	}
	if response.Error != "" {
		return response, files, &Error{response.Error, response.Code, response.NotRunning}
	}
	return response, files, nil
}

// Accept takes the request of a new connection, and where the client wants the
// steps of carrying it out traced: nil if nowhere. Hello follows if the monitor
// is going to answer.
func Accept(conn *net.UnixConn) (request Request, traced *os.File, err error) {
	files, err := Receive(conn, &request)
	if len(files) > 0 {
		traced = files[0]
	}
	return request, traced, err
}

// Hello accepts a request.
func Hello(conn *net.UnixConn) error {
	_, err := conn.Write([]byte{hello})
	return err
}

// SetSize sets a terminal's size, in characters.
func SetSize(terminal *os.File, height, width uint) error {
	raw, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var ioctlErr error
	err = raw.Control(func(fd uintptr) {
		ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	})
	return errors.Join(err, ioctlErr)
}
