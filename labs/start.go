package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

var _ = register(&cli.Command{
	Name:      "start",
	Usage:     "make a directory with a lab's starter",
	ArgsUsage: "LAB DIRECTORY [--top DIRECTORY]",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "top", Usage: "the project's `DIRECTORY`, from which the engine's packages come (default: found from here)"},
	},
	Action: runStart,
})

func runStart(c *cli.Context) error {
	if err := arguments(c, 2, 2); err != nil {
		return err
	}
	lab, err := labOf(c.Args().First())
	if err != nil {
		return err
	}
	top, err := findTop(c.String("top"))
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(c.Args().Get(1))
	if err != nil {
		return err
	}
	if err := makeEmpty(dir); err != nil {
		return err
	}
	if kind := remote(dir); kind != "" {
		fmt.Fprintf(os.Stderr, "labs: warning: %s is on %s, which is slow to build on and may not keep modes and links. Better a directory on this machine's own disk.\n", dir, kind)
	}
	files, err := starterFiles(filepath.Join(top, "labs", lab.Name, "starter"))
	if err != nil {
		return err
	}
	module, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		return err
	}
	if files["go.mod"], err = starterModule(string(module), top); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(top, "go.sum"))
	if err != nil {
		return err
	}
	files["go.sum"] = string(sums)
	labs, err := os.Executable()
	if err != nil {
		return err
	}
	files["Makefile"] = fmt.Sprintf(makefile, lab.Number, labs)
	files[".gitignore"] = "/engine\n"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := giveAway(dir); err != nil {
		return err
	}
	fmt.Printf("%s has the starter of lab %d. What is to be written is marked \"not written yet\"; labs/%s/README.md says what it is about.\n\n  cd %s\n  make check\n",
		dir, lab.Number, lab.Name, dir)
	return nil
}

const makefile = `# make builds the engine; make check builds it and checks it.
LAB  = %d
LABS = %s
SUDO = $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: build check
build:
	CGO_ENABLED=0 go build -o engine .

check: build
	$(SUDO) $(LABS) check $(LAB) --engine ./engine $(FLAGS)
`

// starterModule is the go.mod of a starter: the project's own, so that no other modules
// are needed, and the project itself from where it is.
func starterModule(text, top string) (string, error) {
	line := regexp.MustCompile(`(?m)^module .*$`)
	if !line.MatchString(text) {
		return "", fmt.Errorf("%s/go.mod names no module", top)
	}
	text = line.ReplaceAllLiteralString(text, "module engine")
	return text + "\nrequire minidocker v0.0.0\n\nreplace minidocker => " + strconv.Quote(top) + "\n", nil
}

func starterFiles(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the starter: %w", err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		files[entry.Name()] = string(text)
	}
	return files, nil
}

// makeEmpty makes a directory, or accepts one that has nothing in it.
func makeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(dir, 0o755)
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: nothing of yours is to be overwritten. Name a new directory", dir)
	}
	return err
}

// giveAway gives what root made under sudo to the user who typed it.
func giveAway(dir string) error {
	uid, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	gid, err := strconv.Atoi(os.Getenv("SUDO_GID"))
	if err != nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// findTop finds the project's directory: where it is said to be, or above the directory
// one is in, or above this program.
func findTop(said string) (string, error) {
	var from []string
	if said != "" {
		from = []string{said}
	} else {
		if dir, err := os.Getwd(); err == nil {
			from = append(from, dir)
		}
		if path, err := os.Executable(); err == nil {
			from = append(from, filepath.Dir(path))
		}
		if home, err := os.UserHomeDir(); err == nil {
			from = append(from, filepath.Join(home, "mydocker")) // as on the classroom machine
		}
	}
	for _, dir := range from {
		for dir, err := filepath.Abs(dir); err == nil; dir = filepath.Dir(dir) {
			if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && bytes.HasPrefix(text, []byte("module minidocker\n")) {
				return dir, nil
			}
			if dir == "/" {
				break
			}
		}
	}
	return "", fmt.Errorf("the project's sources are in none of %s, nor above: change into the project's directory, or say where it is with --top", strings.Join(from, ", "))
}

// remote names the kind of file system if it is another machine's, or the host's of this
// virtual machine, "" if it is not.
func remote(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	return map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "an SMB share", unix.CIFS_SUPER_MAGIC: "an SMB share", unix.SMB2_SUPER_MAGIC: "an SMB share",
		unix.V9FS_MAGIC: "a folder shared by the host (9p)", 0x786f4256: "a folder shared by the host (vboxsf)", 0xbacbacbc: "a folder shared by the host (vmhgfs)",
		unix.FUSE_SUPER_MAGIC: "a file system in user space (FUSE)", unix.AFS_SUPER_MAGIC: "AFS", unix.CEPH_SUPER_MAGIC: "Ceph",
	}[int64(st.Type)]
}
