// The starter of lab 3: an engine that runs a command in namespaces of its own, with
// a directory as its root, and takes limits. What it does about them is yours to write,
// in cgroup.go.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// program is what messages begin with: step3, if that is what it was built as.
var program = filepath.Base(os.Args[0])

// namespaces are what the container does not share with the host. The cgroup
// namespace is not made by the clone, see unshareCgroup.
var namespaces = []specs.LinuxNamespace{
	{Type: specs.UTSNamespace}, {Type: specs.PIDNamespace}, {Type: specs.MountNamespace},
	{Type: specs.IPCNamespace}, {Type: specs.NetworkNamespace},
}

// mounts are the file systems of the kernel that programs expect, in this order.
var mounts = []specs.Mount{
	{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
	{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
	{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
	{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
	{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
}

// main is two programs: the engine, and inside the container init, which becomes
// the command. The engine starts init by executing itself.
func main() {
	if len(os.Args) == 3 && os.Args[1] == "init" {
		program = os.Args[2]
		trace.Inherit("init")
		status, err := initialize()
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
		os.Exit(status)
	}
	o, err := parse(os.Args[1:])
	status := 125 // Docker's for an error of the engine itself
	if err == nil {
		fmt.Fprintf(os.Stderr, "%s: for learning: no security boundary\n", program)
		status, err = run(o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	}
	os.Exit(status)
}

// run starts the command in a container, waits for it and gives its exit status.
func run(o options) (int, error) {
	// The kernel kills init when the thread that cloned it ends: so it must not end before we do.
	runtime.LockOSThread()
	signals := catchSignals() // before the container is there: none of them may end us and leave it
	group := findGroup(program + "-" + newID())
	err := makeGroup(group)
	if err == nil {
		err = limitGroup(group, o.Limits)
	}
	if err != nil {
		return 125, errors.Join(err, removeGroup(group))
	}
	status, err := runIn(group, o, signals)
	return status, errors.Join(err, removeGroup(group))
}

// runIn runs the command in a cgroup that has its limits.
func runIn(group group, o options, signals chan os.Signal) (int, error) {
	init, socket, err := start()
	if err != nil {
		return 125, err
	}
	// Init knows nothing yet, and waits at the other end of the socket: so it is in its
	// cgroup before it does anything. When it is ready it waits once more.
	err = joinGroup(group, init.Process.Pid)
	if err == nil {
		err = json.NewEncoder(socket).Encode(o)
	}
	if err == nil {
		if n, _ := socket.Read(make([]byte, 1)); n == 1 { // 0: it has failed, and says why itself
			err = limitPids(group, o.Limits)
		}
	}
	if err == nil {
		socket.Write([]byte{1}) // go on
	} else {
		init.Process.Kill()
	}
	go passOn(signals, socket, init.Process)
	init.Wait() // its error says no more than the status
	if err != nil {
		return 125, err
	}
	return exitStatus(init.ProcessState), nil
}

// start clones init into its namespaces. The socket is to tell it what to do.
func start() (init *exec.Cmd, socket *os.File, err error) {
	flags, err := namespace.CloneFlags(namespaces)
	if err != nil {
		return nil, nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	socket, inner := os.NewFile(uintptr(pair[0]), "init"), os.NewFile(uintptr(pair[1]), "engine")
	defer inner.Close()
	init = exec.Command("/proc/self/exe", "init", program)
	init.Stdin, init.Stdout, init.Stderr = os.Stdin, os.Stdout, os.Stderr
	init.ExtraFiles = []*os.File{inner} // descriptor 3 over there
	init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if file, _ := trace.Output(); file != nil {
		init.Env = append(os.Environ(), trace.Variable(2))
	}
	trace.Step("clone", "init, flags %s", namespace.Names(flags))
	if err := init.Start(); err != nil {
		return nil, nil, fmt.Errorf("clone init: %w", err)
	}
	return init, socket, nil
}

// initialize is init: process 1 of the new namespaces, still the engine's program.
// It comes back only with an error.
func initialize() (int, error) {
	runtime.LockOSThread()                                 // unshare(2) of a cgroup namespace is for one thread, and this one is to become the command
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // the command gets no descriptor but 0, 1 and 2
	socket := os.NewFile(3, "engine")
	var o options
	if err := json.NewDecoder(socket).Decode(&o); err != nil {
		return 125, fmt.Errorf("init: read options: %w", err)
	}
	if err := unshareCgroup(); err != nil { // not by the clone: then we were in the engine's cgroup
		return 125, err
	}
	trace.Step("sethostname", "%s", o.Hostname)
	if err := unix.Sethostname([]byte(o.Hostname)); err != nil {
		return 125, fmt.Errorf("set host name %q: %w", o.Hostname, err)
	}
	if err := enterRoot(o); err != nil {
		return 125, err
	}
	socket.Write([]byte{1}) // ready
	socket.Read([]byte{0})  // the engine has set the last limit
	return execute(o)
}

// enterRoot makes the directory the root of this mount namespace, with what belongs
// into it, and lets go of the host's.
func enterRoot(o options) error {
	if err := rootfs.Isolate("rprivate"); err != nil { // before the first mount, see chapter 1
		return err
	}
	root, err := rootfs.Attach(nil, o.Rootfs, "/")
	if err != nil {
		return err
	}
	defer root.Close()
	if err := rootfs.MountAll(root, mounts, make([]*rootfs.Source, len(mounts)), nil); err != nil {
		return err
	}
	if err := rootfs.MakeDevices(root, rootfs.DefaultDevices()); err != nil {
		return err
	}
	if err := rootfs.MakeLinks(root); err != nil {
		return err
	}
	if err := rootfs.Pivot(root); err != nil {
		return err
	}
	return rootfs.Seal(root, o.ReadOnly, "rprivate")
}

// execute makes this process the command. What the caller has in its environment
// is nothing for a container to know.
func execute(o options) (int, error) {
	os.Clearenv()
	os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	os.Setenv("HOSTNAME", o.Hostname)
	os.Setenv("HOME", "/root")
	path, err := exec.LookPath(o.Command[0])
	if err == nil {
		trace.Step("execve", "%s %q", path, o.Command)
		err = syscall.Exec(path, o.Command, os.Environ())
	}
	return startStatus(err), fmt.Errorf("execute %s: %w", o.Command[0], err)
}

func catchSignals() chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	return signals
}

// passOn sends what arrives to the command, once init has become that and so has closed
// its end of the socket: Go's own handler would end init.
func passOn(signals chan os.Signal, socket *os.File, process *os.Process) {
	io.Copy(io.Discard, socket)
	for s := range signals {
		process.Signal(s)
	}
}

// exitStatus is the command's, or as in a shell 128 and the number of the signal
// that killed it.
func exitStatus(state *os.ProcessState) int {
	if ended := state.Sys().(syscall.WaitStatus); ended.Signaled() {
		return 128 + int(ended.Signal())
	}
	return state.ExitCode()
}

// startStatus is the exit status for a command that could not be started, as
// Docker and the shell have it.
func startStatus(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return 127
	}
	return 126
}

// newID is the container's name until it has a better one: 12 hexadecimal digits.
func newID() string {
	random := make([]byte, 6)
	rand.Read(random)
	return hex.EncodeToString(random)
}
