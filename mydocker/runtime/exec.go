package runtime

import (
	"fmt"
	"os"
	"path/filepath"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Exec makes another process in the container of bundle whose first process is
// pid: in all its namespaces, its cgroup and under its seccomp profile. It stops
// before the command is executed, until Start.
func Exec(bundle string, pid int, process *specs.Process, group cgroup.Group, o Options) (*Process, error) {
	var spec specs.Spec
	if err := readConfig(filepath.Join(bundle, "config.json"), &spec); err != nil {
		return nil, err
	}
	roomy := hasRoom(group)
	p, err := spawnExec(&spec, pid, process, group, roomy, o)
	if err != nil {
		return nil, err
	}
	if err := p.prepareExec(process, group, !roomy); err != nil {
		p.Abandon()
		return nil, p.explain(err)
	}
	return p, nil
}

// hasRoom tells whether init, a Go program with several threads, can run below
// the group's pids.max. If not it has to start outside and be moved in over the
// limit, which costs milliseconds: the kernel's lock for it waits for an RCU
// grace period, where a birth in the group takes none.
func hasRoom(group cgroup.Group) bool {
	stats, err := group.Stats()
	return err == nil && (stats.PidsLimit == 0 || stats.Pids+16 <= stats.PidsLimit)
}

func spawnExec(spec *specs.Spec, pid int, process *specs.Process, group cgroup.Group, inGroup bool, o Options) (*Process, error) {
	l, err := newLaunch(payload{Process: process}, spec.Linux.Seccomp)
	if err != nil {
		return nil, err
	}
	defer l.close()
	child := namespace.Child{Program: l.program, Args: []string{"mydocker", "init", "exec"}, Env: l.env, Files: l.files(o.Stdio, nil, nil)}
	if inGroup {
		child.Enter = group.Enter
	}
	pid, err = namespace.Spawn(pid, child)
	if err != nil {
		l.parent.file.Close()
		return nil, err
	}
	p := &Process{Pid: pid, sync: l.parent, exited: make(chan unix.WaitStatus, 1)}
	if p.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	go p.reap()
	return p, nil
}

// prepareExec waits until the process has its credentials. It is in the cgroup
// before the command's first instruction.
func (p *Process) prepareExec(process *specs.Process, group cgroup.Group, add bool) error {
	terminal, err := p.sync.expect(stageReady)
	if err != nil {
		return err
	}
	p.Terminal = terminal
	if err := adjustOOM(p.Pid, process.OOMScoreAdj); err != nil {
		return err
	}
	if add {
		if err := group.Add(p.Pid); err != nil {
			return fmt.Errorf("enter cgroup: %w", err)
		}
	}
	return nil
}

// initExec is init's part: the namespaces are joined already.
func initExec(sync channel, p *payload) error {
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("setsid: %w", err)
	}
	newSessionKeyring()
	var terminal, slave *os.File
	if p.Process.Terminal {
		root, err := os.OpenFile("/", unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		if terminal, slave, err = rootfs.OpenTerminal(root, int(p.Process.User.UID)); err != nil {
			return err
		}
		root.Close()
	}
	return finish(p, sync, terminal, slave, func() error {
		_, err := sync.expect(stageProceed)
		return err
	})
}
