// The starter of lab 3: an engine that runs a command in namespaces of its own, with
// a directory as its root. It takes limits, and does nothing about them: the functions
// from makeGroup to unshareCgroup are yours to write. Chapter 3 has what they need, lab
// 3 checks them.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/trace"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// program is what messages begin with: step3, if that is what it was built as.
var program = filepath.Base(os.Args[0])

// options are what the command line says.
type options struct {
	Hostname string
	Rootfs   string // the directory that becomes /, absolute
	ReadOnly bool
	Limits   limits
	Command  []string
}

// limits are what the container may use; 0: as much as there is.
type limits struct {
	Memory int64   // bytes
	CPUs   float64 // processors: 0.5 is half of one
	Pids   int64   // processes and threads
}

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

// parse reads "[--debug] run [--hostname NAME] [--read-only] [--memory BYTES] [--cpus NUMBER]
// [--pids-limit NUMBER] --rootfs DIR COMMAND [ARGUMENT...]".
func parse(args []string) (o options, err error) {
	if len(args) > 0 && args[0] == "--debug" {
		trace.To(os.Stderr, "engine")
		args = args[1:]
	}
	if len(args) == 0 || args[0] != "run" {
		return o, fmt.Errorf("usage: %s [--debug] run [OPTIONS] COMMAND [ARGUMENT...]", program)
	}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error is enough
	flags.StringVar(&o.Hostname, "hostname", newID(), "host `name` of the container")
	flags.StringVar(&o.Rootfs, "rootfs", "", "`directory` that becomes /")
	flags.BoolVar(&o.ReadOnly, "read-only", false, "nothing can be written below /")
	flags.Func("memory", "`bytes` it may use, with k, m or g for more", o.limitMemory)
	flags.Func("cpus", "`number` of processors it may use, such as 0.5", o.limitCPU)
	flags.Func("pids-limit", "`number` of processes and threads it may have", o.limitPids)
	if err := flags.Parse(args[1:]); err != nil {
		return o, err
	}
	if o.Command = flags.Args(); len(o.Command) == 0 {
		return o, errors.New("run: no command")
	}
	if o.Rootfs == "" {
		return o, errors.New("run: --rootfs is missing: a directory with the container's files")
	}
	if o.Rootfs, err = filepath.Abs(o.Rootfs); err != nil {
		return o, err
	}
	if info, err := os.Stat(o.Rootfs); err != nil {
		return o, fmt.Errorf("run: --rootfs: %w", err)
	} else if !info.IsDir() {
		return o, fmt.Errorf("run: --rootfs %s: not a directory", o.Rootfs)
	}
	return o, nil
}

func (o *options) limitMemory(value string) error {
	limit, err := units.RAMInBytes(value)
	if err != nil || limit <= 0 {
		return errors.New("not a number of bytes such as 64m")
	}
	o.Limits.Memory = limit
	return nil
}

func (o *options) limitCPU(value string) error {
	cpus, err := strconv.ParseFloat(value, 64)
	if err != nil || !(cpus >= 0.01) || cpus > 10000 { // the kernel wants a quota of a millisecond
		return errors.New("not a number of processors such as 0.5")
	}
	o.Limits.CPUs = cpus
	return nil
}

func (o *options) limitPids(value string) error {
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < 1 {
		return errors.New("not a number of processes")
	}
	o.Limits.Pids = number
	return nil
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
	if err != nil {
		init.Process.Kill()
	}
	socket.Close()
	go passOn(signals, init.Process)
	init.Wait() // its error says no more than the status
	if err != nil {
		return 125, err
	}
	return exitStatus(init.ProcessState), nil
}

// group is the container's cgroup: its directories, by controller (memory, cpu, pids).
// On version 1 each controller has a tree of its own; on version 2 all three are the same.
type group struct {
	Version     int
	Directories map[string]string
}

// findGroup says where a cgroup of this name is on this host, or would be: nothing is
// made. A version 1 controller is looked for where Debian, Ubuntu and Fedora mount it.
func findGroup(name string) group {
	const top = "/sys/fs/cgroup"
	g := group{Version: 1, Directories: map[string]string{}}
	var fs unix.Statfs_t
	if unix.Statfs(top, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		g.Version = 2
	}
	for _, controller := range []string{"memory", "cpu", "pids"} {
		g.Directories[controller] = filepath.Join(top, controller, name)
		if g.Version == 2 {
			g.Directories[controller] = filepath.Join(top, name)
		}
	}
	return g
}

// makeGroup makes the group's directories (mkdir(2)): the kernel fills them with files.
// On version 2 the directory above must give its children the controllers first: if a
// name of "memory cpu pids" is missing in its cgroup.subtree_control, write "+memory",
// "+cpu", "+pids" there.
func makeGroup(g group) error {
	return notWritten("makeGroup")
}

// limitGroup sets the limits of memory and CPU time that are not 0, in the files
//
//	version 2: memory.max and memory.swap.max (0: no swap), cpu.max ("quota period")
//	version 1: memory.limit_in_bytes, then memory.memsw.limit_in_bytes (memory and swap
//	           together); cpu.cfs_period_us and cpu.cfs_quota_us
//
// where quota and period are microseconds: half a CPU is 50000 of 100000. A kernel that
// does not count swap has no file for it, and needs none.
func limitGroup(g group, l limits) error {
	return notWritten("limitGroup")
}

// limitPids sets the limit of processes and threads, if it is not 0: pids.max, in both
// versions. It is called last: init is a Go program of about five threads.
func limitPids(g group, l limits) error {
	return notWritten("limitPids")
}

// joinGroup puts the process pid into the group, on version 1 in each tree: a number
// written to cgroup.procs. What it forks from then on is born in there.
func joinGroup(g group, pid int) error {
	return notWritten("joinGroup")
}

// removeGroup removes the group's directories (rmdir(2), which takes the kernel's files
// with it). That one is not there is no error. EBUSY: a process of the container has
// not quite left yet; try again for a moment.
func removeGroup(g group) error {
	return notWritten("removeGroup")
}

// unshareCgroup gives init a cgroup namespace, whose root is the group it is in now.
func unshareCgroup() error {
	return notWritten("unshareCgroup")
}

// write writes value to one of the group's files, such as memory.max of the controller memory.
func (g group) write(controller, file, value string) error {
	path := filepath.Join(g.Directories[controller], file)
	trace.Step("write", "%s < %s", path, value)
	if err := os.WriteFile(path, []byte(strings.TrimSpace(value)), 0o644); err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}

// notWritten is the error of a function that is still to be written.
func notWritten(function string) error {
	return fmt.Errorf("%s: not written yet", function)
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
	socket.Write([]byte{1})     // ready
	io.Copy(io.Discard, socket) // until the engine has set the last limit, and closes its end
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

func passOn(signals chan os.Signal, process *os.Process) {
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
