package monitor

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// becomeMonitor makes the process independent of whatever started it: a
// container is the same from a login shell, a cron job and a systemd unit.
func becomeMonitor() {
	unix.Umask(0o022)
	// A tiny heap is worth more than its collection costs: there may be hundreds of monitors.
	debug.SetGCPercent(20)
	// Docker's containers get what dockerd's unit has; without CAP_SYS_RESOURCE
	// no more than the starter's hard limits.
	raise(unix.RLIMIT_NOFILE, 1<<20)
	raise(unix.RLIMIT_NPROC, unix.RLIM_INFINITY)
	raise(unix.RLIMIT_CORE, unix.RLIM_INFINITY)
}

func raise(resource int, to uint64) {
	var now syscall.Rlimit
	if syscall.Getrlimit(resource, &now) != nil {
		return
	}
	if syscall.Setrlimit(resource, &syscall.Rlimit{Cur: to, Max: to}) != nil {
		now.Cur = min(now.Max, to)
		syscall.Setrlimit(resource, &now)
	}
}

// obeySignals stops the container when the machine is shut down, so that it can
// end in order. It is not asked for by a user: a restart policy still holds.
func (m *Monitor) obeySignals() {
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	go func() {
		<-signals
		if m.signal(m.stopSignal(), false) != nil {
			return
		}
		if m.awaitOver(m.stopTimeout()) != nil {
			m.signal(unix.SIGKILL, false)
		}
	}()
}

// stopTimeout is how long the container gets to end by itself; negative: for ever.
func (m *Monitor) stopTimeout() time.Duration {
	seconds := defaultStopTimeout
	if configured := m.record.Config.StopTimeout; configured != nil {
		seconds = *configured
	}
	return time.Duration(seconds) * time.Second
}
