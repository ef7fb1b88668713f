package security

import (
	"fmt"
	"runtime"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A filter reads struct seccomp_data (linux/seccomp.h) as if it were a packet.
const (
	offsetNumber       = 0
	offsetArchitecture = 4  // AUDIT_ARCH_*
	offsetArguments    = 16 // six of 64 bits; the machines served here store the low half first
)

// A block is code that always ends in a return, so blocks can be put one behind
// the other and none needs to know where it will stand: BPF jumps are relative
// and go forward only.
type block []bpf.Instruction

// assemble writes the program: find the architecture, then the number by binary
// search, then test the arguments. A call of any other architecture kills the
// thread.
func assemble(named []specs.Arch, byName map[string]rules, otherwise action) ([]unix.SockFilter, error) {
	program := block{bpf.LoadAbsolute{Off: offsetArchitecture, Size: 4}}
	for _, a := range architectures {
		if a.machine != runtime.GOARCH || !a.native() && !slices.Contains(named, a.name) {
			continue
		}
		body := block{bpf.LoadAbsolute{Off: offsetNumber, Size: 4}}
		body = append(body, search(a.spans(byName, otherwise), a.native())...)
		program = append(program, skipIf(bpf.JumpNotEqual, a.audit, len(body))...)
		program = append(program, body...)
	}
	program = append(program, bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_THREAD})

	const largest = 4096 // BPF_MAXINSNS
	if len(program) > largest {
		return nil, fmt.Errorf("seccomp filter has %d instructions, the kernel takes %d", len(program), largest)
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble seccomp filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}

// search finds the span of the number in the accumulator, and tries its rules in
// order.
func search(spans []span, wide bool) (code block) {
	if len(spans) > 1 {
		middle := len(spans) / 2
		below := search(spans[:middle], wide)
		code = append(skipIf(bpf.JumpGreaterOrEqual, spans[middle].first, len(below)), below...)
		return append(code, search(spans[middle:], wide)...)
	}
	for _, rule := range spans[0].rules {
		matched := block{bpf.RetConstant{Val: uint32(rule.action)}}
		for _, condition := range rule.conditions {
			matched = append(compare(condition, wide, len(matched)), matched...)
		}
		code = append(code, matched...)
	}
	return code
}

// skipIf jumps over n instructions if the accumulator compares to value as test
// says. A conditional jump reaches 255 instructions, an unconditional one any.
func skipIf(test bpf.JumpTest, value uint32, n int) block {
	if n <= 255 {
		return block{bpf.JumpIf{Cond: test, Val: value, SkipTrue: uint8(n)}}
	}
	return block{bpf.JumpIf{Cond: test, Val: value, SkipFalse: 1}, bpf.Jump{Skip: uint32(n)}}
}

// compare goes on behind itself if the condition holds, and otherwise skips n
// instructions more. BPF has registers of 32 bits, so 64 are compared by halves.
// A 32-bit architecture's arguments have no high half.
func compare(c specs.LinuxSeccompArg, wide bool, n int) block {
	value, mask := c.Value, ^uint64(0)
	if c.Op == specs.OpMaskedEqual { // argument & value == valueTwo
		value, mask = c.ValueTwo, c.Value
	}
	load := func(offset, mask uint32) block {
		code := block{bpf.LoadAbsolute{Off: offsetArguments + 8*uint32(c.Index) + offset, Size: 4}}
		if c.Op == specs.OpMaskedEqual {
			code = append(code, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
		}
		return code
	}
	tests, _ := comparison(c.Op)
	no := uint8(n) // fits: at most 6 conditions of 6 instructions follow
	low := append(load(0, uint32(mask)), bpf.JumpIf{Cond: tests.low, Val: uint32(value), SkipFalse: no})
	if !wide {
		return low
	}
	// The high halves settle it unless they are equal: yes if their test holds, no
	// otherwise. Two values that differ there are not equal.
	high, top := load(4, uint32(mask>>32)), uint32(value>>32)
	if tests.high != bpf.JumpEqual {
		high = append(high, bpf.JumpIf{Cond: tests.high, Val: top, SkipTrue: uint8(len(low)) + 1})
	}
	high = append(high, bpf.JumpIf{Cond: bpf.JumpEqual, Val: top, SkipFalse: no + uint8(len(low))})
	return append(high, low...)
}

// comparison is how an operator compares low halves, and what makes it true for
// high halves alone (equality: nothing does).
func comparison(op specs.LinuxSeccompOperator) (tests struct{ low, high bpf.JumpTest }, known bool) {
	tests, known = map[specs.LinuxSeccompOperator]struct{ low, high bpf.JumpTest }{
		specs.OpEqualTo:      {bpf.JumpEqual, bpf.JumpEqual},
		specs.OpMaskedEqual:  {bpf.JumpEqual, bpf.JumpEqual},
		specs.OpNotEqual:     {bpf.JumpNotEqual, bpf.JumpNotEqual},
		specs.OpLessThan:     {bpf.JumpLessThan, bpf.JumpLessThan},
		specs.OpLessEqual:    {bpf.JumpLessOrEqual, bpf.JumpLessThan},
		specs.OpGreaterThan:  {bpf.JumpGreaterThan, bpf.JumpGreaterThan},
		specs.OpGreaterEqual: {bpf.JumpGreaterOrEqual, bpf.JumpGreaterThan},
	}[op]
	return tests, known
}
