// Stage 3 runs a command in namespaces of its own, with a directory as its root and
// in a cgroup that limits what it may use.
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
	"syscall"

	"minidocker/mydocker/cgroup"
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
	Limits   specs.LinuxResources
	Command  []string
}

// namespaces are what the container does not share with the host. The cgroup
// namespace is not made by the clone, see initialize.
var namespaces = []specs.LinuxNamespace{
	{Type: specs.UTSNamespace}, {Type: specs.PIDNamespace}, {Type: specs.MountNamespace},
	{Type: specs.IPCNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.CgroupNamespace},
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
	o.Limits.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit} // Swap is both together: no swap
	return nil
}

func (o *options) limitCPU(value string) error {
	const period = 100000 // microseconds
	cpus, err := strconv.ParseFloat(value, 64)
	if err != nil || !(cpus >= 0.01) || cpus > 10000 { // the kernel wants a quota of a millisecond
		return errors.New("not a number of processors such as 0.5")
	}
	quota, length := int64(cpus*period), uint64(period)
	o.Limits.CPU = &specs.LinuxCPU{Quota: &quota, Period: &length}
	return nil
}

func (o *options) limitPids(value string) error {
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil || number < 1 {
		return errors.New("not a number of processes")
	}
	o.Limits.Pids = &specs.LinuxPids{Limit: &number}
	return nil
}

// run starts the command in a container, waits for it and gives its exit status.
func run(o options) (int, error) {
	// The kernel kills init when the thread that cloned it ends: so it must not end before we do.
	runtime.LockOSThread()
	signals := catchSignals() // before the container is there: none of them may end us and leave it
	group, err := cgroup.Open("/" + program + "-" + newID())
	if err != nil {
		return 125, err
	}
	// All limits but the one on processes: init, a Go program, needs five threads.
	if err := group.Create(&o.Limits); err != nil {
		return 125, errors.Join(err, group.Delete())
	}
	status, err := runIn(group, o, signals)
	return status, errors.Join(err, group.Delete())
}

// runIn runs the command in a cgroup that has its limits.
func runIn(group cgroup.Group, o options, signals chan os.Signal) (int, error) {
	init, socket, err := start(group)
	if err != nil {
		return 125, err
	}
	// Init knows nothing yet, and waits at the other end of the socket; when it is ready, once more.
	err = json.NewEncoder(socket).Encode(o)
	if err == nil {
		if n, _ := socket.Read(make([]byte, 1)); n == 1 { // 0: it has failed, and says why itself
			err = group.LimitPids(&o.Limits)
		}
	}
	if err == nil {
		socket.Write([]byte{1}) // go on
	} else {
		init.Process.Kill()
	}
	go passOn(signals, socket, init.Process)
	init.Wait() // its error says no more than the status
	return exitStatus(init.ProcessState), err
}

// start clones init into its namespaces and the cgroup. The socket is to tell it what to do.
func start(group cgroup.Group) (init *exec.Cmd, socket *os.File, err error) {
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
	// Born in the cgroup: what joins later has forked and allocated outside of it.
	leave, err := group.Enter(init.SysProcAttr)
	if err != nil {
		return nil, nil, err
	}
	trace.Step("clone", "init, flags %s", namespace.Names(flags))
	if err := errors.Join(init.Start(), leave()); err != nil {
		return nil, nil, fmt.Errorf("clone init: %w", err)
	}
	return init, socket, nil
}

// initialize is init: process 1 of the new namespaces, still the engine's program.
// It comes back only with an error.
func initialize() (int, error) {
	runtime.LockOSThread()                                 // unshare is for a thread: this one executes the command
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // the command gets no descriptor but 0, 1 and 2
	socket := os.NewFile(3, "engine")
	var o options
	if err := json.NewDecoder(socket).Decode(&o); err != nil {
		return 125, fmt.Errorf("init: read options: %w", err)
	}
	// The root of a cgroup namespace is the cgroup that its maker is in: this one, which
	// we were in from birth. A namespace made by the clone could be the engine's.
	trace.Step("unshare", "CLONE_NEWCGROUP")
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return 125, fmt.Errorf("unshare cgroup namespace: %w", err)
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
