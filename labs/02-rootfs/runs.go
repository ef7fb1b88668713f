package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/labs/check"
)

var command = check.Check{
	Name:    "command",
	Title:   "a command is looked up in the container; what only the host has is not found (127)",
	Needs:   []string{"root"},
	Section: chapter + "#first-version",
	Hints: []string{
		"Whose PATH, whose directories: at which moment does your engine look the command up?",
		"exec.LookPath in the engine finds a file of the host. After the change of root the same call finds the container's.",
		"Look up as the last step before execve(2). Not found is exit status 127, cannot be executed 126.",
	},
	Explain: []string{
		"ENGINE run --rootfs rootfs sh -c 'echo $PATH; which ls'",
		"ENGINE run --rootfs rootfs dpkg --version; echo $?     # the host's own: 127",
	},
	Run: func(t *check.Trial) error {
		foreign, err := hostOnly(t)
		if err != nil {
			return err
		}
		missing, covered := foreign[0], foreign[1]
		// The host has this one in another directory: its path there leads to nothing here.
		status := t.Status()
		script := fmt.Sprintf("#!/bin/busybox sh\nexit %d\n", status)
		dir := filepath.Join(t.Rootfs(), "usr/local/bin")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, covered), []byte(script), 0o755)); err != nil {
			return err
		}
		if out, err := t.Run(nil, covered); err != nil {
			return err
		} else if out.Status != status {
			return check.Fail(fmt.Sprintf("%s is found in the container's /usr/local/bin, and exits with %d", covered, status),
				fmt.Sprintf("status %d; it wrote: %s", out.Status, strings.TrimSpace(out.Stderr)),
				"it was looked up on the host before the change of root, or PATH is empty in the container")
		}
		if out, err := t.Run(nil, missing); err != nil {
			return err
		} else if out.Status != 127 || !strings.Contains(out.Stderr, missing) {
			return check.Fail(fmt.Sprintf("status 127 and a message that names %s, which only the host has", missing),
				fmt.Sprintf("status %d; it wrote: %s", out.Status, strings.TrimSpace(out.Stderr)), "an error of execve(2) or of the lookup is not told apart from the engine's own (125)")
		}
		return nil
	},
}

// harmless are commands that a wrong engine may well run on the host: without words they
// print something, or read an input that is empty. Others there turn the machine off.
const harmless = "awk basenc b2sum bash chcon csplit curl dash dir dircolors dpkg find fmt getconf gpgv grep gzip iconv ip join ld.so ldd " +
	"locale mawk nft numfmt pathchk perl pinky pldd pr printenv ptx runcon sed sha224sum sha384sum sha512sum stdbuf sqv tar test users vdir zcat zdump zstd"

// hostOnly gives two commands of the host that the container does not have.
func hostOnly(t *check.Trial) ([]string, error) {
	var found []string
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			info, err := os.Stat(filepath.Join(dir, entry.Name()))
			_, inside := os.Lstat(filepath.Join(t.Rootfs(), "bin", entry.Name()))
			if slices.Contains(strings.Fields(harmless), entry.Name()) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && inside != nil {
				found = append(found, entry.Name())
			}
		}
	}
	if len(found) < 2 {
		return nil, check.CannotCheck("this host has no two commands in /usr/bin that busybox does not have and that do no harm")
	}
	first := t.Number(0, len(found)-2)
	return []string{found[first], found[t.Number(first+1, len(found)-1)]}, nil
}

var missingRootfs = check.Check{
	Name:    "missing-rootfs",
	Title:   "if DIR is missing or no directory, the engine says so and exits with 125; a link is fine",
	Section: chapter + "#the-missing-rootfs",
	Hints: []string{
		"stat(2) before the clone: who is told early has nothing to clean up.",
		"The message names the directory as the user typed it, or absolute.",
		"filepath.Abs, os.Stat (which follows links), IsDir; on an error a line on stderr and exit status 125.",
	},
	Explain: []string{"ENGINE run --rootfs /nowhere/at/all true; echo $?     # 125"},
	Run: func(t *check.Trial) error {
		absent := filepath.Join(t.Dir(), t.Name())
		file := filepath.Join(t.Dir(), t.Name())
		if err := os.WriteFile(file, []byte("no directory\n"), 0o644); err != nil {
			return err
		}
		for _, try := range []struct {
			what, dir string
		}{
			{"--rootfs of a directory that is not there", absent},
			{"--rootfs of a file", file},
		} {
			out, err := t.Raw("run", "--rootfs", try.dir, busybox, "true")
			if err != nil {
				return err
			}
			if out.Status != 125 || !strings.Contains(out.Stderr, try.dir) {
				return check.Fail(fmt.Sprintf("%s: exit status 125, and a message that names %s", try.what, try.dir),
					fmt.Sprintf("status %d; it wrote: %s", out.Status, strings.TrimSpace(out.Stderr)), "the directory is not looked at before the command is started")
			}
		}
		link := filepath.Join(t.Dir(), t.Name())
		if err := os.Symlink(filepath.Base(t.Rootfs()), link); err != nil {
			return err
		}
		for _, try := range []struct {
			what, dir, cause string
		}{
			{"in a directory that is there a command runs", t.Rootfs(), "the engine cannot do it yet, or refuses every DIR: see root"},
			{"a link to a directory does as well (ln -s rootfs link)", link, "lstat(2) or O_NOFOLLOW where stat(2) is meant, or the link's relative target was resolved elsewhere"},
		} {
			status := t.Status()
			out, err := t.Raw("run", "--rootfs", try.dir, busybox, "sh", "-c", fmt.Sprintf("exit %d", status))
			if err != nil {
				return err
			}
			if out.Status != status {
				return check.Fail(fmt.Sprintf("%s: exit status %d", try.what, status),
					fmt.Sprintf("status %d; it wrote: %s", out.Status, strings.TrimSpace(out.Stderr)), try.cause)
			}
		}
		return nil
	},
}

var again = check.Check{
	Name:    "again",
	Title:   "DIR can be used again, and by two at a time: no container leaves anything in it",
	Needs:   []string{"root"},
	Section: chapter + "#leftovers-that-make-the-second-try-fail",
	Hints: []string{
		"What did your engine make in DIR that the next run finds? find DIR before and after tells.",
		"A directory for the old root, or nodes in DIR/dev, stay on the disk and are there the second time (EEXIST). What needs neither?",
		"pivot_root(\".\", \".\") needs no directory; nodes go into a tmpfs on /dev, which ends with the mount namespace.",
	},
	Explain: []string{"find rootfs -xdev | sort >before; ENGINE run --rootfs rootfs true; find rootfs -xdev | sort | diff before -"},
	Run: func(t *check.Trial) error {
		before, err := list(t.Rootfs())
		if err != nil {
			return err
		}
		first, err := start(t)
		if err != nil {
			return err
		}
		second, err := start(t)
		if err != nil {
			return err
		}
		for _, c := range []*check.Container{first, second} {
			if err := hasMarker(t, c); err != nil {
				return err
			}
		}
		if err := second.Own("mnt"); err != nil {
			return err
		}
		for _, c := range []*check.Container{first, second} {
			if err := finish(c); err != nil {
				return err
			}
		}
		third, err := start(t)
		if err != nil {
			return err
		}
		if err := finish(third); err != nil {
			return err
		}
		after, err := list(t.Rootfs())
		if err != nil {
			return err
		}
		for _, path := range after {
			if !slices.Contains(before, path) {
				return check.Fail("DIR has the files it had before", "it also has "+path,
					"the engine made it on the disk: a place for the old root, or nodes without a tmpfs below them")
			}
		}
		return nil
	},
}

// list names all files below a directory, with their types.
func list(dir string) (paths []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			paths = append(paths, fmt.Sprintf("%s (%s)", path, entry.Type()))
		}
		return err
	})
	return paths, err
}
