package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"minidocker/mydocker/attach"
	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/container"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/monitor"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/runtime"
	"minidocker/mydocker/trace"

	api "github.com/moby/moby/api/types/container"
)

// errDead reports that a container has no monitor, so no process.
var errDead = errors.New("the container has no monitor")

// answerTime is how long a container's lock may be held by somebody who does
// not answer its socket: a verb at work on it, a monitor about to leave.
const answerTime = 20 * time.Second

// dial sends a request to the container's monitor. Without one, it starts one if
// spawn is set or the restart policy wants it, and otherwise gives errDead.
//
// Whether there is one the lock tells, not a pid: when the socket does not
// answer, the lock is tried; if it is free the container is dead, and what its
// monitor left is reconciled under the lock; if it is not, the socket is tried again.
func (e *Engine) dial(id string, request attach.Request, spawn bool) (*net.UnixConn, error) {
	pause := 100 * time.Microsecond
	for deadline := time.Now().Add(answerTime); ; {
		conn, err := attach.Dial(e.containers.RunDir(id), request)
		if !errors.Is(err, attach.ErrLeaving) {
			return conn, err
		}
		lock, err := e.containers.TryLock(id)
		switch {
		case err == nil:
			var state *container.State
			if state, err = e.reconcile(id); err == nil {
				if spawn || state.Status == api.StateRestarting {
					err = e.spawn(id, lock)
				} else {
					err = errDead
				}
			}
			lock.Release()
			if err != nil {
				return nil, err
			}
		case !errors.Is(err, disk.ErrLocked):
			return nil, err
		case time.Now().After(deadline):
			return nil, fmt.Errorf("container %s is busy: a commit, cp or export of it is under way, or its monitor hangs", id)
		default:
			time.Sleep(pause)
			pause = min(2*pause, 20*time.Millisecond)
		}
	}
}

// change asks the container's monitor for a change, or makes it itself while it
// holds the lock of a container that is dead.
func (e *Engine) change(id string, request attach.Request, dead func() error) error {
	for {
		err := e.ask(id, request, false)
		if !errors.Is(err, errDead) {
			return err
		}
		lock, err := e.containers.TryLock(id)
		if errors.Is(err, disk.ErrLocked) { // it has been started meanwhile
			continue
		}
		if err != nil {
			return err
		}
		defer lock.Release()
		if _, err := e.reconcile(id); err != nil {
			return err
		}
		// The mark of something unfinished: of a write that is killed the next
		// command removes what it leaves.
		if err := os.MkdirAll(e.containers.RunDir(id), 0o700); err != nil {
			return err
		}
		return errors.Join(dead(), disk.RemoveAll(e.containers.RunDir(id)))
	}
}

// askRef is ask about what a user calls a container. With an error of that name id is empty.
func (e *Engine) askRef(ref string, request attach.Request, spawn bool) (id string, err error) {
	if id, err = e.find(ref); err == nil {
		err = e.ask(id, request, spawn)
	}
	return id, err
}

// ask sends a request and waits for the answer.
func (e *Engine) ask(id string, request attach.Request, spawn bool) error {
	for {
		conn, err := e.dial(id, request, spawn)
		if err != nil {
			return err
		}
		response, _, err := attach.Answer(conn)
		conn.Close()
		for _, warning := range response.Warnings {
			e.config.Warn(warning)
		}
		if !errors.Is(err, attach.ErrLeaving) { // or else it ended between the two
			return err
		}
	}
}

// spawn starts the container's monitor and hands it the lock and a listening
// socket, which are there before it is: from here on the container answers. The
// run directory comes first of all: it is the mark of an unfinished life.
func (e *Engine) spawn(id string, lock *disk.Lock) error {
	dir := e.containers.RunDir(id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("start monitor: %w", err)
	}
	listener, err := attach.Listen(dir)
	if err != nil {
		return err
	}
	defer listener.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	complaints, err := os.OpenFile(dir+"/monitor.err", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer complaints.Close()
	// Read-only, because the monitor's forks join the container.
	program, err := runtime.OpenSelf()
	if err != nil {
		return err
	}
	defer program.Close()
	files := []uintptr{null.Fd(), null.Fd(), complaints.Fd(), listener.Fd(), lock.File().Fd(), program.Fd()}
	// One processor is enough for one container, and each has its caches. Where
	// every program gets huge pages, as on Debian, its heap would be of 2 MB each.
	env := []string{"PATH=" + os.Getenv("PATH"), "GOMAXPROCS=1", "GODEBUG=disablethp=1," + runtime.NoCRCTables}
	if path, err := os.Executable(); err == nil {
		env = append(env, monitor.ProgramVariable+"="+path)
	}
	if settings, err := json.Marshal(e.config.Settings); err == nil && len(settings) > len("{}") {
		env = append(env, monitor.SettingsVariable+"="+string(settings))
	}
	if output, _ := trace.Output(); output != nil {
		files = append(files, output.Fd())
		env = append(env, trace.Variable(monitor.TraceFD))
	}
	args := []string{"mydocker", "monitor", e.config.Root, e.config.RunRoot, e.config.Instance, id}
	trace.Step("clone", "monitor of %s", id)
	err = e.startInMonitors("/proc/self/fd/"+strconv.Itoa(monitor.ProgramFD), args, &syscall.ProcAttr{Dir: "/", Env: env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return fmt.Errorf("start monitor: %w", err)
	}
	return nil
}

// startInMonitors starts a program inside the cgroup INSTANCE/monitors. Being
// born there costs microseconds, moving there later milliseconds.
func (e *Engine) startInMonitors(path string, args []string, attr *syscall.ProcAttr) error {
	group, err := cgroup.Open("/" + e.config.Instance + "/monitors")
	if err != nil {
		return err
	}
	return namespace.OnThread(func() error {
		leave, err := group.Enter(attr.Sys)
		if errors.Is(err, os.ErrNotExist) {
			if err = group.Create(nil); err == nil {
				leave, err = group.Enter(attr.Sys)
			}
		}
		if err != nil {
			return err
		}
		pid, err := syscall.ForkExec(path, args, attr)
		if err == nil {
			go syscall.Wait4(pid, nil, 0, nil) // a caller that lives on shall not collect zombies
		}
		return errors.Join(err, leave())
	})
}
