package container

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The real-time signals as the C libraries count them (signal(7)): the kernel's
// first two belong to the threads implementation.
const (
	firstRealTime = 34
	lastRealTime  = 64
)

// ParseSignal reads a signal as users write it: 9, KILL, SIGKILL, kill, RTMIN+3.
// Empty is SIGTERM.
func ParseSignal(text string) (unix.Signal, error) {
	if text == "" {
		return unix.SIGTERM, nil
	}
	if number, err := strconv.Atoi(text); err == nil {
		if number < 1 || number > lastRealTime {
			return 0, fmt.Errorf("invalid signal: %s", text)
		}
		return unix.Signal(number), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if signal := unix.SignalNum("SIG" + name); signal != 0 {
		return signal, nil
	}
	if signal, ok := realTime(name); ok {
		return signal, nil
	}
	return 0, fmt.Errorf("invalid signal: %s", text)
}

func realTime(name string) (unix.Signal, bool) {
	base, sign := firstRealTime, 1
	rest, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		if rest, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
		base, sign = lastRealTime, -1
	}
	if rest == "" {
		return unix.Signal(base), true
	}
	offset, err := strconv.Atoi(rest[1:])
	if err != nil || offset < 0 || (rest[0] == '+') != (sign > 0) {
		return 0, false
	}
	signal := base + sign*offset
	return unix.Signal(signal), signal >= firstRealTime && signal <= lastRealTime
}
