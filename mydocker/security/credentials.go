package security

import (
	"fmt"
	"slices"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/namespace"
)

// Credentials writes down how a process of root's becomes what process says, for
// init to make the calls itself, and for exec's child, which can do nothing
// else. All of them change the calling thread alone: who executes the command is
// who made them.
//
// first comes before, last immediately before execve.
func Credentials(process *specs.Process, filter Filter) (first, last []namespace.Call, err error) {
	call := namespace.NewCall
	prctl := func(name string, args ...any) namespace.Call {
		return call("prctl "+name, unix.SYS_PRCTL, args...)
	}
	install, err := filter.install()
	if err != nil {
		return nil, nil, err
	}
	limits, err := Limits(0, process.Rlimits)
	if err != nil {
		return nil, nil, err
	}
	umask := uint32(0o022)
	if process.User.Umask != nil {
		umask = *process.User.Umask
	}
	first = append(limits, call(fmt.Sprintf("umask %#o", umask), unix.SYS_UMASK, umask))

	// Root may enter a directory that the user may not; on a network file system
	// it may be the other way round.
	chdir := call(fmt.Sprintf("chdir to cwd (%q)", process.Cwd), unix.SYS_CHDIR, process.Cwd)
	first = append(first, chdir.On(namespace.Try))

	// Without no_new_privs a filter may be installed only with CAP_SYS_ADMIN, so
	// before the capabilities go; with it, as late as possible, so that the
	// filter need not allow what the calls between do.
	if process.NoNewPrivileges {
		first = append(first, prctl("PR_SET_NO_NEW_PRIVS", unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		last = install
	} else {
		first = append(first, install...)
	}

	caps := process.Capabilities
	if caps == nil {
		caps = &specs.LinuxCapabilities{}
	}
	// The bounding set needs CAP_SETPCAP, the groups CAP_SETGID: from here on
	// each call gives up what only the ones before needed. KEEPCAPS makes the
	// permitted set outlive the change of user; execve resets it.
	bounding := mask(caps.Bounding)
	for number, name := range capabilityNames {
		if bounding>>number&1 == 0 {
			first = append(first, prctl("PR_CAPBSET_DROP "+name, unix.PR_CAPBSET_DROP, number, 0, 0, 0))
		}
	}
	for number := len(capabilityNames); number < 64; number++ { // younger than the table; EINVAL where also than the kernel
		first = append(first, prctl(fmt.Sprintf("PR_CAPBSET_DROP %d", number), unix.PR_CAPBSET_DROP, number, 0, 0, 0).On(namespace.Ignore))
	}
	user := process.User
	first = append(first,
		prctl("PR_SET_KEEPCAPS", unix.PR_SET_KEEPCAPS, 1, 0, 0, 0),
		call(fmt.Sprintf("setgroups %v", user.AdditionalGids), unix.SYS_SETGROUPS, len(user.AdditionalGids), namespace.Slice(slices.Clone(user.AdditionalGids))),
		call(fmt.Sprintf("setresgid %d", user.GID), unix.SYS_SETRESGID, user.GID, user.GID, user.GID),
		call(fmt.Sprintf("setresuid %d", user.UID), unix.SYS_SETRESUID, user.UID, user.UID, user.UID))
	set, err := setCapabilities(caps)
	if err != nil {
		return nil, nil, err
	}
	first = append(append(first, set...), chdir.On(namespace.Else))
	if Notifies(filter.Program) { // the creator takes the descriptor, and may not be there at the start
		first, last = append(first, last...), nil
	}
	return first, append(last, cleanSignals()...), nil
}

// setCapabilities sets the effective, permitted, inheritable and ambient sets.
// What this thread does not have itself cannot be given and is left out.
func setCapabilities(caps *specs.LinuxCapabilities) ([]namespace.Call, error) {
	own, err := capget()
	if err != nil {
		return nil, err
	}
	sets := new([2]unix.CapUserData)
	for i := range sets {
		half := func(names []string) uint32 { return uint32(mask(names)>>(32*i)) & own[i].Permitted }
		sets[i] = unix.CapUserData{Effective: half(caps.Effective) & half(caps.Permitted), Permitted: half(caps.Permitted), Inheritable: half(caps.Inheritable)}
	}
	calls := []namespace.Call{
		// It shrinks by itself as the others do, but shall end as exactly what was asked for.
		namespace.NewCall("prctl PR_CAP_AMBIENT_CLEAR_ALL", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
		namespace.NewCall(fmt.Sprintf("capset effective %#x permitted %#x inheritable %#x", mask(caps.Effective), mask(caps.Permitted), mask(caps.Inheritable)),
			unix.SYS_CAPSET, namespace.Pointer(&unix.CapUserHeader{Version: capabilityVersion}), namespace.Slice(sets[:])),
	}
	for number, name := range capabilityNames {
		possible := sets[number/32].Permitted & sets[number/32].Inheritable
		if possible>>(number%32)&1 == 1 && slices.Contains(caps.Ambient, name) {
			calls = append(calls, namespace.NewCall("prctl PR_CAP_AMBIENT_RAISE "+name, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, number, 0, 0))
		}
	}
	return calls, nil
}

// rlimitNames are the resources in the order of their numbers
// (asm-generic/resource.h, getrlimit(2)).
var rlimitNames = [...]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
	"RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

// Limits sets resource limits of a process, 0 for the caller. To raise them needs
// CAP_SYS_RESOURCE, and not that of a user namespace.
func Limits(pid int, limits []specs.POSIXRlimit) ([]namespace.Call, error) {
	var calls []namespace.Call
	for _, limit := range limits {
		number := slices.Index(rlimitNames[:], limit.Type)
		if number < 0 {
			return nil, fmt.Errorf("wrong rlimit value: %s", limit.Type)
		}
		calls = append(calls, namespace.NewCall(fmt.Sprintf("set %s to soft %d, hard %d (to raise a hard limit needs CAP_SYS_RESOURCE)", limit.Type, int64(limit.Soft), int64(limit.Hard)),
			unix.SYS_PRLIMIT64, pid, number, namespace.Pointer(&unix.Rlimit{Cur: limit.Soft, Max: limit.Hard}), 0))
	}
	return calls, nil
}

// Filter is a compiled seccomp profile.
type Filter struct {
	Program []byte // empty: none
	Flags   []specs.LinuxSeccompFlag
	// Agent is a descriptor of the process, connected to whoever passes the
	// filter's descriptor on to the seccomp agent. It gets Notice, and answers when
	// that is done. Used if the program notifies.
	Agent  int
	Notice []byte
}

// install gives the calling thread the filter, which sees every system call
// from here on. Not all threads (TSYNC): the others end at execve, and until then
// a strict profile would kill the Go runtime in them.
func (f Filter) install() ([]namespace.Call, error) {
	if len(f.Program) == 0 {
		return nil, nil
	}
	notifies := Notifies(f.Program)
	bits, err := flagBits(f.Flags, notifies)
	if err != nil {
		return nil, err
	}
	code := instructions(f.Program)
	program := &unix.SockFprog{Len: uint16(len(code)), Filter: unsafe.SliceData(code)}
	calls := []namespace.Call{namespace.NewCall(fmt.Sprintf("seccomp SECCOMP_SET_MODE_FILTER flags %#x, %d instructions", bits, program.Len),
		unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, bits, namespace.Pointer(program))}
	if notifies {
		calls = append(calls,
			namespace.NewCall("write: the seccomp agent is to get the filter's descriptor", unix.SYS_WRITE, f.Agent, namespace.Slice(f.Notice), len(f.Notice)),
			namespace.NewCall("read: the seccomp agent has it", unix.SYS_READ, f.Agent, namespace.Slice(make([]byte, 256)), 256))
	}
	return calls, nil
}

// cleanSignals gives the command default dispositions and an empty mask: what
// the starter ignored or blocked (nohup) would be inherited through execve.
func cleanSignals() []namespace.Call {
	none := new([4]uint64) // struct sigaction with SIG_DFL; the set of blocked signals
	var calls []namespace.Call
	for signal := 1; signal <= 64; signal++ {
		calls = append(calls, namespace.NewCall("rt_sigaction SIG_DFL", unix.SYS_RT_SIGACTION, signal, namespace.Pointer(none), 0, 8).On(namespace.Ignore))
	}
	return append(calls, namespace.NewCall("rt_sigprocmask", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, namespace.Pointer(none), 0, 8))
}
