package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Process is a process as the host's /proc shows it.
type Process struct {
	Pid int // the host's number
}

// file is the name of one of its files in /proc.
func (p Process) file(name string) string { return fmt.Sprintf("/proc/%d/%s", p.Pid, name) }

func (p Process) read(name string) (string, error) {
	data, err := os.ReadFile(p.file(name))
	return string(data), err
}

// Namespace identifies its namespace of a kind (mnt uts ipc pid net user cgroup):
// "uts:[4026531838]". Two processes share it if the texts are equal (namespaces(7)).
func (p Process) Namespace(kind string) (string, error) { return os.Readlink(p.file("ns/" + kind)) }

// Cmdline is its argument vector.
func (p Process) Cmdline() ([]string, error) { return p.words("cmdline") }

// Environment is the environment it was executed with, NAME=VALUE each.
func (p Process) Environment() ([]string, error) { return p.words("environ") }

// words reads a file of words that end in NUL.
func (p Process) words(name string) ([]string, error) {
	text, err := p.read(name)
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(text, "\x00"), "\x00"), nil
}

// Status is a field of /proc/PID/status: "NSpid", "SigCgt", "CapEff" ...
func (p Process) Status(field string) (string, error) {
	text, err := p.read("status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == field {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no field %s", p.file("status"), field)
}

// Mounts is the mount table of its mount namespace, as seen from its root.
func (p Process) Mounts() ([]Mount, error) { return readMounts(p.file("mountinfo")) }

// Cgroups are the cgroups it is in, by controller, "" for the unified hierarchy, as
// paths below each hierarchy's root: {"memory": "/x", "": "/x"} (cgroups(7)).
func (p Process) Cgroups() (map[string]string, error) {
	text, err := p.read("cgroup")
	if err != nil {
		return nil, err
	}
	cgroups := map[string]string{}
	for line := range strings.Lines(text) {
		if fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(fields) == 3 {
			for controller := range strings.SplitSeq(fields[1], ",") {
				cgroups[controller] = fields[2]
			}
		}
	}
	return cgroups, nil
}

// Descriptors are its open files: number -> what /proc says is behind it.
func (p Process) Descriptors() (map[int]string, error) {
	entries, err := os.ReadDir(p.file("fd"))
	if err != nil {
		return nil, err
	}
	open := map[int]string{}
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil {
			open[number], _ = os.Readlink(p.file("fd/" + entry.Name()))
		}
	}
	return open, nil
}

// Parent is the host's number of its parent process.
func (p Process) Parent() (int, error) {
	text, err := p.Status("PPid")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// Gone tells whether it has ended; a zombie has.
func (p Process) Gone() bool {
	state, err := p.Status("State")
	return err != nil || strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// Children are the processes whose parent it is.
func (p Process) Children() []Process {
	return processes(func(q Process) bool {
		parent, err := q.Parent()
		return err == nil && parent == p.Pid
	})
}

// marked tells whether it carries a nonce or a run's marker: in its words or environment.
func (p Process) marked(nonce string) bool {
	for _, name := range []string{"cmdline", "environ"} {
		if data, err := os.ReadFile(p.file(name)); err == nil && bytes.Contains(data, []byte(nonce)) {
			return true
		}
	}
	return false
}

// processes lists the host's processes of which choose is true.
func processes(choose func(Process) bool) (chosen []Process) {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(filepath.Base(entry)); err == nil && choose(Process{pid}) {
			chosen = append(chosen, Process{pid})
		}
	}
	return chosen
}

// Mount is a line of a mount table (proc_pid_mountinfo(5)).
type Mount struct {
	ID, Parent int
	Root       string // the directory of the file system that is mounted
	Point      string // where, as seen from the process's root
	Options    []string
	Peers      []string // "shared:5", "master:3"; none: private
	Type       string   // of the file system: "proc"
	Source     string
	super      []string // options of the file system itself
}

// String shows the mount in a line.
func (m Mount) String() string { return fmt.Sprintf("%s on %s type %s", m.Source, m.Point, m.Type) }

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func readMounts(file string) ([]Mount, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+3 {
			return nil, fmt.Errorf("%s: a line that is no mount: %q", file, line)
		}
		m := Mount{Root: unescape.Replace(f[3]), Point: unescape.Replace(f[4]), Options: strings.Split(f[5], ","),
			Peers: f[6:dash], Type: f[dash+1], Source: unescape.Replace(f[dash+2]),
			super: strings.Split(f[len(f)-1], ",")}
		m.ID, _ = strconv.Atoi(f[0])
		m.Parent, _ = strconv.Atoi(f[1])
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// ReadRoot reads a file by its absolute path as the process would, from its root.
func (p Process) ReadRoot(path string) (string, error) { return p.read("root" + path) }
