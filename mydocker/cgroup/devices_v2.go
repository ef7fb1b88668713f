package cgroup

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/trace"
)

// Version 2 has no file for devices. The kernel instead runs an eBPF program of
// type cgroup_device, attached to the group, at every open and mknod of a device,
// and refuses with EPERM when it returns 0. Its argument is (linux/bpf.h)
//
//	struct bpf_cgroup_dev_ctx {
//		__u32 access_type; // access << 16 | type
//		__u32 major;
//		__u32 minor;
//	};

// setDevicesV2 attaches a program for the rules to the group dir. One attached
// before is replaced in one step: there is no moment without rules.
func setDevicesV2(dir string, devices []specs.LinuxDeviceCgroup) error {
	rules, err := deviceRules(devices)
	if err != nil {
		return err
	}
	trace.Step("bpf", "attach a cgroup_device program of %d rules to %s", len(rules), dir)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "devices", Type: ebpf.CGroupDevice, Instructions: deviceProgram(rules), License: "Apache",
	})
	if err != nil {
		return fmt.Errorf("limit devices: load the eBPF program: %w", err)
	}
	defer program.Close() // the group holds it from now on

	group, err := os.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("limit devices: %w", err)
	}
	defer group.Close()
	old, err := attachedPrograms(group)
	if err != nil {
		return fmt.Errorf("limit devices: eBPF programs of %s: %w", dir, err)
	}
	defer func() {
		for _, p := range old {
			p.Close()
		}
	}()

	// All programs of a group and of the groups above must agree to allow
	// (ALLOW_MULTI), so an additional one can only take away.
	attach := link.RawAttachProgramOptions{
		Target: int(group.Fd()), Program: program, Attach: ebpf.AttachCGroupDevice, Flags: unix.BPF_F_ALLOW_MULTI,
	}
	if len(old) == 1 {
		attach.Anchor = link.ReplaceProgram(old[0])
	}
	if err := link.RawAttachProgram(attach); err != nil {
		return fmt.Errorf("limit devices: attach the eBPF program to %s: %w", dir, err)
	}
	if len(old) == 1 {
		return nil
	}
	var errs []error
	for _, p := range old {
		errs = append(errs, link.RawDetachProgram(link.RawDetachProgramOptions{
			Target: int(group.Fd()), Program: p, Attach: ebpf.AttachCGroupDevice,
		}))
	}
	return errors.Join(errs...)
}

// attachedPrograms opens the device programs of a group.
func attachedPrograms(group *os.File) ([]*ebpf.Program, error) {
	result, err := link.QueryPrograms(link.QueryOptions{Target: int(group.Fd()), Attach: ebpf.AttachCGroupDevice})
	if err != nil {
		return nil, err
	}
	var list []*ebpf.Program
	for _, p := range result.Programs {
		program, err := ebpf.NewProgramFromID(p.ID)
		if errors.Is(err, os.ErrNotExist) {
			continue // detached by somebody else meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, program)
	}
	return list, nil
}

// deviceProgram compiles the rules. It walks them from the last to the first and
// keeps in R2 the rights that are asked for and not yet granted:
//
//	a rule that fits and allows     strikes its rights off R2; none left: return 1
//	a rule that fits and denies     any of its rights left in R2: return 0
//	after the first rule            return 1, as a new group of version 1 allows everything
func deviceProgram(rules []deviceRule) asm.Instructions {
	program := asm.Instructions{
		asm.LoadMem(asm.R3, asm.R1, 0, asm.Word), // R3 = type
		asm.Mov.Reg(asm.R2, asm.R3),
		asm.And.Imm(asm.R3, 0xffff),
		asm.RSh.Imm(asm.R2, 16),                  // R2 = access
		asm.LoadMem(asm.R4, asm.R1, 4, asm.Word), // R4 = major
		asm.LoadMem(asm.R5, asm.R1, 8, asm.Word), // R5 = minor
	}
	next := ""
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		start := len(program)
		label := next
		next = fmt.Sprintf("rule %d", i-1)
		switch r.kind {
		case 'b':
			program = append(program, asm.JNE.Imm(asm.R3, unix.BPF_DEVCG_DEV_BLOCK, next))
		case 'c':
			program = append(program, asm.JNE.Imm(asm.R3, unix.BPF_DEVCG_DEV_CHAR, next))
		}
		if r.major >= 0 {
			program = append(program, asm.JNE.Imm(asm.R4, int32(r.major), next))
		}
		if r.minor >= 0 {
			program = append(program, asm.JNE.Imm(asm.R5, int32(r.minor), next))
		}
		program = append(program, decide(r, next)...)
		if label != "" {
			program[start] = program[start].WithSymbol(label)
		}
		// A rule that denies all of everything ends the program, as it usually
		// does first in the list: the verifier refuses instructions that cannot be reached.
		if r == denyAll {
			return program
		}
	}
	allow := asm.Mov.Imm(asm.R0, 1)
	if next != "" {
		allow = allow.WithSymbol(next)
	}
	return append(program, allow, asm.Return())
}

var denyAll = deviceRule{kind: 'a', major: -1, minor: -1, access: "rwm"}

// decide is what a rule that fits does before control goes on to the label next.
func decide(r deviceRule, next string) asm.Instructions {
	rights := accessBits(r.access)
	switch {
	case r.allow:
		return asm.Instructions{
			asm.And.Imm(asm.R2, ^rights),
			asm.JNE.Imm(asm.R2, 0, next),
			asm.Mov.Imm(asm.R0, 1),
			asm.Return(),
		}
	case rights == accessBits("rwm"):
		// Also when none of the rights is asked for, as by access(2) with X_OK.
		return asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	default:
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R2),
			asm.And.Imm(asm.R1, rights),
			asm.JEq.Imm(asm.R1, 0, next),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		}
	}
}

func accessBits(access string) (bits int32) {
	for _, letter := range access {
		switch letter {
		case 'm':
			bits |= unix.BPF_DEVCG_ACC_MKNOD
		case 'r':
			bits |= unix.BPF_DEVCG_ACC_READ
		case 'w':
			bits |= unix.BPF_DEVCG_ACC_WRITE
		}
	}
	return bits
}
