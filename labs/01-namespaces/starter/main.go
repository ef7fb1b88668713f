// The starter of lab 1: an engine that runs a command in namespaces of its own. Here is
// what reads the command line and starts init; what makes the container is yours to
// write, in container.go.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// program is what messages begin with: step1, if that is what it was built as.
var program = filepath.Base(os.Args[0])

// options are what the command line says.
type options struct {
	Hostname string
	Command  []string
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

// parse reads "[--debug] run [--hostname NAME] COMMAND [ARGUMENT...]".
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
	if err := flags.Parse(args[1:]); err != nil {
		return o, err
	}
	if o.Command = flags.Args(); len(o.Command) == 0 {
		return o, errors.New("run: no command")
	}
	return o, nil
}

// run starts the command in a container, waits for it and gives its exit status.
func run(o options) (int, error) {
	// The kernel kills init when the thread that cloned it ends: so it must not end before we do.
	runtime.LockOSThread()
	signals := catchSignals() // before the container is there: none of them may end us and leave it
	init, socket, err := start()
	if err != nil {
		return 125, err
	}
	// Init knows nothing yet, and waits at the other end of the socket.
	if err := json.NewEncoder(socket).Encode(o); err != nil {
		return 125, fmt.Errorf("tell init what to do: %w", err)
	}
	go func() {
		io.Copy(io.Discard, socket) // init has become the command, and so closed its end: Go's own handler would end init
		passOn(signals, init.Process)
	}()
	init.Wait() // its error says no more than the status
	return exitStatus(init.ProcessState), nil
}

// start clones init into its namespaces. The socket is to tell it what to do.
func start() (init *exec.Cmd, socket *os.File, err error) {
	flags, err := cloneFlags()
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
	unix.CloseOnExec(3) // the engine passes signals on as soon as this end of the socket is closed
	if err := closeDescriptors(); err != nil {
		return 125, err
	}
	var o options
	if err := json.NewDecoder(os.NewFile(3, "engine")).Decode(&o); err != nil {
		return 125, fmt.Errorf("init: read options: %w", err)
	}
	if err := setName(o.Hostname); err != nil {
		return 125, fmt.Errorf("set host name %q: %w", o.Hostname, err)
	}
	if err := isolate(); err != nil {
		return 125, err
	}
	if err := mountProc(); err != nil {
		return 125, err
	}
	return execute(o)
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
		err = become(path, o.Command)
	}
	return startStatus(err), fmt.Errorf("execute %s: %w", o.Command[0], err)
}

func catchSignals() chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	return signals
}

// newID is the container's name until it has a better one: 12 hexadecimal digits.
func newID() string {
	random := make([]byte, 6)
	rand.Read(random)
	return hex.EncodeToString(random)
}
