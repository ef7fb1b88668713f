package namespace

import (
	"fmt"

	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// RaiseLoopback sets the interface lo of the caller's network namespace up: in
// a new one it is down, and 127.0.0.1 unreachable.
func RaiseLoopback() error {
	trace.Step("ioctl", "SIOCSIFFLAGS lo up")
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}
