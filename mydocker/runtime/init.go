package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"minidocker/mydocker/image/layer"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
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

	// The cgroup namespace takes the cgroup we are in as its root, so it is made
	// here and not by the clone, and before cgroup file systems are mounted.
	if ns := namespace.Find(linux.Namespaces, specs.CgroupNamespace); ns != nil && ns.Path == "" {
		trace.Step("unshare", "CLONE_NEWCGROUP")
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("unshare cgroup namespace: %w", err)
		}
	}
	if ns := namespace.Find(linux.Namespaces, specs.NetworkNamespace); ns != nil && ns.Path == "" {
		if err := namespace.RaiseLoopback(); err != nil {
			return err
		}
	}
	if namespace.Find(linux.Namespaces, specs.UTSNamespace) != nil {
		if err := setNames(spec.Hostname, spec.Domainname); err != nil {
			return err
		}
	}

	// Cut off from the host before the first mount. What binds show is opened
	// in its turn: the host can still be seen.
	if !inHostMounts(spec) {
		if err := rootfs.Isolate(linux.RootfsPropagation); err != nil {
			return err
		}
	}
	given := map[string]*os.File{}
	for i, destination := range p.Given {
		given[destination] = os.NewFile(uintptr(givenFD+i), destination)
	}
	sources, err := rootfs.GivenSources(spec.Mounts, given)
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
	if !rootfs.BindsDev(spec.Mounts) {
		if nodes := given[deviceNodes]; nodes != nil {
			err = rootfs.BindDevices(root, devices(linux), nodes)
		} else {
			err = rootfs.MakeDevices(root, devices(linux))
		}
		if err != nil {
			return err
		}
		if err := rootfs.MakeLinks(root); err != nil {
			return err
		}
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

	// The fifo is on the host: it is reached through the host's /proc, opened
	// before the host goes out of sight.
	if err := setLabels(p.Process); err != nil {
		return err
	}
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

// newSessionKeyring leaves the keyring of whoever started the engine. The name is
// a null pointer, which unix.KeyctlJoinSessionKeyring cannot pass: by a name,
// also an empty one, containers would meet in one keyring. It is no error: a
// kernel may have no keyrings.
func newSessionKeyring() {
	unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
}

// waitFifo blocks in open(2) until Start opens the other end.
func waitFifo(descriptors *os.File) error {
	for {
		fd, err := unix.Openat(int(descriptors.Fd()), fmt.Sprint(fifoFD), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("open exec.fifo: %w", err)
		}
		_, err = unix.Write(fd, []byte{0})
		return err
	}
}

func setNames(host, domain string) error {
	if host != "" {
		trace.Step("sethostname", "%s", host)
		if err := unix.Sethostname([]byte(host)); err != nil {
			return fmt.Errorf("set hostname %q: %w", host, err)
		}
	}
	if domain != "" {
		trace.Step("setdomainname", "%s", domain)
		if err := unix.Setdomainname([]byte(domain)); err != nil {
			return fmt.Errorf("set domain name %q: %w", domain, err)
		}
	}
	return nil
}

// makeCwd makes the working directory if the image has none, as Docker does,
// owned by root.
func makeCwd(root *os.File, process *specs.Process) error {
	dir, err := rootfs.MakeDir(root, process.Cwd)
	if errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("Cannot mkdir: %s is not a directory", process.Cwd)
	}
	if err != nil {
		return fmt.Errorf("make working directory %s: %w", process.Cwd, err)
	}
	return dir.Close()
}

// setSysctls writes kernel parameters through a proc file system mounted for
// this alone and visible to nobody: in the container's own /proc the image may
// have bound something over the file (CVE-2025-52881).
func setSysctls(sysctls map[string]string) error {
	if len(sysctls) == 0 {
		return nil
	}
	proc, err := rootfs.PrivateProc()
	if err != nil {
		return err
	}
	defer proc.Close()
	for name, value := range sysctls {
		path := filepath.Join("sys", strings.NewReplacer(".", "/", "/", ".").Replace(dottedSysctl(name)))
		trace.Step("write", "/proc/%s = %s", path, value)
		file, err := rootfs.OpenProc(proc, path)
		if err == nil {
			_, err = file.WriteString(value)
			file.Close()
		}
		if err != nil {
			return fmt.Errorf("set sysctl %s=%s: %w", name, value, err)
		}
	}
	return nil
}

// finish gives the process its credentials and executes the command.
func finish(p *payload, sync channel, terminal, slave *os.File, descriptors *os.File) error {
	process := p.Process
	if isInside(p.Spec.Linux) {
		process.Rlimits = nil // see limitOutside
	}
	process.Env = environment(process.Env, process.User.UID, func() (io.ReadCloser, error) { return os.OpenFile("/etc/passwd", os.O_RDONLY|unix.O_NONBLOCK, 0) })
	first, last, err := security.Credentials(process, filterOf(p.Filter, p.FilterFlags, syncFD))
	if err != nil {
		return err
	}
	properties, err := security.Properties(process, p.Spec.Linux)
	if err != nil {
		return err
	}
	if slave != nil {
		if err := takeTerminal(slave, process.ConsoleSize); err != nil {
			return err
		}
	}
	// Looked at before the filter, which may refuse getcwd, unless only the user gets there.
	inside := unix.Chdir(process.Cwd) == nil
	if inside {
		if err := checkCwd(process.Cwd); err != nil {
			return err
		}
	}
	if err := namespace.Do(append(properties, first...)); err != nil {
		return err
	}
	if !inside {
		if err := checkCwd(process.Cwd); err != nil {
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
	// Not unix.Exec: it puts the limit of open files back that Go found at its start.
	argv, argvErr := namespace.Strings(process.Args)
	envv, envvErr := namespace.Strings(process.Env)
	if err := errors.Join(argvErr, envvErr); err != nil {
		return err
	}
	err = namespace.Do([]namespace.Call{namespace.NewCall("execve "+program, unix.SYS_EXECVE, program, argv, envv)})
	return execError(program, errors.Unwrap(err))
}

// takeTerminal makes the terminal the controlling one and all three streams.
func takeTerminal(slave *os.File, size *specs.Box) error {
	if err := setSize(slave, size); err != nil {
		return err
	}
	fd := int(slave.Fd())
	if err := unix.IoctlSetInt(fd, unix.TIOCSCTTY, 0); err != nil {
		return fmt.Errorf("take controlling terminal: %w", err)
	}
	for stream := range 3 {
		if err := unix.Dup3(fd, stream, 0); err != nil {
			return fmt.Errorf("dup terminal: %w", err)
		}
	}
	return slave.Close()
}

func setSize(terminal *os.File, size *specs.Box) error {
	if size == nil {
		return nil
	}
	err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)})
	if err != nil {
		return fmt.Errorf("set terminal size: %w", err)
	}
	return nil
}

// checkCwd makes sure that the working directory is inside: a descriptor as
// /proc/self/fd/N would put us on the host (CVE-2024-21626), and then getcwd(2)
// says that it cannot be reached from the root.
func checkCwd(dir string) error {
	if wd, err := unix.Getwd(); err != nil || !strings.HasPrefix(wd, "/") {
		return fmt.Errorf("chdir to cwd (%q): it is outside of the container's root", dir)
	}
	return nil
}
