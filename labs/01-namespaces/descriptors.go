package namespaces

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"minidocker/labs/check"
)

var descriptors = check.Check{
	Name:    "descriptors",
	Title:   "the command has no file open but 0, 1 and 2",
	Needs:   needsWords,
	Section: chapter + "doors-left-open",
	Hints: []string{
		"What is open stays open across execve(2), unless it is marked. An open directory of the host is a way out of the container.",
		"There are two sources: what your engine opens for itself, and what its caller had open already when it started the engine.",
		"Just before execve: unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) marks all from 3 on to be closed by it.",
	},
	Explain: []string{
		`ls -l /proc/$PID/fd                         # 0, 1 and 2`,
		`ENGINE run ls -l /proc/self/fd 7< /etc      # no 7; 3 is what ls itself has opened`,
	},
	Run: func(t *check.Trial) error {
		for range 4 { // more than an engine opens for itself in their places
			file, err := os.Open(t.Dir())
			if err != nil {
				return err
			}
			defer file.Close()
			t.Inherit = append(t.Inherit, file)
		}
		c, err := t.Start(nil, "wait")
		if err != nil {
			return err
		}
		open, err := c.Descriptors()
		if err != nil {
			return err
		}
		var numbers []int
		for number := range open {
			if number > 2 {
				numbers = append(numbers, number)
			}
		}
		if len(numbers) == 0 {
			return c.Release()
		}
		slices.Sort(numbers)
		var seen []string
		cause := "the engine opened it for itself, without O_CLOEXEC, or passed it to the process in between"
		for _, number := range numbers {
			seen = append(seen, fmt.Sprintf("%d -> %s", number, open[number]))
			if open[number] == t.Dir() {
				cause = "the engine's caller had it open; what it inherits it must close, or mark close-on-exec, before execve(2)"
			}
		}
		return check.Fail(fmt.Sprintf("0, 1 and 2 in /proc/%d/fd", c.Pid), "also "+strings.Join(seen, ", "), cause)
	},
}
