package namespace

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// child is what the child of a fork has: the calls, and where to tell of a failure.
type child struct {
	calls   []Call
	at      int       // the first to be made
	report  uintptr   // descriptor of a pipe; close-on-exec, so its end says execve succeeded
	failure [2]uint32 // the number of a call and its errno
	born    [2]uint32 // split and a pid
	stacks  [2]*stack // the child's, and its child's if it splits
}

const split = ^uint32(0)

// stack is what a child runs on, which may have its memory in common with who made it. It
// makes system calls and no more, and no signal handler runs on it.
type stack [4096]byte

func (s *stack) bottom() uintptr { return (uintptr(unsafe.Pointer(s)) + 15) &^ 15 }

// top leaves room for an argument, where a caller would have it.
func (s *stack) top() uintptr { return s.bottom() + unsafe.Sizeof(*s) - 64 }

// cloneOnto makes the system call number, clone or clone3, whose child runs runChild(c) on
// the stack that the arguments name. It gives what the kernel returns to the caller. It is
// assembly because a function of Go would return, in the child, to who is not on its stack.
func cloneOnto(number, first, second uintptr, c *child) (r uintptr)

// result tells a pid and an error apart.
//
//go:nosplit
func result(r uintptr) (pid int, errno syscall.Errno) {
	if r > ^uintptr(4095) {
		return 0, syscall.Errno(-r)
	}
	return int(r), 0
}

// runChild makes the calls in the child. It never returns.
//
//go:nosplit
//go:norace
func runChild(c *child) {
	missed := false
	worst := uint32(0)
	for i := c.at; i < len(c.calls); i++ {
		k := &c.calls[i]
		if k.If == Else && !missed {
			continue
		}
		var errno syscall.Errno
		if k.If == Split {
			var pid int
			c.at = i + 1
			if pid, errno = result(cloneOnto(k.Number, k.Args[0], k.Args[1], c)); errno == 0 {
				c.born[0], c.born[1] = split, uint32(pid)
				syscall.RawSyscall6(unix.SYS_WRITE, c.report, uintptr(unsafe.Pointer(&c.born)), 8, 0, 0, 0)
				syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
			}
		} else {
			_, _, errno = syscall.RawSyscall6(k.Number, k.Args[0], k.Args[1], k.Args[2], k.Args[3], k.Args[4], k.Args[5])
		}
		if k.If == Try {
			missed = errno != 0
			continue
		}
		if errno == 0 || k.If == Ignore {
			continue
		}
		c.failure[0], c.failure[1] = uint32(i), uint32(errno)
		if k.If != Exec {
			break
		}
		// As execvp(3): not permitted somewhere outweighs not found elsewhere.
		if errno == syscall.EACCES {
			worst = uint32(errno)
		}
		if worst != 0 {
			c.failure[1] = worst
		}
		if errno != syscall.ENOENT && errno != syscall.ENOTDIR && errno != syscall.EACCES {
			break
		}
	}
	syscall.RawSyscall6(unix.SYS_WRITE, c.report, uintptr(unsafe.Pointer(&c.failure)), 8, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}
