package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// reproduce is the last run of the engine, and what was done to it, as a line to be
// typed.
func (t *Trial) reproduce() string {
	if len(t.runs) == 0 {
		return ""
	}
	r := t.runs[len(t.runs)-1]
	line := t.engine.Command
	if os.Getenv("SUDO_USER") != "" {
		line = "sudo " + line
	}
	for _, word := range r.words {
		if word == Probe {
			word = `"$(` + Quote(self()) + ` probe)"`
		} else {
			word = Quote(word)
		}
		line += " " + word
	}
	for i := range t.Inherit {
		line += fmt.Sprintf(" %d</", i+3)
	}
	if t.lab.Rootfs {
		line = strings.ReplaceAll(line, Quote(t.rootfs), "rootfs") // that one is gone; labs/rootfs.sh makes one
	}
	if r.container == nil {
		return line + "; echo $?"
	}
	steps := []string{}
	for _, s := range r.signals {
		if s.signal != syscall.SIGUSR1 || s.toEngine {
			target := "$!"
			if !s.toEngine {
				target = fmt.Sprintf(`$(pgrep -f '^%s.*%s')`, busybox, r.container.Nonce)
			}
			steps = append(steps, fmt.Sprintf("sleep 1; kill -%d %s", s.signal, target))
		}
	}
	if len(steps) == 0 {
		return line
	}
	return line + " & " + strings.Join(steps, "; ") + "; wait $!; echo $?"
}

// self is how this program is called from the directory one is in.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "labs"
	}
	if found, err := exec.LookPath("labs"); err == nil {
		if same, err := filepath.EvalSymlinks(found); err == nil && same == path {
			return "labs"
		}
	}
	if dir, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(relative, "..") {
			return "./" + relative
		}
	}
	return path
}
