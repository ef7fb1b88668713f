package security

import (
	_ "embed"
	"iter"
	"strconv"
	"strings"
)

//go:generate go run syscalls_gen.go

// The tables stay text until a filter is compiled: a map would cost every start
// of the program, also of those that compile none.
var (
	//go:embed syscalls/amd64.txt
	amd64Calls string
	//go:embed syscalls/386.txt
	i386Calls string
	//go:embed syscalls/arm64.txt
	arm64Calls string
	//go:embed syscalls/arm.txt
	armCalls string
)

// parseCalls goes through a table: a line per system call, its name and number.
func parseCalls(table string) iter.Seq2[string, uint32] {
	return func(yield func(string, uint32) bool) {
		for line := range strings.Lines(table) {
			name, digits, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			number, err := strconv.ParseUint(digits, 10, 32)
			if err != nil {
				panic("system call table: " + line) // it is part of the program: a test reads all
			}
			if !yield(name, uint32(number)) {
				return
			}
		}
	}
}

// x32Bit marks calls of the x32 ABI, 64-bit code with 32-bit pointers, which
// has the same architecture number as amd64 (arch/x86/include/uapi/asm/unistd.h).
const x32Bit = 1 << 30

// Calls whose arguments hold pointers or longs in memory have numbers of their
// own in x32, from 512 on (arch/x86/entry/syscalls/syscall_64.tbl).
const x32Own = `rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg execve ptrace rt_sigpending
	rt_sigtimedwait rt_sigqueueinfo sigaltstack timer_create mq_notify kexec_load waitid set_robust_list
	get_robust_list vmsplice move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg process_vm_readv
	process_vm_writev setsockopt getsockopt io_setup io_submit execveat preadv2 pwritev2`

func x32Numbers() map[string]uint32 {
	numbers := make(map[string]uint32, 64)
	for i, name := range strings.Fields(x32Own) {
		numbers[name] = uint32(512 + i)
	}
	return numbers
}

// On 32-bit x86 the sockets of old programs and all System V IPC go through one
// call, whose first argument says which function is meant (linux/net.h,
// linux/ipc.h). A rule for "bind" must therefore meet socketcall(2, ...) too.
const (
	socketFunctions = `socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom
		shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg`
	semaphoreFunctions = `semop semget semctl semtimedop`
	messageFunctions   = `msgsnd msgrcv msgget msgctl`
	memoryFunctions    = `shmat shmdt shmget shmctl`
)

// armPrivate is the first of the calls private to 32-bit ARM, far above all others.
const armPrivate = 0x0f0000
