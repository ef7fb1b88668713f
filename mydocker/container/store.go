// Package container is the record of a container on disk: its configuration,
// its state, its name, and its removal.
//
// On the host it owns Root/containers, Root/names and RunRoot/containers:
//
//	Root/names/<name>                   the ID of the container that has this name
//	Root/containers/<ID>/config.json    Record: what was asked for; durable
//	Root/containers/<ID>/state.json     State: what became of it; lost at worst in a power cut
//	Root/containers/<ID>/monitor.lock   flock(2): who holds it may write to this directory
//	Root/containers/<ID>/<ID>-json.log  what the container wrote
//	RunRoot/containers/<ID>/            sockets, bundle: gone after a reboot, never precious
//
// A live container has one writer, its monitor, which holds monitor.lock for
// life: a free lock means that there is no monitor, so no process, whatever
// state.json says. A dead container is edited by whoever takes the lock. Reading
// needs no lock, because every file is replaced in one step.
//
// A kill -9 leaves at most: a name nobody has (creating takes the name first,
// with the file locked while it goes on), a directory containers/new-<ID> (it is
// built there, then renamed) or containers/removing-<ID> (removal begins with
// that rename), a .tmp-* file in a container's directory. None of these is a
// container to any verb; a dead claim never blocks its name; Sweep and Check
// remove them all.
package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	api "github.com/moby/moby/api/types/container"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
)

// Record is what was settled when the container was created. It is rewritten
// (rename, update) only under the container's lock.
type Record struct {
	ID      string // 64 hex digits
	Name    string // without Docker's leading slash
	Created time.Time
	Image   string // the image's ID, sha256:...; its name is Config.Image
	// Layers are the directories the root file system is made of, the top one
	// first, relative to Root ("layers/<24 hex>/fs"): starting needs no image store.
	Layers     []string
	Path       string // the command, with Args: entrypoint and cmd already joined
	Args       []string
	Config     *api.Config
	HostConfig *api.HostConfig
	Mounts     []api.MountPoint `json:",omitempty"` // resolved: absolute sources and destinations
	Platform   string           // linux
	Driver     string           // overlay2, as inspect names it
}

// State is what became of the container. Its zero value is not a state: a
// container begins as created.
type State struct {
	Status        api.ContainerState
	Pid           int    // of the container's first process, as the host sees it; 0 unless it runs
	BootID        string // of the boot in which it was last started, see BootID
	ExitCode      int
	OOMKilled     bool
	Error         string // why the last start did not succeed
	StartedAt     time.Time
	FinishedAt    time.Time
	StopRequested bool // a verb asked for the end, so no policy starts it again
	RestartCount  int
}

// Store finds the records of one Root. It holds no state: any number of
// processes may use the same root.
type Store struct{ root, runRoot string }

// Open returns the store of root and runRoot. Directories are made when needed.
func Open(root, runRoot string) *Store { return &Store{root, runRoot} }

func (s *Store) containers() string { return filepath.Join(s.root, "containers") }
func (s *Store) names() string      { return filepath.Join(s.root, "names") }

// Dir is the container's own directory.
func (s *Store) Dir(id string) string { return filepath.Join(s.containers(), id) }

// RunDir is the container's directory for what a reboot may take.
func (s *Store) RunDir(id string) string { return filepath.Join(s.runRoot, "containers", id) }

// ConfigPath is the file that holds the Record.
func (s *Store) ConfigPath(id string) string { return filepath.Join(s.Dir(id), configFile) }

// StatePath is the file that holds the State.
func (s *Store) StatePath(id string) string { return filepath.Join(s.Dir(id), stateFile) }

// LockPath is the file the container's monitor holds locked.
func (s *Store) LockPath(id string) string { return filepath.Join(s.Dir(id), lockFile) }

// LogPath is the file the container's output is logged to, named as Docker names it.
func (s *Store) LogPath(id string) string { return filepath.Join(s.Dir(id), id+"-json.log") }

const (
	configFile = "config.json"
	stateFile  = "state.json"
	lockFile   = "monitor.lock"

	making   = "new-"      // containers/new-<ID>: not yet a container
	removing = "removing-" // containers/removing-<ID>: no longer one
)

// Lock waits until this process may write to the container. Its monitor never
// gives the lock up: take it only after TryLock has told there is none, or in
// the monitor's own start. An unknown ID is a NotFoundError.
func (s *Store) Lock(id string) (*disk.Lock, error) {
	lock, err := disk.Acquire(s.LockPath(id), disk.Exclusive)
	return lock, absent(id, err)
}

// TryLock is Lock that does not wait: disk.ErrLocked says the container has a
// live monitor, or another verb is at work on it.
func (s *Store) TryLock(id string) (*disk.Lock, error) {
	for attempt := 0; ; attempt++ {
		lock, err := disk.TryAcquire(s.LockPath(id), disk.Exclusive)
		// Alive holds the lock for some microseconds, which is not to be taken for a monitor.
		if attempt < 3 && errors.Is(err, disk.ErrLocked) {
			time.Sleep(time.Millisecond)
			continue
		}
		return lock, absent(id, err)
	}
}

// Alive tells whether somebody holds the container's lock: its monitor, or for
// a moment a verb. Any number of processes may ask at once without taking each
// other for a monitor. A container without a directory is not alive.
func (s *Store) Alive(id string) (bool, error) {
	alive, err := locked(s.LockPath(id))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return alive, err
}

// locked tells whether somebody holds the lock on a file, which it does not make.
func locked(path string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return true, nil
	}
	return false, err
}

// absent turns "no such file" about a container's directory into NotFoundError.
func absent(id string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &NotFoundError{id}
	}
	return err
}

// Record reads what the container was created with. An unknown ID is a
// NotFoundError, a damaged record is not.
func (s *Store) Record(id string) (*Record, error) {
	r := new(Record)
	if err := disk.ReadJSON(s.ConfigPath(id), r); err != nil {
		if errors.Is(err, os.ErrNotExist) && exists(s.Dir(id)) {
			return nil, fmt.Errorf("container %s: damaged record: it has no %s", id, configFile)
		}
		return nil, absent(id, err)
	}
	if r.ID != id || r.Config == nil || r.HostConfig == nil {
		return nil, fmt.Errorf("read %s: damaged record: it does not describe this container", s.ConfigPath(id))
	}
	return r, nil
}

// SaveRecord replaces the record. The caller holds the container's lock.
func (s *Store) SaveRecord(r *Record) error {
	return absent(r.ID, disk.WriteJSON(s.ConfigPath(r.ID), r, r.durability()))
}

// durability: what is removed when it exits need not survive a power cut, and
// is spared the milliseconds of fsync(2).
func (r *Record) durability() disk.Durability {
	if r.HostConfig.AutoRemove {
		return disk.Volatile
	}
	return disk.Durable
}

// State reads what became of the container. That it says running does not make
// it so: see TryLock.
//
// state.json is not synced, so after a power cut some file systems show it empty
// or full of zeros (xfs(5), delayed allocation). That reads as exited with 255,
// as Docker tells it; any other damage is an error.
func (s *Store) State(id string) (*State, error) {
	data, err := os.ReadFile(s.StatePath(id))
	if errors.Is(err, os.ErrNotExist) && exists(s.ConfigPath(id)) {
		err = nil
	}
	if err != nil {
		return nil, absent(id, err)
	}
	if len(bytes.Trim(data, "\x00")) == 0 {
		return &State{Status: api.StateExited, ExitCode: 255, Error: "its state was lost when the machine went down"}, nil
	}
	state := new(State)
	if err := json.Unmarshal(data, state); err != nil {
		return nil, fmt.Errorf("read %s: damaged record: %w", s.StatePath(id), err)
	}
	return state, nil
}

// SaveState replaces the state. The caller holds the container's lock.
func (s *Store) SaveState(id string, state *State) error {
	err := disk.WriteJSON(s.StatePath(id), state, disk.Volatile)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return disk.OverwriteJSON(s.StatePath(id), state)
	}
	return absent(id, err)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// BootID identifies the running boot of this machine (proc_sys_kernel(5),
// random/boot_id): a process recorded under another one is gone.
func BootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("identify this boot: %w", err)
	}
	return string(bytes.TrimSpace(data)), nil
}
