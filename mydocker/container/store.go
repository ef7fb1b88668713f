// Package container is the record of a container on disk: its configuration,
// its state, its name, and its removal.
//
// On the host it owns Root/containers, Root/names and RunRoot/containers:
//
//	Root/containers/<ID>/config.json    Record: what was asked for; durable
//	Root/containers/<ID>/state.json     State: what became of it; lost at worst in a power cut
//	Root/containers/<ID>/monitor.lock   flock(2): who holds it may write to this directory
//	Root/containers/<ID>/<ID>-json.log  what the container wrote
//	Root/containers/<ID>/remove-volumes while it is removed: its anonymous volumes go too
//	Root/names/<name>                   a hard link to monitor.lock, which holds the ID
//	RunRoot/containers/<ID>/            sockets, bundle: gone after a reboot, never precious
//	/run/mydocker-host/ids/             leases of ranges of user IDs, see security.Ranges
//
// The lock tells who lives, from the first moment to the last: a creator holds it
// in containers/new-<ID>, where it builds before it renames; the monitor as long
// as it runs, so a free lock means that there is no process, whatever state.json
// says; a remover in containers/removing-<ID>, with which removal begins. The name
// is the same file, so it is locked with it. A dead container is edited by whoever
// takes the lock. Reading needs none: every file is replaced in one step.
//
// A kill -9 leaves at most a new-<ID>, a removing-<ID>, a name without container or
// a second one of the same, a .tmp-* file. None of these is a container to any verb, nor blocks its name;
// Sweep and Check remove them.
package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	netapi "github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/disk"
	"minidocker/mydocker/network"
	"minidocker/mydocker/security"
	"minidocker/mydocker/volume"
)

// Record is what was settled when the container was created.
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
	// Inherited are the mounts that HostConfig does not settle: volumes, by their names, and
	// those of other containers, --volumes-from.
	Inherited []mount.Mount `json:",omitempty"`
	// Networks are those the container is in when it runs, by name, with what was asked
	// for in each. None: it has a network namespace of its own without a way out, or
	// shares that of the host or another container, as HostConfig.NetworkMode says.
	Networks map[string]*netapi.EndpointSettings
	// UserNamespace is settled but for the range of an own one, which Create chooses.
	UserNamespace UserNamespace
	Platform      string // linux
	Driver        string // overlay2, as inspect names it
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
	StopRequested bool           // a verb asked for the end, so no policy starts it again
	RestartCount  int            // by the restart policy, since it was last started by hand
	Health        *api.Health    `json:",omitempty"` // what its health check found; nil: it has none
	Ports         netapi.PortMap `json:",omitempty"` // the host's ports that are published while it runs
}

// CgroupPath is the container's cgroup below the engine's, or below the one that
// --cgroup-parent names.
func (r *Record) CgroupPath(instance string) string {
	if parent := r.HostConfig.CgroupParent; parent != "" {
		instance = parent
	}
	return path.Join("/", instance, r.ID)
}

// Store finds the records of one Root. It holds no state: any number of
// processes may use the same root.
type Store struct {
	root, runRoot string
	networks      *network.Store
	// Volumes are what the containers' data is in.
	Volumes *volume.Store
	// VolumeRemoved is told of each volume that went with its container; nil: nobody is.
	VolumeRemoved func(name string)
	// IDPool is where containers get ranges of user IDs from; zero: see security.Ranges.
	IDPool security.IDRange
}

// Open returns the store of root and runRoot. Directories are made when needed. A
// container that is removed gives its addresses in networks back.
func Open(root, runRoot string, networks *network.Store) *Store {
	return &Store{root: root, runRoot: runRoot, networks: networks, Volumes: volume.Open(root)}
}

func (s *Store) containers() string          { return filepath.Join(s.root, "containers") }
func (s *Store) names() string               { return filepath.Join(s.root, "names") }
func (s *Store) namePath(name string) string { return filepath.Join(s.names(), name) }
func (s *Store) file(id, name string) string { return filepath.Join(s.Dir(id), name) }

// Dir is the container's own directory.
func (s *Store) Dir(id string) string { return filepath.Join(s.containers(), id) }

// RunDir is the container's directory for what a reboot may take.
func (s *Store) RunDir(id string) string { return filepath.Join(s.runRoot, "containers", id) }

// LockPath is the file the container's monitor holds locked.
func (s *Store) LockPath(id string) string { return s.file(id, lockFile) }

// LogPath is the file the container's output is logged to, named as Docker names it.
func (s *Store) LogPath(id string) string { return s.file(id, id+"-json.log") }

const (
	configFile = "config.json"
	stateFile  = "state.json"
	lockFile   = "monitor.lock"
	dropFile   = "remove-volumes" // is there: the anonymous volumes go with the container

	making   = "new-"      // containers/new-<ID>: not yet a container
	removing = "removing-" // containers/removing-<ID>: no longer one
)

// TryLock takes the container's lock if nobody has it: whoever holds it may write to the
// container. disk.ErrLocked says there is a live monitor, or another verb is at
// work; an unknown ID is a NotFoundError.
func (s *Store) TryLock(id string) (lock *disk.Lock, err error) {
	for range 4 { // Alive has the lock for some microseconds, which is not to be taken for a monitor
		if lock, err = disk.TryAcquire(s.LockPath(id), disk.Exclusive); !errors.Is(err, disk.ErrLocked) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return lock, absent(id, err)
}

// Alive tells whether somebody holds the container's lock: its monitor, or for
// a moment a verb. Any number of processes may ask at once without taking each
// other for a monitor. A container without a directory is not alive.
func (s *Store) Alive(id string) (bool, error) {
	lock, err := disk.TryAcquire(s.LockPath(id), disk.Shared|disk.Existing)
	switch {
	case err == nil:
		return false, lock.Release()
	case errors.Is(err, disk.ErrLocked):
		return true, nil
	case errors.Is(err, os.ErrNotExist):
		return false, nil
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
	err := disk.ReadJSON(s.file(id, configFile), r)
	if errors.Is(err, os.ErrNotExist) && !exists(s.Dir(id)) {
		return nil, &NotFoundError{id}
	}
	if err == nil && (r.ID != id || r.Config == nil || r.HostConfig == nil) {
		err = errors.New("damaged record: it does not describe this container")
	}
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", id, err)
	}
	return r, nil
}

// durability: what is removed when it exits need not survive a power cut, and
// is spared the milliseconds of fsync(2).
func (r *Record) durability() disk.Durability {
	if r.HostConfig.AutoRemove {
		return disk.Volatile
	}
	return disk.Durable
}

// SaveRecord replaces the record. The caller holds the container's lock.
func (s *Store) SaveRecord(r *Record) error {
	return disk.WriteJSON(s.file(r.ID, configFile), r, r.durability())
}

// State reads what became of the container. That it says running does not make
// it so: see TryLock.
//
// state.json is not synced, so after a power cut some file systems show it empty
// or full of zeros (xfs(5), delayed allocation). That reads as exited with 255,
// as Docker tells it; any other damage is an error.
func (s *Store) State(id string) (*State, error) {
	data, err := os.ReadFile(s.file(id, stateFile))
	if err != nil && !(errors.Is(err, os.ErrNotExist) && exists(s.file(id, configFile))) {
		return nil, absent(id, err)
	}
	if len(bytes.Trim(data, "\x00")) == 0 {
		return &State{Status: api.StateExited, ExitCode: 255, Error: "its state was lost when the machine went down"}, nil
	}
	state := new(State)
	if err := json.Unmarshal(data, state); err != nil {
		return nil, fmt.Errorf("read %s: damaged record: %w", s.file(id, stateFile), err)
	}
	return state, nil
}

// SaveState replaces the state. The caller holds the container's lock.
func (s *Store) SaveState(id string, state *State) error {
	err := disk.WriteJSON(s.file(id, stateFile), state, disk.Volatile)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return disk.OverwriteJSON(s.file(id, stateFile), state)
	}
	return absent(id, err)
}

// exists: what cannot be looked at is not taken for absent.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// BootID identifies the running boot of this machine (proc_sys_kernel(5),
// random/boot_id): a process recorded under another one is gone.
func BootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(data)), err
}
