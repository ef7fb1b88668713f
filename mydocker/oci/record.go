package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/disk"
	"minidocker/mydocker/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A container is a directory, ROOT/ID. Who makes it owns the ID; its files are
//
//	creating.json  the record until all is made; then it is renamed to
//	state.json     without which no command but create and delete --force knows the container
//	config.json    the bundle's, as it was; and the lock
//	exec.fifo      init waits at it, until start removes it
//
// Whoever changes the container holds the lock; but kill does not, for a hook that
// hangs must not keep a container alive.
const (
	configFile   = "config.json"
	creatingFile = "creating.json"
	stateFile    = "state.json"
)

// record is what is known of a container. The cgroup is recorded before it is made,
// the process when it exists and before anything is mounted.
type record struct {
	specs.State           // without its status
	Rootfs      string    `json:"rootfs"`
	Created     time.Time `json:"created"`
	Cgroup      groupName `json:"cgroup"`
	// StartTime of the process, in clock ticks since boot: field 22 of proc_pid_stat(5).
	// The number alone may be another process's by now.
	StartTime uint64 `json:"startTime,omitempty"`
}

type container struct {
	record
	dir string
}

var (
	errNotExist = errors.New("container does not exist")
	errExists   = errors.New("container with given ID already exists")
	errNotRuns  = errors.New("container not running")
)

const paused specs.ContainerState = "paused"

// place gives the directory of the container with this ID.
func (h *host) place(id string) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.,"
	switch {
	case id == "":
		return "", errors.New("container id cannot be empty")
	case id == ".", id == "..", strings.Trim(id, letters) != "":
		return "", errors.New("invalid container ID format")
	}
	return filepath.Join(h.root, id), nil
}

// make makes the directory of a new container, with the configuration of its bundle,
// and takes its lock.
func (h *host) make(id string, config []byte) (dir string, lock *disk.Lock, err error) {
	if dir, err = h.place(id); err != nil {
		return "", nil, err
	}
	if err = os.MkdirAll(h.root, 0o711); err != nil { // init reaches its fifo as the container's user
		return "", nil, err
	}
	if err = os.Mkdir(dir, 0o711); errors.Is(err, os.ErrExist) {
		return "", nil, errExists
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, configFile), config, 0o600)
	}
	if err == nil {
		lock, err = acquire(dir)
	}
	return dir, lock, err
}

// acquire waits for a container's lock. errNotExist: there is none, or not any more.
func acquire(dir string) (*disk.Lock, error) {
	lock, err := disk.Acquire(filepath.Join(dir, configFile), disk.Exclusive|disk.Existing)
	if errors.Is(err, os.ErrNotExist) {
		err = errNotExist
	}
	return lock, err
}

// load reads the record of a container that has been created.
func (h *host) load(id string) (*container, error) {
	dir, err := h.place(id)
	if err != nil {
		return nil, err
	}
	return read(dir, stateFile)
}

func read(dir, file string) (*container, error) {
	c := &container{dir: dir}
	err := disk.ReadJSON(filepath.Join(dir, file), &c.record)
	if errors.Is(err, os.ErrNotExist) {
		err = errNotExist
	}
	return c, err
}

// save writes the record of a container in the making. It is a single write(2) to a
// file that only grows, so that a kill leaves one version or the other.
func (c *container) save() error {
	data, err := json.Marshal(c.record)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(c.dir, creatingFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(data)
	return err
}

// publish makes the container known to all commands.
func (c *container) publish() error {
	return os.Rename(filepath.Join(c.dir, creatingFile), filepath.Join(c.dir, stateFile))
}

// spec is the configuration the container was created with; what its relative paths were
// relative to, the bundle, may have gone.
func (c *container) spec() (*specs.Spec, error) { return runtime.Load(c.dir) }

// process opens the container's process. os.ErrProcessDone: it has ended.
func (c *container) process() (*runtime.Process, error) {
	if c.Pid == 0 {
		return nil, os.ErrProcessDone
	}
	p, err := runtime.Open(c.Pid, c.dir)
	if err != nil {
		return nil, err
	}
	// In this order: what is read after the pidfd was opened is of the process it is for, or of none.
	started, err := startTime(c.Pid)
	if err != nil || started != c.StartTime || p.Done() {
		p.Close()
		return nil, os.ErrProcessDone
	}
	return p, nil
}

// startTime reads when a process started.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStartTime(string(data))
}

// parseStartTime takes field 22, counted from the parenthesis that ends the second:
// the program's name may have blanks and parentheses.
func parseStartTime(stat string) (uint64, error) {
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("start time in %q: too few fields", stat)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// view is a container as it is now.
type view struct {
	status  specs.ContainerState
	group   cgroup.Group
	process *runtime.Process // nil: it has ended
}

func (c *container) look() (v view, err error) {
	if v.group, err = c.group(); err != nil {
		return v, err
	}
	v.process, err = c.process()
	if errors.Is(err, os.ErrProcessDone) {
		v.status = specs.StateStopped
		return v, nil
	}
	frozen := false
	if err == nil {
		frozen, err = v.group.Frozen()
	}
	switch {
	case frozen:
		v.status = paused
	case c.waits():
		v.status = specs.StateCreated
	default:
		v.status = specs.StateRunning
	}
	return v, err
}

// lookLocked is for one who is going to change the container.
func (h *host) lookLocked(id string) (c *container, v view, lock *disk.Lock, err error) {
	if c, err = h.load(id); err == nil { // without waiting for one that is being made, as its hooks must not
		lock, err = acquire(c.dir)
	}
	if err != nil {
		return nil, v, nil, err
	}
	if c, err = h.load(id); err == nil {
		v, err = c.look()
	}
	if err != nil {
		lock.Release()
	}
	return c, v, lock, err
}

func (v view) close() {
	if v.process != nil {
		v.process.Close()
	}
}

// waits tells whether init waits to be started. The fifo is not enough: a start that
// was killed may have left it.
func (c *container) waits() bool {
	if _, err := os.Lstat(filepath.Join(c.dir, "exec.fifo")); err != nil {
		return false
	}
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.Pid))
	return string(line) == "mydocker\x00init\x00"
}
