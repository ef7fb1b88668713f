package check

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fence is a cgroup in which engines and the control process start: the directory of a
// group in the tree that counts processes, "" on a host where none can be made. Whatever
// an engine starts is in it, with or without the marker, unless the engine moves it to
// another group, as it does with containers. And an engine that forks without end comes to
// an end there.
type fence string

// most is how many processes and threads an engine may have, without its containers.
const most = "1000"

// newFence makes a fence of this name, in a version 1 tree of the controller pids or in
// the unified one.
func newFence(name string) fence {
	f := findFence(name)
	if f != "" && os.Mkdir(string(f), 0o755) != nil {
		return ""
	}
	f.limit(most)
	return f
}

// findFence is where a fence of this name is, or would be.
func findFence(name string) fence {
	mounts, _ := Process{os.Getpid()}.Mounts()
	for _, m := range mounts {
		has, _ := os.ReadFile(filepath.Join(m.Point, "cgroup.controllers"))
		if m.Type == "cgroup" && m.Controls("pids") || m.Type == "cgroup2" && slices.Contains(strings.Fields(string(has)), "pids") {
			return fence(filepath.Join(m.Point, name))
		}
	}
	return ""
}

// limit says how many processes may be in it. Where the group above does not give it the
// controller, it has no limit.
func (f fence) limit(number string) {
	if f == "" {
		return
	}
	if file, err := os.OpenFile(filepath.Join(string(f), "pids.max"), os.O_WRONLY, 0); err == nil {
		file.WriteString(number)
		file.Close()
	}
}

// enter moves the calling thread into it, where threads can be moved: on version 1.
func (f fence) enter() {
	if f == "" {
		return
	}
	if file, err := os.OpenFile(filepath.Join(string(f), "tasks"), os.O_WRONLY, 0); err == nil {
		file.WriteString("0")
		file.Close()
	}
}

// open gives the directory where a process can be born in it: on version 2. Else nil.
func (f fence) open() *os.File {
	if _, err := os.Stat(filepath.Join(string(f), "cgroup.type")); f == "" || err != nil {
		return nil
	}
	dir, _ := os.Open(string(f))
	return dir
}

// processes are those in it and in the groups below, without the checker itself.
func (f fence) processes() (found []Process) {
	if f == "" {
		return nil
	}
	filepath.WalkDir(string(f), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			for word := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil && pid > 0 && pid != os.Getpid() {
					found = append(found, Process{pid})
				}
			}
		}
		return nil
	})
	return found
}

// leave moves the checker's own threads out of it: that of a check may go on for a while.
func (f fence) leave() {
	tasks, _ := os.ReadFile(filepath.Join(string(f), "tasks"))
	for tid := range strings.FieldsSeq(string(tasks)) {
		if _, err := os.Stat("/proc/self/task/" + tid); err != nil {
			continue
		}
		if file, err := os.OpenFile(filepath.Join(filepath.Dir(string(f)), "tasks"), os.O_WRONLY, 0); err == nil {
			file.WriteString(tid)
			file.Close()
		}
	}
}

// remove removes it, once what was in it has ended.
func (f fence) remove() (err error) {
	if f == "" {
		return nil
	}
	f.leave()
	poll(2*time.Second, func() bool {
		err = removeCgroup(string(f))
		return err == nil || !errors.Is(err, unix.EBUSY)
	})
	return err
}
