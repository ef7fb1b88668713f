package runtime

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"minidocker/mydocker/cgroup"
	"minidocker/mydocker/namespace"
	"minidocker/mydocker/rootfs"
	"minidocker/mydocker/security"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Init in a user namespace has no privilege over what is the host's: it may not make
// device nodes, walk to a directory below one of mode 0700, copy a mount without those
// below it, raise a limit, or before Linux 6.9 write the sysctls of its own IPC
// namespace. All this the parent does for it, here.

// deviceNodes stands in Options.Given for a file system that holds the device nodes.
const deviceNodes = "device nodes"

// openOutside opens the container's user namespace, nil if it has none, and adds to the
// options what its init cannot open; it changes the keys of Options.Given to the mounts'
// places in the list: two may have one destination. The caller closes what was opened.
func openOutside(spec *specs.Spec, o *Options) (user *os.File, opened []*os.File, err error) {
	if user, err = openUser(spec.Linux); err != nil {
		return nil, nil, err
	}
	given := map[string]*os.File{}
	add := func(file *os.File, openErr error) *os.File {
		if err = openErr; file != nil {
			opened = append(opened, file)
		}
		return file
	}
	if user != nil {
		add(user, nil)
		given[deviceNodes] = add(rootfs.OpenMount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec"}}))
		if err == nil && o.Root == nil {
			o.Root = add(rootfs.OpenRoot(spec.Root.Path))
		}
	}
	for i, m := range spec.Mounts {
		if err != nil {
			return nil, opened, err
		}
		file := o.Given[m.Destination]
		if file == nil {
			file = add(rootfs.OpenOutside(m, user))
		}
		if file != nil {
			given[strconv.Itoa(i)] = file
		}
	}
	o.Given = given
	return user, opened, err
}

func openUser(linux *specs.Linux) (*os.File, error) {
	ns := namespace.Find(linux.Namespaces, specs.UserNamespace)
	switch {
	case ns == nil:
		return nil, nil
	case ns.Path == "":
		return namespace.NewUser(linux.UIDMappings, linux.GIDMappings)
	}
	user, err := os.Open(ns.Path)
	if err != nil {
		return nil, fmt.Errorf("join user namespace: %w", err)
	}
	return user, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close() // of a nil file an error, not a panic
	}
}

// cloneInside starts init in a user namespace, or a time namespace of its own.
func (p *Process) cloneInside(spec *specs.Spec, group cgroup.Group, l *launch, files []*os.File, user *os.File) error {
	argv, _ := namespace.Strings([]string{"mydocker", "init"})
	envv, err := namespace.Strings(l.env)
	if err != nil {
		return err
	}
	calls := []namespace.Call{
		namespace.NewCall("rt_sigprocmask", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, namespace.Pointer(new(uint64)), 0, 8),
		namespace.NewCall("execveat init", unix.SYS_EXECVEAT, programFD, "", argv, envv, unix.AT_EMPTY_PATH),
	}
	p.Pid, err = namespace.CloneInside(user, spec.Linux.Namespaces, spec.Linux.TimeOffsets,
		namespace.Child{Files: files, Calls: calls, Enter: group.Enter})
	if errors.Is(err, unix.EACCES) {
		err = fmt.Errorf("%w (in a user namespace everybody must be permitted to execute the program file)", err)
	}
	if err != nil {
		return fmt.Errorf("clone init: %w", err)
	}
	if p.pidfd, err = unix.PidfdOpen(p.Pid, 0); err != nil { // before this thread waits for it, so it is this process
		unix.Kill(p.Pid, unix.SIGKILL)
		unix.Wait4(p.Pid, nil, 0, nil)
	}
	return err
}

// actOutside does at stop 1 what init cannot: it makes the device nodes, and writes the
// sysctls that only it can.
func (p *Process) actOutside(spec *specs.Spec, o Options) error {
	nodes := o.Given[deviceNodes]
	if nodes == nil {
		return nil
	}
	ids, err := namespace.ReadIDs(p.Pid)
	if err != nil {
		return err
	}
	if err := rootfs.MakeNodes(nodes, devices(spec.Linux), ids); err != nil {
		return err
	}
	_, shared := splitSysctls(spec.Linux)
	if len(shared) == 0 {
		return nil
	}
	return namespace.OnThread(func() error {
		if err := unix.Setns(p.pidfd, unix.CLONE_NEWIPC|unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("join namespaces of init: %w", err)
		}
		return setSysctls(owned(shared))
	})
}

func devices(linux *specs.Linux) []specs.LinuxDevice {
	return append(rootfs.DefaultDevices(), linux.Devices...)
}

// splitSysctls sets those sysctls apart that are the container's, and yet may be
// writable for the host's root alone: up to Linux 6.8 the ones of an IPC namespace, from
// 6.9 on only for root inside (ipc/ipc_sysctl.c); always those of a UTS namespace.
func splitSysctls(linux *specs.Linux) (own, shared map[string]string) {
	own, shared = map[string]string{}, map[string]string{}
	for name, value := range linux.Sysctl {
		if isInside(linux) && !strings.HasPrefix(dottedSysctl(name), "net.") {
			shared[name] = value
		} else {
			own[name] = value
		}
	}
	return own, shared
}

// owned leaves those that belong to the caller's root: it sets them, the other side does not.
func owned(sysctls map[string]string) map[string]string {
	maps.DeleteFunc(sysctls, func(name, _ string) bool {
		var st unix.Stat_t
		err := unix.Stat("/proc/sys/"+strings.ReplaceAll(dottedSysctl(name), ".", "/"), &st)
		return err == nil && st.Uid != 0
	})
	return sysctls
}

func isInside(linux *specs.Linux) bool {
	return namespace.Find(linux.Namespaces, specs.UserNamespace) != nil
}

// limitOutside gives init at stop 2 what it leaves out for want of the privilege: limits,
// and for each of its threads, one of which executes the command, its scheduling.
func (p *Process) limitOutside(spec *specs.Spec) error {
	if !isInside(spec.Linux) {
		return nil
	}
	calls, err := security.Limits(p.Pid, spec.Process.Rlimits)
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.Pid))
	for _, thread := range threads {
		id, _ := strconv.Atoi(filepath.Base(thread))
		more, err2 := security.Scheduling(spec.Process, id)
		calls, err = append(calls, more...), errors.Join(err, err2)
	}
	if err != nil || len(calls) == 0 {
		return err
	}
	user, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", p.Pid))
	if err != nil {
		return err
	}
	defer user.Close()
	// Its owner has all privileges over it, also where the host's root has not: CAP_SYS_RESOURCE.
	owner, err := unix.IoctlGetUint32(int(user.Fd()), unix.NS_GET_OWNER_UID)
	if err != nil {
		return fmt.Errorf("ask for the owner of the user namespace: %w", err)
	}
	return namespace.OnThread(func() error {
		if err := namespace.ActAs(int(owner), int(owner)); err != nil {
			return err
		}
		return namespace.Do(calls)
	})
}
