package cli

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// proxySignals hands the signals that the client gets to send, until stop is
// called. With a terminal SIGHUP is left out: it says that the client's terminal
// was closed, and that does not concern the container.
func proxySignals(tty bool, send func(signal string) error) (stop func()) {
	var all []os.Signal
	for n := syscall.Signal(1); n <= 64; n++ {
		if proxied(n) && !(tty && n == syscall.SIGHUP) {
			all = append(all, n)
		}
	}
	// SIGPIPE is caught and dropped, so that a write to a closed pipe is an error
	// that is reported, as in Docker, and does not kill the client (os/signal).
	arrived := make(chan os.Signal, 128)
	signal.Notify(arrived, append(all, syscall.SIGPIPE)...)
	go func() {
		for s := range arrived {
			if s != syscall.SIGPIPE {
				send(signalName(s.(syscall.Signal))) // the process may be gone
			}
		}
	}()
	return func() { signal.Stop(arrived) }
}

// proxied leaves out what concerns the client alone: its children, its terminal,
// its pipes, and what Go's scheduler and profiler send to their own threads.
func proxied(s syscall.Signal) bool {
	switch s {
	case syscall.SIGKILL, syscall.SIGSTOP, // cannot be caught
		syscall.SIGCHLD, syscall.SIGWINCH, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE,
		syscall.SIGURG, syscall.SIGPROF, 32, 33: // 32, 33: the C library's, nptl(7)
		return false
	}
	return true
}

// signalName is a number for the real-time signals, which have no names.
func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return strconv.Itoa(int(s))
}
