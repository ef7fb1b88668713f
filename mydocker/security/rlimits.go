package security

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// rlimitNames are the resources in the order of their numbers
// (asm-generic/resource.h, getrlimit(2)).
var rlimitNames = [...]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
	"RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

// SetRlimits sets the limits of this process, before the change of user. To
// raise a hard limit needs CAP_SYS_RESOURCE; the error says so.
//
// It must be syscall.Setrlimit: Go raises the soft RLIMIT_NOFILE of every
// program at its start and puts the old value back in syscall.Exec (Go 1.19),
// unless the program has set the limit through this very function. A raw
// prlimit(2) would silently be undone.
func SetRlimits(limits []specs.POSIXRlimit) error {
	for _, limit := range limits {
		number, err := rlimitNumber(limit.Type)
		if err != nil {
			return err
		}
		trace.Step("setrlimit", "%s soft %d hard %d", limit.Type, int64(limit.Soft), int64(limit.Hard))
		err = syscall.Setrlimit(number, &syscall.Rlimit{Cur: limit.Soft, Max: limit.Hard})
		if err == nil {
			continue
		}
		err = fmt.Errorf("set %s to soft %d, hard %d: %w", limit.Type, int64(limit.Soft), int64(limit.Hard), err)
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (to raise a hard limit needs CAP_SYS_RESOURCE)", err)
		}
		return err
	}
	return nil
}

// CheckRlimit says whether the type of a limit ("RLIMIT_NOFILE") is one.
func CheckRlimit(name string) error {
	_, err := rlimitNumber(name)
	return err
}

func rlimitNumber(name string) (int, error) {
	for number, known := range rlimitNames {
		if known == strings.ToUpper(name) {
			return number, nil
		}
	}
	return 0, fmt.Errorf("rlimit type %q is invalid", name)
}
