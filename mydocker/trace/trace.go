// Package trace tells what --debug tells: each kernel step as it happens.
//
// The command line, the monitor and init are three processes; all three write
// whole lines to the one descriptor the command line was given, so the lines
// stand in the order in which the steps happened. When tracing is off a step
// costs one comparison.
//
// On the host it owns nothing; a crash leaves nothing behind.
package trace

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// Variable is the environment variable by which a traced process tells the
// processes it starts which descriptor they inherit for their own lines.
const Variable = "MYDOCKER_TRACE_FD"

var (
	sink  *os.File // nil: tracing is off
	who   string
	begun = time.Now()
)

// To turns tracing on: lines go to w, each marked with the process's role.
func To(w *os.File, role string) { sink, who = w, role }

// Inherit turns tracing on if the parent process asked for it in Variable. It
// removes the variable, so that no container sees it.
func Inherit(role string) {
	value, ok := os.LookupEnv(Variable)
	if !ok {
		return
	}
	os.Unsetenv(Variable)
	if fd, err := strconv.Atoi(value); err == nil {
		To(os.NewFile(uintptr(fd), "trace"), role)
	}
}

// Output is where lines go, nil when tracing is off.
func Output() *os.File { return sink }

// Step reports one step: the operation, usually a system call, and its
// arguments and objects in Printf form. Call it before the step is taken, so
// that the last line names the step that failed or hangs.
func Step(operation, format string, args ...any) {
	if sink == nil {
		return
	}
	line := fmt.Sprintf("%-8s%8.3fms  %-14s %s\n", who,
		float64(time.Since(begun).Microseconds())/1000, operation, fmt.Sprintf(format, args...))
	sink.WriteString(line) // one write: lines of several processes do not mix
}
