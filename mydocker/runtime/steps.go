package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The steps of initContainer and finish, in their order.

// newSessionKeyring leaves the keyring of whoever started the engine. The name is
// a null pointer, which unix.KeyctlJoinSessionKeyring cannot pass: by a name,
// also an empty one, containers would meet in one keyring. It is no error: a
// kernel may have no keyrings.
func newSessionKeyring() {
	unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
}

// setUpNamespaces gives the new namespaces what they begin with.
func setUpNamespaces(spec *specs.Spec) error {
	isNew := func(kind specs.LinuxNamespaceType) bool {
		ns := namespace.Find(spec.Linux.Namespaces, kind)
		return ns != nil && ns.Path == ""
	}
	// The cgroup namespace takes the cgroup we are in as its root, so it is made
	// here and not by the clone, and before cgroup file systems are mounted.
	if isNew(specs.CgroupNamespace) {
		trace.Step("unshare", "CLONE_NEWCGROUP")
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("unshare cgroup namespace: %w", err)
		}
	}
	if isNew(specs.NetworkNamespace) {
		if err := namespace.RaiseLoopback(); err != nil {
			return err
		}
	}
	if namespace.Find(spec.Linux.Namespaces, specs.UTSNamespace) == nil {
		return nil
	}
	return setNames(spec.Hostname, spec.Domainname)
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

// fillDev makes what stands in /dev, unless that is somebody else's: nodes holds the
// devices for an init that cannot make them.
func fillDev(root *os.File, spec *specs.Spec, nodes *os.File) error {
	if rootfs.BindsDev(spec.Mounts) {
		return nil
	}
	err := error(nil)
	if nodes != nil {
		err = rootfs.BindDevices(root, devices(spec.Linux), nodes)
	} else {
		err = rootfs.MakeDevices(root, devices(spec.Linux))
	}
	if err != nil {
		return err
	}
	return rootfs.MakeLinks(root)
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

// credentials is what the process needs before stop 2, and immediately before its execve.
func credentials(p *payload) (first, last []namespace.Call, err error) {
	process := p.Process
	scheduling, err := security.Scheduling(process, 0)
	if isInside(p.Spec.Linux) {
		process.Rlimits, scheduling = nil, nil // see limitOutside
	}
	properties, err2 := security.Properties(p.Spec.Linux)
	first, last, err3 := security.Credentials(process, filterOf(p.Filter, p.FilterFlags, syncFD))
	return slices.Concat(scheduling, properties, first), last, cmp.Or(err, err2, err3)
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

// execute does not use unix.Exec, which puts the limit of open files back that Go found at
// its start.
func execute(program string, process *specs.Process) error {
	argv, err := namespace.Strings(process.Args)
	envv, err2 := namespace.Strings(process.Env)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	err = namespace.Do([]namespace.Call{namespace.NewCall("execve "+program, unix.SYS_EXECVE, program, argv, envv)})
	return execError(program, errors.Unwrap(err))
}
