package security

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func flagBits(flags []specs.LinuxSeccompFlag, notifies bool) (bits uintptr, err error) {
	if notifies {
		bits = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	for _, flag := range flags {
		switch flag {
		case "SECCOMP_FILTER_FLAG_TSYNC": // void: other threads end at execve, and a strict profile would kill them now
		case specs.LinuxSeccompFlagLog:
			bits |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			bits |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case specs.LinuxSeccompFlagWaitKillableRecv:
			if notifies { // to the kernel without meaning otherwise, and EINVAL
				bits |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
			}
		default:
			return 0, fmt.Errorf("seccomp flag %q is not supported", flag)
		}
	}
	return bits, nil
}

// Compile translates a profile to a classic BPF program, empty for none.
//
// What the OCI runtime spec leaves open is as runc and libseccomp have it. Of
// several rules for one system call, the first without conditions decides;
// without one, the first whose conditions all hold. Two conditions on one
// argument are alternatives. A rule whose action is the default one says
// nothing. Calls that the tables do not know are skipped, so that a profile may
// name newer and foreign ones.
func Compile(profile *specs.LinuxSeccomp) ([]unix.SockFilter, error) {
	if profile == nil {
		return nil, nil
	}
	otherwise, err := actionOf(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	byName, err := rulesByName(profile.Syscalls, otherwise)
	if err != nil {
		return nil, err
	}
	if _, err := flagBits(profile.Flags, false); err != nil {
		return nil, err
	}
	if otherwise == unix.SECCOMP_RET_USER_NOTIF {
		return nil, errors.New("SCMP_ACT_NOTIFY cannot be used as default action")
	}
	for _, name := range profile.Architectures {
		if !knownArchitecture(name) {
			return nil, fmt.Errorf("string %s is not a valid arch for seccomp", name)
		}
	}
	return assemble(profile.Architectures, byName, otherwise)
}

// rules are what a filter does with a system call: the first whose conditions
// hold decides. Only the last may have none.
type rules []rule

type rule struct {
	conditions []specs.LinuxSeccompArg
	action     action
}

// rulesByName has an entry for every name in the profile, also an empty one for
// calls with which nothing but the default happens.
func rulesByName(syscalls []specs.LinuxSyscall, otherwise action) (map[string]rules, error) {
	byName := make(map[string]rules, 512)
	for _, s := range syscalls {
		does, actionErr := actionOf(s.Action, s.ErrnoRet)
		choices, argumentErr := alternatives(s.Args)
		if err := errors.Join(actionErr, argumentErr); err != nil {
			return nil, fmt.Errorf("seccomp rule for %v: %w", s.Names, err)
		}
		for _, name := range s.Names {
			// By write the process says that there is something to be notified of.
			if name == "write" && does == unix.SECCOMP_RET_USER_NOTIF {
				return nil, errors.New("SCMP_ACT_NOTIFY cannot be used for the write syscall")
			}
			r := byName[name]
			switch {
			case does == otherwise || r.decided():
			case len(s.Args) == 0:
				r = rules{{nil, does}}
			default:
				for _, conditions := range choices {
					r = append(r, rule{conditions, does})
				}
			}
			byName[name] = r
		}
	}
	return byName, nil
}

func (r rules) decided() bool { return len(r) > 0 && len(r[len(r)-1].conditions) == 0 }

// or appends what happens where no rule holds.
func (r rules) or(others rules) rules {
	if r.decided() {
		return r
	}
	return slices.Concat(r, others)
}

// alternatives splits conditions of which two are on the same argument.
func alternatives(conditions []specs.LinuxSeccompArg) ([][]specs.LinuxSeccompArg, error) {
	arguments := map[uint]bool{}
	for _, c := range conditions {
		if _, known := comparison(c.Op); !known || c.Index > 5 {
			return nil, fmt.Errorf("string %s is not a valid operator for seccomp, or argument %d not one of six", c.Op, c.Index)
		}
		arguments[c.Index] = true
	}
	if len(arguments) == len(conditions) {
		return [][]specs.LinuxSeccompArg{conditions}, nil
	}
	return slices.Collect(slices.Chunk(conditions, 1)), nil
}

// An action is what a filter returns, SECCOMP_RET_* and the number it carries.
type action uint32

func (a action) permits() bool { return a == unix.SECCOMP_RET_ALLOW || a == unix.SECCOMP_RET_LOG }

// Notifies tells whether a compiled filter hands calls to a seccomp agent.
func Notifies(filter []byte) bool {
	return slices.Contains(instructions(filter), unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
}

func instructions(filter []byte) []unix.SockFilter {
	return unsafe.Slice((*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(filter))), len(filter)/unix.SizeofSockFilter)
}

// actionOf translates an action. errno (nil: EPERM) is what the call returns, or
// what a tracer is told; others have none.
func actionOf(name specs.LinuxSeccompAction, errno *uint) (action, error) {
	number := action(unix.EPERM)
	if errno != nil {
		number = action(*errno)
	}
	const largest = 4095 // MAX_ERRNO: the kernel cuts what is above
	if number > largest {
		return 0, fmt.Errorf("seccomp errnoRet %d is above %d", number, largest)
	}
	does, known := map[specs.LinuxSeccompAction]action{
		specs.ActKill: unix.SECCOMP_RET_KILL_THREAD, specs.ActKillThread: unix.SECCOMP_RET_KILL_THREAD,
		specs.ActKillProcess: unix.SECCOMP_RET_KILL_PROCESS, specs.ActTrap: unix.SECCOMP_RET_TRAP,
		specs.ActErrno: unix.SECCOMP_RET_ERRNO | number, specs.ActTrace: unix.SECCOMP_RET_TRACE | number,
		specs.ActLog: unix.SECCOMP_RET_LOG, specs.ActAllow: unix.SECCOMP_RET_ALLOW, specs.ActNotify: unix.SECCOMP_RET_USER_NOTIF,
	}[name]
	if !known {
		return 0, fmt.Errorf("string %s is not a valid action for seccomp", name)
	}
	if errno != nil && name != specs.ActErrno && name != specs.ActTrace {
		return 0, fmt.Errorf("errno value specified for action %s", name)
	}
	return does, nil
}
