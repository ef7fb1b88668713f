package check

import (
	"fmt"
	"os"
	"os/exec"

	"minidocker/mydocker/namespace"

	"golang.org/x/sys/unix"
)

// standin is a mount namespace that stands in for the host's while a check lasts. It
// is a copy of the host's in which all mounts are shared, as systemd makes them, and
// none is a peer of the host's: an engine that mounts on its host mounts here, where
// it is seen and breaks nothing. It is that of one thread, and ends with it.
type standin struct {
	fence fence
	calls chan func()
	tid   int
}

func newStandin(f fence) (*standin, error) {
	s := &standin{fence: f, calls: make(chan func())}
	begun := make(chan error)
	go namespace.OnThread(func() error {
		s.tid = unix.Gettid()
		begun <- s.separate()
		for call := range s.calls {
			call()
		}
		return nil
	})
	return s, <-begun
}

func (s *standin) separate() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare the mount namespace that stands in for the host's: %w", err)
	}
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", propagation|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("change the propagation of /: %w", err)
		}
	}
	s.fence.enter()
	return nil
}

// start starts a program there, in the fence. It ends with the thread: if the checker dies, too.
func (s *standin) start(cmd *exec.Cmd) error {
	if dir := s.fence.open(); dir != nil {
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	result := make(chan error)
	s.calls <- func() { result <- cmd.Start() }
	return <-result
}

// mounts reads the mount table there.
func (s *standin) mounts() ([]Mount, error) {
	return readMounts(fmt.Sprintf("/proc/%d/task/%d/mountinfo", os.Getpid(), s.tid))
}

// end lets go of it, and so of everything mounted there.
func (s *standin) end() { close(s.calls) }
