package disk

import (
	"fmt"
	"os"
	"path/filepath"
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

// Unmounted makes sure that nothing is mounted at or below the directories: the error
// matches ErrMounted. RemoveAll would stop there too, but with half of the tree gone.
func Unmounted(dirs ...string) error {
	points, err := MountPoints()
	for _, dir := range dirs {
		if real, err := filepath.EvalSymlinks(dir); err == nil { // as the kernel lists it
			dir = real
		}
		for _, point := range points {
			if point == dir || strings.HasPrefix(point, dir+"/") {
				return fmt.Errorf("%s: %w", point, ErrMounted)
			}
		}
	}
	return err
}
