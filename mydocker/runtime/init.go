package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"

	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/trace"

	"golang.org/x/sys/unix"
)

// Init is the program inside the container: main calls it when the first
// argument is "init", before anything else. It never returns.
func Init() {
	runtime.LockOSThread() // credentials belong to a thread; this one executes the command
	// Nothing of the host may stay open in the container (CVE-2024-21626), nor
	// may a process of the container look into this one.
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	trace.Inherit("init")
	sync := channel{os.NewFile(syncFD, "sync")}
	var p payload
	err := json.NewDecoder(os.NewFile(payloadFD, "payload")).Decode(&p)
	if err != nil {
		err = fmt.Errorf("read payload: %w", err)
	} else if sync, err = moveSync(sync, &p); err == nil {
		err = initContainer(sync, &p)
	}
	// Reached only if the command was not executed.
	code := 125
	var known *Error
	if errors.As(err, &known) {
		code = known.Code
	}
	if sync.send(message{Stage: stageError, Error: err.Error(), Code: code}, nil) != nil {
		fmt.Fprintln(os.Stderr, err) // the creator has gone, and another process has started the container
	}
	os.Exit(code)
}

// initContainer makes a container out of the namespaces it was born in, from
// top to bottom. What comes early needs the privileges or the view of the host
// that a later step takes away.
func initContainer(sync channel, p *payload) error {
	spec, linux := p.Spec.Spec, p.Spec.Linux

	// A session of its own: no terminal of the host is ours, no signal typed
	// there reaches us. A session keyring of its own, for the same reason.
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("setsid: %w", err)
	}
	if !p.NoNewKeyring {
		newSessionKeyring()
	}

	// Stop 1: the caller gives the network namespace its interfaces.
	if err := sync.ask(stageNamespaces); err != nil {
		return err
	}

	if err := setUpNamespaces(spec); err != nil {
		return err
	}

	// Cut off from the host before the first mount. What binds show is opened
	// in its turn: the host can still be seen.
	if !inHostMounts(spec) {
		if err := rootfs.Isolate(linux.RootfsPropagation); err != nil {
			return err
		}
	}
	given := map[string]*os.File{}
	for i, key := range p.Given {
		given[key] = os.NewFile(uintptr(givenFD+i), key)
	}
	sources, err := rootfs.GivenSources(spec.Mounts, func(i int) *os.File { return given[strconv.Itoa(i)] })
	if err != nil {
		return err
	}
	cover, err := rootfs.OpenCover()
	if err != nil {
		return err
	}
	root, err := attachRoot(p)
	if err != nil {
		return err
	}

	// The view: mounts in the specification's order, then what stands in /dev.
	if err := rootfs.MountAll(root, labelled(spec.Mounts, linux.MountLabel), sources, layer.Copy); err != nil {
		return err
	}
	if err := fillDev(root, spec, given[deviceNodes]); err != nil {
		return err
	}
	var terminal, slave *os.File
	if p.Process.Terminal {
		if terminal, slave, err = rootfs.OpenTerminal(root, int(p.Process.User.UID), -1); err != nil {
			return err
		}
		if err := rootfs.BindConsole(root, slave); err != nil {
			return err
		}
	}
	if err := makeCwd(root, p.Process); err != nil {
		return err
	}
	if err := rootfs.SealDev(root, spec.Mounts); err != nil {
		return err
	}
	if err := createHooks(sync, p); err != nil {
		return err
	}

	// Sysctls while /proc/sys is writable; then what must not be seen or written.
	own, shared := splitSysctls(linux)
	if err := errors.Join(setSysctls(own), setSysctls(owned(shared))); err != nil {
		return err
	}
	if err := rootfs.MakeReadOnly(root, linux.ReadonlyPaths); err != nil {
		return err
	}
	if err := cover.Mask(root, linux.MaskedPaths); err != nil {
		return err
	}

	// Through the host's /proc, before the host goes out of sight: the labels, the
	// user's home, and the fifo, which is on the host.
	if err := setLabels(p.Process); err != nil {
		return err
	}
	p.Process.Env = environment(p.Process, func() (io.ReadCloser, error) { return rootfs.OpenIn(root, "/etc/passwd") })
	descriptors, err := os.Open("/proc/self/fd")
	if err != nil {
		return err
	}
	if err := enterRoot(p, root); err != nil {
		return err
	}
	if err := rootfs.Seal(root, spec.Root.Readonly, linux.RootfsPropagation); err != nil {
		return err
	}

	// Stop 2, and the command.
	return finish(p, sync, terminal, slave, descriptors)
}

// finish gives the process its credentials and executes the command.
func finish(p *payload, sync channel, terminal, slave *os.File, descriptors *os.File) error {
	process := p.Process
	// Entered and looked at before the filter, which may refuse getcwd, and not by its name
	// again, which may lead elsewhere by then; unless only the user gets there.
	cwd := process.Cwd
	inside := unix.Chdir(cwd) == nil
	if inside {
		if err := checkCwd(cwd); err != nil {
			return err
		}
		process.Cwd = "."
	}
	first, last, err := credentials(p)
	process.Cwd = cwd
	if err != nil {
		return err
	}
	if slave != nil {
		if err := takeTerminal(slave, process.ConsoleSize); err != nil {
			return err
		}
	}
	if err := namespace.Do(first); err != nil {
		return err
	}
	if !inside {
		if err := checkCwd(cwd); err != nil {
			return err
		}
	}
	program, err := lookPath(process)
	if err != nil {
		return err
	}

	// A change of credentials clears the parent-death signal, so it is set after
	// the last. Had the parent died before, the next message would fail.
	if p.DieWithParent {
		trace.Step("prctl", "PR_SET_PDEATHSIG SIGKILL")
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
			return fmt.Errorf("set parent-death signal: %w", err)
		}
	}
	if err := sync.send(message{Stage: stageReady}, terminal); err != nil {
		return fmt.Errorf("report ready: %w", err)
	}
	if terminal != nil {
		terminal.Close()
	}
	if err := waitFifo(descriptors); err != nil {
		return err
	}
	if err := startHooks(p); err != nil {
		return err
	}
	trace.Step("execve", "%s %q", program, process.Args)
	if err := preserve(p); err != nil {
		return err
	}
	if err := namespace.Do(last); err != nil {
		return err
	}
	return execute(program, process)
}
