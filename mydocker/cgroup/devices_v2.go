package cgroup

import (
	"fmt"
	"strings"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// attachDeviceProgram is version 2, which has no file for devices: at every open and
// mknod of one the kernel runs the eBPF programs attached to the group and to those
// above, and refuses with EPERM if one of them returns 0. ALLOW_MULTI lets systemd or
// runc attach theirs in groups below.
func attachDeviceProgram(dir string, rules []specs.LinuxDeviceCgroup) error {
	trace.Step("bpf", "attach a cgroup_device program of %d rules to %s", len(rules), dir)
	code, license := deviceProgram(rules), []byte("Apache\x00")
	load := struct { // the first fields of bpf(2)'s; on a 64-bit machine pointers are its __u64
		kind, count   uint32
		code, license unsafe.Pointer
	}{unix.BPF_PROG_TYPE_CGROUP_DEVICE, uint32(len(code)), unsafe.Pointer(&code[0]), unsafe.Pointer(&license[0])}
	program, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&load), unsafe.Sizeof(load))
	if err != nil {
		return fmt.Errorf("load the eBPF program: %w", err)
	}
	defer unix.Close(program) // the group holds it
	group, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(group)
	attach := [...]uint32{uint32(group), uint32(program), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attach), unsafe.Sizeof(attach)); err != nil {
		return fmt.Errorf("attach the eBPF program to %s: %w", dir, err)
	}
	return nil
}

func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		result, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
		if errno == 0 {
			return int(result), nil
		}
		if errno != unix.EAGAIN { // the verifier gave way to a signal, such as the Go runtime's own
			return -1, errno
		}
	}
}

// instruction is struct bpf_insn of linux/bpf.h on a little-endian machine.
type instruction struct {
	code      uint8
	registers uint8 // destination | source << 4
	offset    int16 // of a jump: how many instructions to skip; of a load: bytes
	value     int32
}

const (
	load    = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
	set     = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	and     = unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K
	shift   = unix.BPF_ALU64 | unix.BPF_RSH | unix.BPF_K
	jump    = unix.BPF_JMP | unix.BPF_JA
	jumpNot = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K  // if the register is not value
	jumpAny = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K // if it has any bit of value
	exit    = unix.BPF_JMP | unix.BPF_EXIT
)

// deviceProgram compiles the rules. It walks them from the last to the first and
// keeps in R2 the rights that are asked for and not yet granted:
//
//	a rule that fits and allows  strikes its rights off R2; none left: return 1
//	a rule that fits and denies  any of its rights left in R2: return 0
//	after the first rule         return 0
//
// Its argument, in R1, is struct bpf_cgroup_dev_ctx { u32 access<<16|type, major, minor }.
func deviceProgram(rules []specs.LinuxDeviceCgroup) []instruction {
	program := []instruction{
		{code: load, registers: 2 | 1<<4},
		{code: shift, registers: 2, value: 16}, // R2 = access
		{code: load, registers: 3 | 1<<4},
		{code: and, registers: 3, value: 0xffff},     // R3 = type
		{code: load, registers: 4 | 1<<4, offset: 4}, // R4 = major
		{code: load, registers: 5 | 1<<4, offset: 8}, // R5 = minor
	}
	for i := len(rules) - 1; i >= 0; i-- {
		program = append(program, compileRule(rules[i])...)
	}
	return append(program, instruction{code: set, value: 0}, instruction{code: exit})
}

// compileRule makes seven instructions of every rule, so that all jumps are known.
func compileRule(r specs.LinuxDeviceCgroup) []instruction {
	kind, major, minor, rights := int64(-1), int64(-1), int64(-1), rightsOf("rwm")
	if r.Type == "b" || r.Type == "c" {
		kind = int64(strings.Index(" bc", r.Type)) // BPF_DEVCG_DEV_BLOCK, _CHAR
		major, minor, rights = numberOr(r.Major), numberOr(r.Minor), rightsOf(r.Access)
	}
	fits := []instruction{unless(3, kind, 6), unless(4, major, 5), unless(5, minor, 4)}
	if r.Allow {
		return append(fits, instruction{and, 2, 0, ^rights}, instruction{jumpNot, 2, 2, 0},
			instruction{code: set, value: 1}, instruction{code: exit})
	}
	return append(fits, instruction{jumpAny, 2, 1, rights}, instruction{code: jump, offset: 2},
		instruction{code: set, value: 0}, instruction{code: exit})
}

// unless skips instructions if a register does not have the number, if one is asked for.
func unless(register uint8, number int64, skip int16) instruction {
	if number < 0 {
		return instruction{code: jump} // to the next: do nothing
	}
	return instruction{jumpNot, register, skip, int32(number)}
}
