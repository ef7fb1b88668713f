package runtime

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"minidocker/mydocker/cgroup"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif, and response struct seccomp_notif_resp (linux/seccomp.h).
type notification struct {
	id         uint64
	pid, flags uint32
	data       [64]byte
}

type response struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// agent answers every call that it is notified of with ENOSPC.
func agent(t *testing.T, listener *net.UnixListener, states chan<- specs.ContainerProcessState) {
	for {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		data, control := make([]byte, 8192), make([]byte, 64)
		n, oobn, _, _, err := conn.ReadMsgUnix(data, control)
		conn.Close()
		if err != nil {
			t.Error(err)
			return
		}
		file, err := receivedFile(control[:oobn])
		var state specs.ContainerProcessState
		if jsonErr := json.Unmarshal(data[:n], &state); err != nil || jsonErr != nil {
			t.Error(err, jsonErr)
			return
		}
		states <- state
		go func() {
			fd := file.Fd()
			defer file.Close()
			for {
				var request notification
				if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, 0xc0502100, uintptr(unsafe.Pointer(&request))); errno == unix.EINTR {
					continue
				} else if errno != 0 {
					return // the process has ended
				}
				answer := response{id: request.id, err: -int32(unix.ENOSPC)}
				unix.Syscall(unix.SYS_IOCTL, fd, 0xc0182101, uintptr(unsafe.Pointer(&answer)))
			}
		}()
	}
}

func TestSeccompAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	states := make(chan specs.ContainerProcessState, 2)
	go agent(t, listener, states)
	for _, noNewPrivileges := range []bool{false, true} {
		change := func(spec *specs.Spec) {
			spec.Process.NoNewPrivileges = noNewPrivileges
			spec.Linux.Seccomp = &specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow, ListenerPath: path, ListenerMetadata: "m", Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv},
				Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdirat", "sendmsg"}, Action: specs.ActNotify}},
			}
		}
		var pid int
		output, err := container{
			args: []string{"mkdir", "/tmp/x"}, change: change,
			during: func(p *Process) error {
				pid = p.Pid
				group, _ := groups.Load(p)
				spec, _ := bundleOf(t)
				change(spec)
				out, err := os.CreateTemp(t.TempDir(), "")
				if err != nil {
					return err
				}
				process := *spec.Process
				process.Args = []string{"/play", "play", "mkdir", "/tmp/y"}
				e, err := Exec(spec, p, &process, group.(cgroup.Group), Options{Stdio: [3]*os.File{nil, out, out}, State: specs.State{ID: "test"}})
				if err != nil {
					return err
				}
				status := e.Wait()
				data, _ := os.ReadFile(out.Name())
				if status != 1 || string(data) != "mkdir /tmp/y: no space left on device\n" {
					t.Errorf("exec: %d %s", status, data)
				}
				e.Close()
				return nil
			},
		}.run(t)
		if err == nil || output != "mkdir /tmp/x: no space left on device\n" {
			t.Errorf("%v %s", err, output)
		}
		for _, want := range []specs.ContainerState{specs.StateCreating, specs.StateRunning} {
			var s specs.ContainerProcessState
			select {
			case s = <-states:
			case <-time.After(10 * time.Second):
				t.Fatal("the agent was not told")
			}
			if s.State.Status != want || s.State.Pid != pid || (s.Pid == pid) != (want == specs.StateCreating) || s.Metadata != "m" || s.State.ID != "test" || len(s.Fds) != 1 || s.Fds[0] != "seccompFd" {
				t.Errorf("%+v", s)
			}
		}
	}
}

func TestGetcwdRefused(t *testing.T) {
	for _, noNewPrivileges := range []bool{false, true} {
		output, err := container{args: []string{"getcwd"}, change: func(spec *specs.Spec) {
			spec.Process.NoNewPrivileges = noNewPrivileges
			spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"getcwd"}, Action: specs.ActErrno}}}
		}}.run(t)
		if err == nil || output != "\noperation not permitted\n" {
			t.Errorf("%v %q", err, output)
		}
	}
}
