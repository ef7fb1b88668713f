package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// SetupNames are what a transcript can ask for: engines (./step0 ...), first versions
// (./first0 ...), the busybox tree (./rootfs); mydocker on PATH with a root of its own and
// the image busybox in it; labs on PATH; source, the project's files, to build from.
var SetupNames = []string{"step0", "step1", "step2", "step3", "first0", "first1", "first2", "first3", "rootfs", "mydocker", "labs", "source"}

// ErrCannot says that this machine lacks what a transcript needs.
var ErrCannot = errors.New("cannot run here")

// Setups makes what transcripts ask for, the binaries and the tar once for all blocks.
type Setups struct {
	top, dir string
	prebuilt string            // directory of binaries, "" if they are built
	ready    map[string]string // the files that are made
	limit    time.Duration     // for a block; the test machine is an emulated one
}

// NewSetups prepares for the project at top. Binaries come from MYDOCKER_BOOK_BIN if it
// is set, the root file system from MYDOCKER_ROOTFS_BUSYBOX, a tar.
func NewSetups(top string) (*Setups, error) {
	top, err := filepath.Abs(top)
	if err != nil {
		return nil, err
	}
	// Not /tmp, which may be in memory: a root file system is to be on a disk.
	dir, err := os.MkdirTemp("/var/tmp", "book-")
	if err != nil {
		return nil, err
	}
	s := &Setups{top: top, dir: dir, prebuilt: os.Getenv("MYDOCKER_BOOK_BIN"), ready: map[string]string{}, limit: 90 * time.Second}
	if tar := os.Getenv("MYDOCKER_ROOTFS_BUSYBOX"); tar != "" {
		s.ready["rootfs"] = tar
	}
	return s, nil
}

// Close removes what was made.
func (s *Setups) Close() error { return remove(s.dir) }

// remove deletes a directory, and nothing that is mounted below.
func remove(dir string) error { return command("rm", "-rf", "--one-file-system", dir) }

// provide puts what name stands for into a block's directory.
func (s *Setups) provide(name, dir string) error {
	switch name {
	case "rootfs":
		return s.unpack(filepath.Join(dir, "work/rootfs"))
	case "source":
		return s.copySource(filepath.Join(dir, "work"))
	case "labs":
		return s.copyBinary(name, filepath.Join(dir, "bin"))
	case "mydocker":
		if err := s.copyBinary(name, filepath.Join(dir, "bin")); err != nil {
			return err
		}
		return s.importBusybox(dir)
	default:
		return s.copyBinary(name, filepath.Join(dir, "work"))
	}
}

// Binary gives the path of a program, which is built the first time.
func (s *Setups) Binary(name string) (string, error) {
	if s.prebuilt != "" {
		return filepath.Join(s.prebuilt, name), nil
	}
	if file := s.ready[name]; file != "" {
		return file, nil
	}
	source := name // mydocker, labs
	if kind, number := name[:len(name)-1], name[len(name)-1:]; kind == "step" || kind == "first" {
		found, _ := filepath.Glob(filepath.Join(s.top, "chapters/0"+number+"-*"))
		if len(found) != 1 {
			return "", fmt.Errorf("there is no chapter %s to build %s from", number, name)
		}
		source = path.Join("chapters", filepath.Base(found[0]), strings.TrimPrefix(kind, "step"))
	}
	file := filepath.Join(s.dir, name)
	if err := build(s.top, file, "./"+source); err != nil {
		return "", err
	}
	s.ready[name] = file
	return file, nil
}

// build builds a package of the module in directory module, as the Makefile does.
func build(module, file, source string, env ...string) error {
	cmd := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", file, source)
	cmd.Dir, cmd.Env = module, append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build %s (MYDOCKER_BOOK_BIN=DIR names a directory of binaries): %w\n%s", source, err, out)
	}
	return nil
}

func (s *Setups) copyBinary(name, to string) error {
	file, err := s.Binary(name)
	if err != nil {
		return err
	}
	return command("cp", file, filepath.Join(to, name))
}

// tar gives the path of the tar of the busybox tree.
func (s *Setups) tar() (string, error) {
	if s.ready["rootfs"] == "" {
		file := filepath.Join(s.dir, "busybox.tar")
		if err := command(filepath.Join(s.top, "labs/rootfs.sh"), "busybox", file); err != nil {
			return "", err
		}
		s.ready["rootfs"] = file
	}
	return s.ready["rootfs"], nil
}

func (s *Setups) unpack(to string) error {
	tar, err := s.tar()
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	return command("tar", "--numeric-owner", "-xpf", tar, "-C", to)
}

// copySource copies what a reader has cloned, as far as it is needed to build and run
// the engines, the book and the labs.
func (s *Setups) copySource(to string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("%w: no go to build with", ErrCannot)
	}
	return command("cp", "-r", filepath.Join(s.top, "go.mod"), filepath.Join(s.top, "go.sum"), filepath.Join(s.top, "chapters"),
		filepath.Join(s.top, "labs"), filepath.Join(s.top, "mydocker"), to)
}

// importBusybox makes the image in the block's own root.
func (s *Setups) importBusybox(dir string) error {
	tar, err := s.tar()
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(dir, "bin/mydocker"), "import", "-c", `CMD ["sh"]`, tar, "busybox")
	cmd.Env = environment(dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mydocker import: %w\n%s", err, out)
	}
	return nil
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
