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

	"golang.org/x/sys/unix"
)

// variable is the environment variable by which a traced process tells the
// processes it starts where they write their own lines: the descriptor they
// inherit, and when the trace began.
const variable = "MYDOCKER_TRACE"

var (
	sink  *os.File // nil: tracing is off
	who   string
	begun int64 // nanoseconds of CLOCK_MONOTONIC, which all processes share
)

// To turns tracing on: lines go to w, each marked with the process's role.
func To(w *os.File, role string) { sink, who, begun = w, role, now() }

// Inherit turns tracing on if the parent process asked for it. It removes the
// variable, so that no container sees it.
func Inherit(role string) {
	value, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	os.Unsetenv(variable)
	var fd uintptr
	var since int64
	if _, err := fmt.Sscanf(value, "%d:%d", &fd, &since); err == nil {
		To(os.NewFile(fd, "trace"), role)
		begun = since
	}
}

// Output is where lines go, nil when tracing is off.
func Output() *os.File { return sink }

// Variable is the environment entry for a process that inherits Output as fd.
func Variable(fd int) string { return fmt.Sprintf("%s=%d:%d", variable, fd, begun) }

// Step reports one step: the operation, usually a system call, and its
// arguments and objects in Printf form. Call it before the step is taken, so
// that the last line names the step that failed or hangs.
func Step(operation, format string, args ...any) {
	if sink == nil {
		return
	}
	line := fmt.Sprintf("%8.3fms  %-8s %-14s %s\n", float64(now()-begun)/1e6, who, operation, fmt.Sprintf(format, args...))
	sink.WriteString(line) // one write: lines of several processes do not mix
}

func now() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}
