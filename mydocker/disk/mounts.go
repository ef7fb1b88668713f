package disk

import (
	"os"
	"strings"
)

// MountPoints lists where something is mounted, in the order of mounting:
// proc_pid_mountinfo(5), the fifth field, with space, tab, newline and backslash in octal.
func MountPoints() (points []string, err error) {
	// Not /proc/self: that is the first thread, which may be in a namespace of its own.
	mountinfo, err := os.ReadFile("/proc/thread-self/mountinfo")
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(string(mountinfo)) {
		points = append(points, plain.Replace(strings.Fields(line)[4]))
	}
	return points, err
}
