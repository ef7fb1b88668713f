package monitor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"golang.org/x/sys/unix"
)

// Docker's numbers for what the health check leaves open, and how much of its
// results is kept.
const (
	probeInterval      = 30 * time.Second
	probeStartInterval = 5 * time.Second // in the start period
	probeTimeout       = 30 * time.Second
	probeRetries       = 3
	keptResults        = 5
	keptOutput         = 4096 // bytes
)

// probeCommand is what the health check runs; nil: the container has none.
func probeCommand(config *api.Config) []string {
	check := config.Healthcheck
	if check == nil || len(check.Test) < 2 { // [NONE]
		return nil
	}
	if check.Test[0] != "CMD-SHELL" {
		return check.Test[1:]
	}
	shell := config.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return slices.Concat(shell, check.Test[1:])
}

// initialHealth is the health of a life that begins: earlier results are still shown.
func (m *Monitor) initialHealth() *api.Health {
	if probeCommand(m.record().Config) == nil {
		return nil
	}
	health := &api.Health{Status: api.Starting, Log: []*api.HealthcheckResult{}}
	if m.state.Health != nil {
		health.Log = m.state.Health.Log
	}
	return health
}

// startProbing begins to look at the container's health, if it says how. The
// caller holds mu.
func (m *Monitor) startProbing() {
	if command := probeCommand(m.record().Config); command != nil && m.errNoProcess() == nil {
		m.life.probing = make(chan struct{})
		go m.probeRegularly(m.life, m.life.probing, command)
	}
}

// stopProbing ends that. What is not looked at is not healthy, as Docker has it.
// The caller holds mu.
func (m *Monitor) stopProbing(l *life) {
	if l.probing != nil {
		close(l.probing)
		l.probing = nil
		m.state.Health.Status = api.Unhealthy
	}
}

func (m *Monitor) probeRegularly(l *life, stop <-chan struct{}, command []string) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(m.probePause()):
		}
		result := m.probe(stop, command)
		m.mu.Lock()
		stopped := l.probing != stop || l.process.Done() // the end of all killed the probe, too
		if !stopped {
			m.judge(result)
		}
		m.mu.Unlock()
		if stopped {
			return
		}
	}
}

// probePause is the time to the next probe: shorter ones while a container starts,
// if it has a time for that.
func (m *Monitor) probePause() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	check := m.record().Config.Healthcheck
	if m.state.Health.Status == api.Starting && time.Since(m.state.StartedAt) < check.StartPeriod {
		return cmp.Or(check.StartInterval, probeStartInterval)
	}
	return cmp.Or(check.Interval, probeInterval)
}

// probe runs the check once. One that takes too long is killed, as is one whose
// result nobody wants any more.
func (m *Monitor) probe(stop <-chan struct{}, command []string) *api.HealthcheckResult {
	result := &api.HealthcheckResult{Start: time.Now(), ExitCode: -1}
	x, err := m.beginExec(api.ExecCreateRequest{Cmd: command}, false)
	if err != nil {
		result.Output, result.End = err.Error(), time.Now()
		return result
	}
	output := &beginning{}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		output.copy(x.streams.output)
	}()
	timeout := cmp.Or(m.record().Config.Healthcheck.Timeout, probeTimeout)
	ended, late := make(chan int, 1), false
	go func() { ended <- m.awaitExec(x) }()
	select {
	case result.ExitCode = <-ended:
	case <-time.After(timeout):
		late = true
		x.process.Signal(unix.SIGKILL)
		<-ended
	case <-stop:
		x.process.Signal(unix.SIGKILL)
		<-ended
	}
	select {
	case <-copied:
	case <-time.After(drainTime): // a child of it has the output open
	}
	x.streams.close()
	x.process.Close()
	m.endExec(x)
	result.End, result.Output = time.Now(), output.String()
	if late {
		result.Output = fmt.Sprintf("Health check exceeded timeout (%v)", timeout)
	}
	return result
}

// judge draws the conclusion from a result. The caller holds mu.
func (m *Monitor) judge(result *api.HealthcheckResult) {
	check, health := m.record().Config.Healthcheck, m.state.Health
	before := health.Status
	health.Log = append(health.Log, result)
	health.Log = health.Log[max(0, len(health.Log)-keptResults):]
	switch {
	case result.ExitCode == 0:
		health.Status, health.FailingStreak = api.Healthy, 0
	case health.Status == api.Starting && result.Start.Sub(m.state.StartedAt) < check.StartPeriod:
	default:
		health.FailingStreak++
		if health.FailingStreak >= cmp.Or(check.Retries, probeRetries) {
			health.Status = api.Unhealthy
		}
	}
	m.saveState()
	if health.Status != before {
		m.event(events.ActionHealthStatus+events.Action(": "+string(health.Status)), nil)
	}
}

// beginning keeps the first bytes of what is written to it.
type beginning struct {
	mu   sync.Mutex
	data []byte
	more bool
}

func (b *beginning) copy(from []stream) {
	var all sync.WaitGroup
	for _, out := range from {
		all.Go(func() { io.Copy(b, out.file) })
	}
	all.Wait()
}

func (b *beginning) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := p[:min(len(p), keptOutput-len(b.data))]
	b.data, b.more = append(b.data, kept...), b.more || len(kept) < len(p)
	return len(p), nil
}

func (b *beginning) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more {
		return string(b.data) + "..."
	}
	return string(b.data)
}
