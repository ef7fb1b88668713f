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
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	unix.Umask(0o022)
	os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0)
	// Docker's containers get what dockerd's unit has; without CAP_SYS_RESOURCE
	// no more than the starter's hard limits.
	raise(unix.RLIMIT_NOFILE, 1<<20)
	raise(unix.RLIMIT_NPROC, unix.RLIM_INFINITY)
	raise(unix.RLIMIT_CORE, unix.RLIM_INFINITY)
}

// tidyTime is how long after the last request a monitor gives back the memory it
// does not need.
const tidyTime = 500 * time.Millisecond

// tidy gives memory back to the kernel, and from then on collects early: there
// may be hundreds of monitors, and a tiny heap is worth more than its collection
// costs. Not before: to start a container should take no collection at all.
func tidy() {
	debug.SetGCPercent(20)
	debug.FreeOSMemory()
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
		m.mu.Lock()
		m.shutdown = true
		if m.phase == restarting {
			m.giveUp()
		}
		m.mu.Unlock()
		l, err := m.signal(nil, m.stopSignal(), false)
		if err == nil && m.awaitOver(l, m.stopTimeout()) != nil {
			m.signal(l, unix.SIGKILL, false)
		}
	}()
}

// stopTimeout is how long the container gets to end by itself; negative: for ever.
func (m *Monitor) stopTimeout() time.Duration {
	seconds := defaultStopTimeout
	if configured := m.record().Config.StopTimeout; configured != nil {
		seconds = *configured
	}
	return time.Duration(seconds) * time.Second
}
