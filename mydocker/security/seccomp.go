package security

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	profiles "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// ErrNotify reports a profile that hands system calls to another process.
var ErrNotify = errors.New("seccomp action SCMP_ACT_NOTIFY is not supported")

// DefaultProfile is Docker's, for the capabilities that s gives its process: a
// container with CAP_SYS_ADMIN may mount, one without may not.
func DefaultProfile(s *specs.Spec) (*specs.LinuxSeccomp, error) {
	return profiles.GetDefaultProfile(s)
}

// LoadProfile reads a profile in Docker's JSON form, or the OCI runtime spec's,
// for the capabilities that s gives its process. nil means: no filter.
func LoadProfile(json []byte, s *specs.Spec) (*specs.LinuxSeccomp, error) {
	return profiles.LoadProfile(string(json), s)
}

// Install gives the calling thread the filter: it sees every system call from
// here on, execve included. The thread must have CAP_SYS_ADMIN or
// no_new_privs. An empty filter is none.
//
// Without SECCOMP_FILTER_FLAG_TSYNC among the flags other threads stay as they
// are. Init wants that: they end at its execve, and until then a strict profile
// would kill the Go runtime under it.
func Install(filter []unix.SockFilter, flags []specs.LinuxSeccompFlag) error {
	if len(filter) == 0 {
		return nil
	}
	bits, err := seccompFlags(flags)
	if err != nil {
		return err
	}
	trace.Step("seccomp", "SECCOMP_SET_MODE_FILTER flags %#x, %d instructions", bits, len(filter))
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, bits, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return fmt.Errorf("install seccomp filter of %d instructions: %w", len(filter), errno)
	}
	if thread != 0 {
		return fmt.Errorf("install seccomp filter: thread %d has another one", thread)
	}
	return nil
}

func seccompFlags(flags []specs.LinuxSeccompFlag) (bits uintptr, err error) {
	for _, flag := range flags {
		switch flag {
		case "SECCOMP_FILTER_FLAG_TSYNC":
			bits |= unix.SECCOMP_FILTER_FLAG_TSYNC
		case specs.LinuxSeccompFlagLog:
			bits |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			bits |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		default:
			return 0, fmt.Errorf("seccomp flag %q is not supported", flag)
		}
	}
	return bits, nil
}

// Compile translates a profile to the classic BPF program that Install takes. A
// nil profile gives an empty program.
//
// What the OCI runtime spec leaves open is as runc and libseccomp have it. Of
// several rules for one system call, the first without conditions decides, and
// then the order of those with conditions does not matter; otherwise the first
// whose conditions all hold. Two conditions on one argument are alternatives. A
// rule whose action is the default one says nothing. System calls that the table
// does not know are skipped, so that a profile may name newer and foreign ones.
func Compile(profile *specs.LinuxSeccomp) ([]unix.SockFilter, error) {
	if profile == nil {
		return nil, nil
	}
	if profile.ListenerPath != "" {
		return nil, fmt.Errorf("listenerPath: %w", ErrNotify)
	}
	if _, err := seccompFlags(profile.Flags); err != nil {
		return nil, err
	}
	otherwise, err := actionValue(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	rules, err := rulesByName(profile.Syscalls, otherwise)
	if err != nil {
		return nil, err
	}
	architectures, err := architecturesOf(profile.Architectures, rules, otherwise)
	if err != nil {
		return nil, err
	}
	// An OCI runtime spec cannot say "refuse what did not exist when I was
	// written". A program that probes for a new call, such as glibc with
	// faccessat2 in 2020, falls back to the old one on ENOSYS but gives up on
	// EPERM. So calls newer than every one the profile names return ENOSYS,
	// unless the default action lets calls pass. (runc: libcontainer/seccomp/patchbpf.)
	unknown := otherwise
	if !otherwise.permits() {
		unknown = unix.SECCOMP_RET_ERRNO | action(unix.ENOSYS)
	}
	return assemble(architectures, otherwise, unknown)
}

// callRules are the actions for one system call: that of the first conditional
// rule that holds, or else always.
type callRules struct {
	conditional []rule
	always      action
	decided     bool // by a rule without conditions
}

type rule struct {
	conditions []specs.LinuxSeccompArg
	action     action
}

// rulesByName has an entry for every name in the profile, also for one with
// which nothing but the default happens.
func rulesByName(syscalls []specs.LinuxSyscall, otherwise action) (map[string]*callRules, error) {
	byName := make(map[string]*callRules, 512)
	for _, s := range syscalls {
		does, err := actionValue(s.Action, s.ErrnoRet)
		if err == nil {
			err = checkConditions(s.Args)
		}
		if err != nil {
			return nil, fmt.Errorf("seccomp rule for %v: %w", s.Names, err)
		}
		for _, name := range s.Names {
			rules := byName[name]
			if rules == nil {
				rules = &callRules{always: otherwise}
				byName[name] = rules
			}
			if does != otherwise {
				rules.add(s.Args, does)
			}
		}
	}
	return byName, nil
}

func (r *callRules) add(conditions []specs.LinuxSeccompArg, does action) {
	switch {
	case r.decided:
	case len(conditions) == 0:
		*r = callRules{always: does, decided: true}
	case repeats(conditions):
		for i := range conditions {
			r.conditional = append(r.conditional, rule{conditions[i : i+1], does})
		}
	default:
		r.conditional = append(r.conditional, rule{conditions, does})
	}
}

func repeats(conditions []specs.LinuxSeccompArg) bool {
	var seen uint
	for _, c := range conditions {
		if seen>>c.Index&1 == 1 {
			return true
		}
		seen |= 1 << c.Index
	}
	return false
}

func checkConditions(conditions []specs.LinuxSeccompArg) error {
	for _, c := range conditions {
		if c.Index > 5 {
			return fmt.Errorf("argument %d: a system call has arguments 0 to 5", c.Index)
		}
		switch c.Op {
		case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
		default:
			return fmt.Errorf("argument %d: unknown operator %q", c.Index, c.Op)
		}
	}
	return nil
}

// An action is what a filter returns, SECCOMP_RET_* and the number it carries.
type action uint32

func (a action) permits() bool { return a == unix.SECCOMP_RET_ALLOW || a == unix.SECCOMP_RET_LOG }

// actionValue translates an action. errno (nil: EPERM) is what the call returns,
// or what a tracer is told.
func actionValue(name specs.LinuxSeccompAction, errno *uint) (action, error) {
	number := uint(unix.EPERM)
	if errno != nil {
		number = *errno
	}
	const largest = 4095 // MAX_ERRNO: the kernel cuts what is above
	if number > largest {
		return 0, fmt.Errorf("seccomp errnoRet %d is above %d", number, largest)
	}
	switch name {
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, nil
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, nil
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, nil
	case specs.ActErrno:
		return unix.SECCOMP_RET_ERRNO | action(number), nil
	case specs.ActTrace:
		return unix.SECCOMP_RET_TRACE | action(number), nil
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, nil
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, nil
	case specs.ActNotify:
		return 0, ErrNotify
	}
	return 0, fmt.Errorf("unknown seccomp action %q", name)
}
