// Package trace tells what --debug tells: each kernel step as it happens.
//
// The command line, the monitor and init are three processes; all three write
// whole lines to the one descriptor the command line was given, with times by
// one clock, so the lines stand in the order in which the steps happened. When
// tracing is off a step costs one comparison.
//
// On the host it owns nothing; a crash leaves nothing behind.
package trace

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// variable is the environment variable by which a traced process tells the
// processes it starts where they write their own lines: the descriptor they
// inherit, and when the trace began.
const variable = "MYDOCKER_TRACE"

// output is where a process's lines go.
type output struct {
	file  *os.File
	role  string
	begun int64 // nanoseconds of CLOCK_MONOTONIC, which all processes share
}

var current atomic.Pointer[output] // nil: tracing is off

// To turns tracing on: lines go to w, each marked with the process's role.
func To(w *os.File, role string) { Join(w, role, now()) }

// Join is To for a trace that began earlier, in another process.
func Join(w *os.File, role string, begun int64) { current.Store(&output{w, role, begun}) }

// Stop turns tracing off.
func Stop() { current.Store(nil) }

// Inherit turns tracing on if the parent process asked for it. It removes the
// variable, so that no container sees it.
func Inherit(role string) {
	value, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	os.Unsetenv(variable)
	var fd uintptr
	var begun int64
	if _, err := fmt.Sscanf(value, "%d:%d", &fd, &begun); err == nil {
		Join(os.NewFile(fd, "trace"), role, begun)
	}
}

// Output is where lines go, nil when tracing is off, and when the trace began.
func Output() (file *os.File, begun int64) {
	if o := current.Load(); o != nil {
		return o.file, o.begun
	}
	return nil, 0
}

// Variable is the environment entry for a process that inherits Output as fd.
func Variable(fd int) string {
	_, begun := Output()
	return fmt.Sprintf("%s=%d:%d", variable, fd, begun)
}

// Step reports one step: the operation, usually a system call, and its
// arguments and objects in Printf form. Call it before the step is taken, so
// that the last line names the step that failed or hangs.
func Step(operation, format string, args ...any) {
	o := current.Load()
	if o == nil {
		return
	}
	line := fmt.Sprintf("%8.3fms  %-8s %-14s %s\n", float64(now()-o.begun)/1e6, o.role, operation, fmt.Sprintf(format, args...))
	o.file.WriteString(line) // one write: lines of several processes do not mix
}

func now() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}
