// Package runtime makes a process of an OCI runtime specification: it clones
// init into new namespaces, meets it at its two stops, and starts it. exec is
// the same for a container that runs already.
//
// On the host it owns the fifo in the state directory, and while a container
// lives, its processes; its mounts are in the container's own mount namespace.
// A kill -9 of the parent leaves the fifo and, if the process was not asked to
// die with its parent, the process; whoever owns the container's cgroup finds it there.
package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Options hold what a specification cannot.
type Options struct {
	// Stdio become the process's descriptors 0, 1 and 2; a nil one is /dev/null.
	// Without meaning if the specification asks for a terminal. The caller closes them.
	Stdio [3]*os.File
	// Root is a detached mount to be put at the specification's root.path; nil: what is there is used.
	Root *os.File
	// Given are detached mounts that stand for the sources of bind mounts, by their destinations. The caller closes them.
	Given map[string]*os.File
	// PreserveFDs become the process's descriptors from 3 on. The caller closes them.
	PreserveFDs []*os.File
	// DieWithParent kills the process when the creating process ends.
	DieWithParent bool
	// Orphan leaves the process's exit status to whom it falls to when this process has
	// ended: to reap it here, even in the last moment, would take it away from a subreaper
	// that waits for it.
	Orphan bool
	// Connect is called at init's first stop, with init's pid: its namespaces
	// exist, nothing is mounted yet. nil: nothing to do.
	Connect func(pid int) error
	// State is what hooks and a seccomp agent are told of the container: its id,
	// bundle and annotations. Status and pid are filled in.
	State specs.State
	// NoPivot moves the root into place without pivot_root(2), for a host whose
	// root is a ramfs. Less is kept out of the container.
	NoPivot bool
	// NoNewKeyring leaves the process in the caller's session keyring.
	NoNewKeyring bool
}

// JoinedShm stands for the source of a bind mount in Options.Given: a mount of
// another container, which has no path.
const JoinedShm = "joined-shm"

// Process is a container's first process, or one exec'd beside it.
type Process struct {
	Pid      int
	Terminal *os.File // the master of its terminal; nil without one. The caller closes it.

	fifo   string // "" for an exec
	filter []byte // of a first process: what an exec gets too
	flags  []specs.LinuxSeccompFlag
	sync   channel
	pidfd  int
	exited chan unix.WaitStatus // nil: another's to wait for
}

// Load reads a bundle's config.json (OCI runtime specification, bundle.md). The
// path of its root becomes absolute, as do the sources of bind mounts.
func Load(bundle string) (*specs.Spec, error) {
	path := filepath.Join(bundle, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("read bundle %s: %w", path, err)
	}
	if spec.Root != nil && spec.Root.Path != "" && !filepath.IsAbs(spec.Root.Path) {
		spec.Root.Path = filepath.Join(bundle, spec.Root.Path)
	}
	for i := range spec.Mounts {
		if m := &spec.Mounts[i]; rootfs.IsBind(*m) && !filepath.IsAbs(m.Source) {
			m.Source = filepath.Join(bundle, m.Source)
		}
	}
	return &spec, nil
}

// Create makes the process that spec describes and takes it to its second stop:
// all is in place, and the command waits in exec.fifo, which is made in the state
// directory, for Start. The cgroup exists, with its limits. When the process has ended,
// Release takes away what may be left.
func Create(spec *specs.Spec, state string, group cgroup.Group, o Options) (_ *Process, err error) {
	if err := Validate(spec, o.Root != nil); err != nil {
		return nil, err
	}
	user, opened, err := openOutside(spec, &o)
	defer closeAll(opened)
	if err != nil {
		return nil, err
	}
	if inHostMounts(spec) {
		if o.Root, err = mountOnHost(spec, state); err != nil {
			return nil, err
		}
		defer o.Root.Close()
		defer func() {
			if err != nil {
				Release(state)
			}
		}()
	}
	p, err := create(spec, state, group, o, user)
	if err != nil {
		return nil, err
	}
	if err = p.prepare(spec, group, o); err != nil {
		if p.DoneWithin(20) { // by itself: Abandon kills it
			err = p.explain(err)
		}
		p.Abandon()
		return nil, err
	}
	return p, nil
}

// create clones init.
func create(spec *specs.Spec, state string, group cgroup.Group, o Options, user *os.File) (*Process, error) {
	fifo, fifoFile, err := makeFifo(state)
	if err != nil {
		return nil, err
	}
	defer fifoFile.Close()
	l, err := newLaunch(payload{Spec: spec, Process: spec.Process, HasRoot: o.Root != nil, Given: slices.Sorted(maps.Keys(o.Given)), DieWithParent: o.DieWithParent, State: o.State, NoPivot: o.NoPivot, NoNewKeyring: o.NoNewKeyring, Preserved: len(o.PreserveFDs)}, spec.Linux.Seccomp)
	if err != nil {
		os.Remove(fifo)
		return nil, err
	}
	defer l.close()
	p := &Process{fifo: fifo, filter: l.filter, flags: l.flags, sync: l.parent}
	if !o.Orphan {
		p.exited = make(chan unix.WaitStatus, 1)
	}
	if err := p.clone(spec, group, l, append(l.files(o.Stdio, fifoFile, o.Root, o.Given), o.PreserveFDs...), user); err != nil {
		l.parent.file.Close()
		os.Remove(fifo)
		return nil, err
	}
	return p, nil
}

// clone starts init. The thread that clones waits for it too: when that thread
// ended, a PDEATHSIG would fire.
func (p *Process) clone(spec *specs.Spec, group cgroup.Group, l *launch, files []*os.File, user *os.File) error {
	started := make(chan error)
	go namespace.OnThread(func() error {
		err := p.cloneHere(spec, group, l, files, user)
		started <- err
		if err == nil && p.exited != nil {
			p.reap()
		}
		return nil
	})
	return <-started
}

// cloneHere starts init from a thread that is given up afterwards: it may have
// joined namespaces.
func (p *Process) cloneHere(spec *specs.Spec, group cgroup.Group, l *launch, files []*os.File, user *os.File) error {
	if user != nil || namespace.Find(spec.Linux.Namespaces, specs.TimeNamespace) != nil {
		return p.cloneInside(spec, group, l, files, user)
	}
	flags, err := namespace.CloneFlags(spec.Linux.Namespaces)
	if err != nil {
		return err
	}
	if err := namespace.Enter(spec.Linux.Namespaces); err != nil {
		return err
	}
	attr := &syscall.SysProcAttr{Cloneflags: flags, PidFD: &p.pidfd}
	leave, err := group.Enter(attr)
	if err != nil {
		return fmt.Errorf("enter cgroup: %w", err)
	}
	fds := make([]uintptr, len(files))
	for i, file := range files {
		fds[i] = file.Fd()
	}
	trace.Step("clone", "init, flags %s", namespace.Names(flags))
	// By descriptor: the file has no path. It is one of init's own descriptors,
	// because those are put in place before it executes, over whatever had their numbers.
	p.Pid, err = syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(programFD), []string{"mydocker", "init"},
		&syscall.ProcAttr{Env: l.env, Files: fds, Sys: attr})
	if err != nil {
		err = fmt.Errorf("clone init: %w", err)
	}
	return errors.Join(err, leave())
}

func makeFifo(state string) (path string, file *os.File, err error) {
	path = filepath.Join(state, "exec.fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return "", nil, fmt.Errorf("make %s: %w", path, err)
	}
	// Init opens it when it is the container's user already. (mkfifo obeys the umask.)
	if err := os.Chmod(path, 0o622); err != nil {
		return "", nil, err
	}
	file, err = os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	return path, file, err
}

// prepare takes init from its first stop to its second.
func (p *Process) prepare(spec *specs.Spec, group cgroup.Group, o Options) error {
	if _, _, err := p.sync.expect(stageNamespaces); err != nil {
		return err
	}
	if err := adjustOOM(p.Pid, spec.Process.OOMScoreAdj); err != nil {
		return err
	}
	if o.Connect != nil {
		if err := o.Connect(p.Pid); err != nil {
			return err
		}
	}
	if err := p.actOutside(spec, o); err != nil {
		return err
	}
	if err := p.sync.send(message{Stage: stageProceed}, nil); err != nil {
		return fmt.Errorf("tell init to proceed: %w", err)
	}
	if err := p.serve(spec, o); err != nil {
		return err
	}
	if err := p.limitOutside(spec); err != nil {
		return err
	}
	// Not sooner: init is a Go program, and with pids.max 4 it would not have started.
	if err := group.LimitPids(spec.Linux.Resources); err != nil {
		return fmt.Errorf("limit pids: %w", err)
	}
	return nil
}

// serve does what init asks for on its way, until it is ready.
func (p *Process) serve(spec *specs.Spec, o Options) error {
	for {
		at, terminal, err := p.sync.expect(stageReady, stageMounted, stageSeccomp)
		switch {
		case err != nil:
			return err
		case at == stageReady:
			p.Terminal = terminal
			return nil
		case at == stageMounted:
			err = runtimeHooks(spec.Hooks, o.State, p.Pid)
		case at == stageSeccomp:
			state := o.State
			state.Status, state.Pid = specs.StateCreating, p.Pid
			err = passListener(p.Pid, spec.Linux.Seccomp, state)
		}
		if err != nil {
			return err
		}
		if err := p.sync.send(message{Stage: stageProceed}, nil); err != nil {
			return fmt.Errorf("tell init to proceed: %w", err)
		}
	}
}

// adjustOOM is done from outside, where no path belongs to the container.
func adjustOOM(pid int, score *int) error {
	if score == nil {
		return nil
	}
	path := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
	if err := os.WriteFile(path, []byte(strconv.Itoa(*score)), 0); err != nil {
		return fmt.Errorf("set oom_score_adj %d: %w", *score, err)
	}
	return nil
}
