package container

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ParseSignal reads a signal as users write it: 9, KILL, SIGKILL, kill, RTMIN+3.
// Empty is SIGTERM.
func ParseSignal(text string) (unix.Signal, error) {
	// The real-time signals as the C libraries count them (signal(7)): the
	// kernel's first two belong to the threads implementation.
	const firstRealTime, last = 34, 64
	if text == "" {
		return unix.SIGTERM, nil
	}
	if number, err := strconv.Atoi(text); err == nil && 0 < number && number <= last {
		return unix.Signal(number), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if signal := unix.SignalNum("SIG" + name); signal != 0 {
		return signal, nil
	}
	for number := firstRealTime; number <= last; number++ {
		up, down := fmt.Sprint("RTMIN+", number-firstRealTime), fmt.Sprint("RTMAX-", last-number)
		if name == up || name == down || name+"+0" == up || name+"-0" == down {
			return unix.Signal(number), nil
		}
	}
	return 0, fmt.Errorf("invalid signal: %s", text)
}
