package e2e

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// powerOff does to an engine what a power cut does to it and to the machine's memory: all its
// processes are gone at once, and with them their cgroups, the run directory is
// empty, and the boot has another ID.
func powerOff(h *host) {
	h.t.Helper()
	h.crash()
	for round := 0; ; round++ {
		again := false
		for _, dir := range h.cgroups() {
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if e.IsDir() {
					again = unix.Rmdir(dir+"/"+e.Name()) != nil || again
				}
			}
			again = unix.Rmdir(dir) != nil || again
		}
		if !again {
			break
		}
		if round > 1000 {
			h.t.Fatalf("cgroups do not go: %v", h.cgroups())
		}
	}
	if err := os.RemoveAll(h.runRoot); err != nil {
		h.t.Fatal(err)
	}
	// The records were made in the boot before this one.
	files := matches(h.root + "/containers/*/state.json")
	boot := strings.TrimSpace(read(h.t, "/proc/sys/kernel/random/boot_id"))
	for _, file := range files {
		h.write(file, strings.ReplaceAll(read(h.t, file), boot, "00000000-0000-0000-0000-000000000000"))
	}
}
