package check

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"minidocker/mydocker/namespace"

	"golang.org/x/sys/unix"
)

// Join calls f on a thread that has joined namespaces of the process (mnt uts ipc net
// cgroup), in this order. All that f does happens there: it may read files, mount, list
// links, but starts no goroutines.
func (p Process) Join(f func() error, kinds ...string) error {
	var files []*os.File
	for _, kind := range kinds { // all of them first: afterwards /proc may be another
		file, err := os.Open(p.file("ns/" + kind))
		if err != nil {
			return err
		}
		defer file.Close()
		files = append(files, file)
	}
	return namespace.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns(2) refuses a mount namespace otherwise
			return fmt.Errorf("unshare CLONE_FS: %w", err)
		}
		for _, file := range files {
			if err := unix.Setns(int(file.Fd()), 0); err != nil {
				return fmt.Errorf("join %s: %w", file.Name(), err)
			}
		}
		return f()
	})
}

// flags are the clone(2) flags that make the namespaces.
var flags = map[string]string{"uts": "CLONE_NEWUTS", "pid": "CLONE_NEWPID", "mnt": "CLONE_NEWNS", "ipc": "CLONE_NEWIPC",
	"net": "CLONE_NEWNET", "cgroup": "CLONE_NEWCGROUP", "user": "CLONE_NEWUSER"}

// Own fails if the container shares its namespace of a kind with the host.
func (c *Container) Own(kind string) error {
	own, err := c.Namespace(kind)
	if err != nil {
		return err
	}
	for _, p := range []Process{c.trial.Control, {os.Getpid()}} { // whose mount namespace is the host's own, not the stand-in
		hosts, err := p.Namespace(kind)
		if err != nil {
			return err
		}
		if own == hosts {
			return Fail(fmt.Sprintf("/proc/%d/ns/%s differs from that of a process of the host", c.Pid, kind),
				fmt.Sprintf("%s in both: it is the host's namespace", own),
				fmt.Sprintf("%s is not among the flags of clone(2), or the command is started by a process that is outside", flags[kind]))
		}
	}
	return nil
}

// Links are the names of the network interfaces of the calling thread's network namespace.
func Links() ([]string, error) {
	return readLinks("/proc/thread-self/net/dev")
}

// Links are the names of the network interfaces of its network namespace.
func (p Process) Links() ([]string, error) { return readLinks(p.file("net/dev")) }

func readLinks(file string) (links []string, err error) {
	data, err := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, ":"); ok { // two lines of headings have none
			links = append(links, strings.TrimSpace(name))
		}
	}
	slices.Sort(links)
	return links, err
}

// NewNetwork are the interfaces that a new network namespace has on this host: lo, and
// with some kernel modules more.
func NewNetwork() (links []string, err error) {
	err = namespace.OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		links, err = Links()
		return err
	})
	return links, err
}
