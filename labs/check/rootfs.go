package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Rootfs is the root file system of this check's containers, in labs that have one: the
// host's busybox with a link for each of its commands, the usual directories, and the
// file /etc/labs-marker, whose content is Marker. Engines may write to it: the next
// check has another.
func (t *Trial) Rootfs() string { return t.rootfs }

// Marker is what everything carries that this run of the checker makes.
func (t *Trial) Marker() string { return t.session.marker }

// WriteProgram writes an executable file, while nothing of this process forks: a child
// would have the file open for writing until its own execve, and who executes it meanwhile
// gets ETXTBSY (go.dev/issue/22315).
func WriteProgram(path string, content []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, 0o755)
}

func (t *Trial) makeRootfs() error {
	root, err := os.MkdirTemp(t.session.dir, "rootfs")
	if err != nil {
		return err
	}
	t.rootfs = root
	if err := os.Chmod(root, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{"bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777); err != nil {
		return err
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	if err := WriteProgram(filepath.Join(root, "bin/busybox"), program); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"etc/passwd":      "root:x:0:0:root:/root:/bin/sh\n",
		"etc/group":       "root:x:0:\n",
		"etc/labs-marker": t.session.marker + "\n",
		"dev/null":        "", // for shells in containers of an engine that has no /dev yet
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	commands, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("%s --list: %w", busybox, err)
	}
	for name := range strings.FieldsSeq(string(commands)) {
		if name != "busybox" {
			if err := os.Symlink("busybox", filepath.Join(root, "bin", name)); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"sbin", "usr/bin", "usr/sbin"} {
		target := "bin"
		if strings.Contains(name, "/") {
			target = "../bin"
		}
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}
