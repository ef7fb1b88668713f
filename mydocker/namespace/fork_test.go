package namespace

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestForkShared forks children that share this process's memory, many at once, while the
// garbage collector runs: each has a stack of its own, and says what is its own.
func TestForkShared(t *testing.T) {
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 500000, Size: 1000}}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 20 {
				user, err := NewUser(ids, ids)
				if err != nil {
					t.Error(err)
					return
				}
				user.Close()
				runtime.GC()
				args, _ := Strings([]string{"x"})
				_, err = fork(&syscall.SysProcAttr{Cloneflags: unix.CLONE_VM}, nil, func(report int) ([]Call, int) {
					calls := []Call{NewCall("a failure", unix.SYS_CHDIR, "/nowhere").On(Ignore)}
					if i%2 == 0 {
						calls = append(calls, NewCall("clone", unix.SYS_CLONE, unix.CLONE_PARENT|int(unix.SIGCHLD), 0, 0, 0, 0).On(Split))
					}
					return append(calls, NewCall("execve", unix.SYS_EXECVE, "/nowhere/x", args, args)), report
				})
				var failed *CallError
				if !errors.As(err, &failed) || failed.Call.Name != "execve" || failed.Errno != unix.ENOENT {
					t.Errorf("error %v, want that of execve", err)
				}
			}
		})
	}
	all.Wait()
}
