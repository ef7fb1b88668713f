package security

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A filter reads struct seccomp_data (linux/seccomp.h) as if it were a packet:
//
//	offset 0  nr     system call number
//	       4  arch   AUDIT_ARCH_*
//	       8  instruction pointer
//	      16  args   six of 64 bits; the machines served here store the low half first
const (
	offsetNumber       = 0
	offsetArchitecture = 4
	offsetArguments    = 16
)

// A block is code that always ends in a return, so blocks can be put one behind
// the other and none needs to know where it will stand: BPF jumps are relative
// and go forward only.
type block []bpf.Instruction

// assemble writes the program: find the architecture, then the number by binary
// search, then test the arguments. A call of an architecture that is not among
// those given kills the thread.
func assemble(architectures []architecture, otherwise, unknown action) ([]unix.SockFilter, error) {
	program := block{bpf.LoadAbsolute{Off: offsetArchitecture, Size: 4}}
	for len(architectures) > 0 {
		// x32 stands behind amd64, in the same search: they have one number.
		n := 1
		for n < len(architectures) && architectures[n].audit == architectures[0].audit {
			n++
		}
		body := block{bpf.LoadAbsolute{Off: offsetNumber, Size: 4}}
		body = append(body, search(ranges(architectures[:n], otherwise, unknown))...)
		program = append(program, skipUnless(bpf.JumpEqual, architectures[0].audit, len(body))...)
		program = append(program, body...)
		architectures = architectures[n:]
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

// A span is all system call numbers from first up to the next span's first.
type span struct {
	first uint32
	wide  bool
	callRules
}

// ranges divides all numbers into as few spans as possible: Docker's profile
// allows 400 calls, but in runs with few gaps.
func ranges(architectures []architecture, otherwise, unknown action) []span {
	var spans []span
	add := func(s span) {
		if n := len(spans); n > 0 && spans[n-1].first == s.first {
			spans = spans[:n-1]
		}
		if n := len(spans); n > 0 && len(spans[n-1].conditional)+len(s.conditional) == 0 && spans[n-1].always == s.always {
			return
		}
		spans = append(spans, s)
	}
	for _, a := range architectures {
		gap := span{first: a.first, wide: a.wide, callRules: callRules{always: otherwise}}
		fromUnknown := func() {
			if gap.always != unknown && a.newest > 0 {
				gap.first, gap.always = a.newest+1, unknown
				add(gap)
			}
		}
		add(gap)
		for _, call := range a.calls {
			if call.number > a.newest { // private to ARM
				fromUnknown()
			}
			add(span{call.number, a.wide, *call.callRules})
			gap.first = call.number + 1
			add(gap)
		}
		fromUnknown()
	}
	if architectures[0].audit == unix.AUDIT_ARCH_X86_64 && len(architectures) == 1 && unknown == otherwise {
		// x32 was not asked for, and its numbers must not pass as unknown ones.
		add(span{first: x32Bit, callRules: callRules{always: unix.SECCOMP_RET_KILL_THREAD}})
	}
	return spans
}

// search finds the span of the number in the accumulator.
func search(spans []span) block {
	if len(spans) == 1 {
		return spans[0].test()
	}
	middle := len(spans) / 2
	below := search(spans[:middle])
	code := skipIf(bpf.JumpGreaterOrEqual, spans[middle].first, len(below))
	code = append(code, below...)
	return append(code, search(spans[middle:])...)
}

// test tries the conditional rules in order.
func (s span) test() block {
	var code block
	for _, rule := range s.conditional {
		matched := block{bpf.RetConstant{Val: uint32(rule.action)}}
		for _, condition := range rule.conditions {
			matched = append(compare(condition, s.wide, len(matched)), matched...)
		}
		code = append(code, matched...)
	}
	return append(code, bpf.RetConstant{Val: uint32(s.always)})
}

// skipIf jumps over n instructions if the accumulator compares to value as test
// says. A conditional jump reaches 255 instructions, an unconditional one any.
func skipIf(test bpf.JumpTest, value uint32, n int) block {
	if n <= 255 {
		return block{bpf.JumpIf{Cond: test, Val: value, SkipTrue: uint8(n)}}
	}
	return block{bpf.JumpIf{Cond: test, Val: value, SkipFalse: 1}, bpf.Jump{Skip: uint32(n)}}
}

// skipUnless is skipIf with the opposite condition.
func skipUnless(test bpf.JumpTest, value uint32, n int) block {
	if n <= 255 {
		return block{bpf.JumpIf{Cond: test, Val: value, SkipFalse: uint8(n)}}
	}
	return block{bpf.JumpIf{Cond: test, Val: value, SkipTrue: 1}, bpf.Jump{Skip: uint32(n)}}
}

// compare goes on behind itself if the condition holds, and otherwise skips n
// instructions more. BPF has registers of 32 bits, so 64 are compared by halves.
// A 32-bit architecture's arguments have no high half.
func compare(c specs.LinuxSeccompArg, wide bool, n int) block {
	offset := uint32(offsetArguments + 8*c.Index)
	low := bpf.LoadAbsolute{Off: offset, Size: 4}
	high := bpf.LoadAbsolute{Off: offset + 4, Size: 4}
	no := uint8(n) // fits: at most 6 conditions of 6 instructions follow
	value, top := uint32(c.Value), uint32(c.Value>>32)

	if c.Op == specs.OpMaskedEqual { // argument & value == valueTwo
		code := block{low, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: value}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(c.ValueTwo), SkipFalse: no}}
		if wide {
			code = append(block{high, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: top}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(c.ValueTwo >> 32), SkipFalse: no + 3}}, code...)
		}
		return code
	}

	test, decisive := comparison(c.Op)
	code := block{low, bpf.JumpIf{Cond: test, Val: value, SkipFalse: no}}
	if !wide {
		return code
	}
	// The high halves settle it unless they are equal: yes if the decisive test
	// holds for them, no otherwise. Two values that differ there are not equal.
	settle := block{high, bpf.JumpIf{Cond: bpf.JumpEqual, Val: top, SkipFalse: no + 2}}
	if c.Op != specs.OpEqualTo {
		settle = block{high, bpf.JumpIf{Cond: decisive, Val: top, SkipTrue: 3}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: top, SkipFalse: no + 2}}
	}
	return append(settle, code...)
}

// comparison is how an operator compares low halves, and what makes it true for
// high halves alone.
func comparison(op specs.LinuxSeccompOperator) (test, decisive bpf.JumpTest) {
	switch op {
	case specs.OpNotEqual:
		return bpf.JumpNotEqual, bpf.JumpNotEqual
	case specs.OpLessThan:
		return bpf.JumpLessThan, bpf.JumpLessThan
	case specs.OpLessEqual:
		return bpf.JumpLessOrEqual, bpf.JumpLessThan
	case specs.OpGreaterThan:
		return bpf.JumpGreaterThan, bpf.JumpGreaterThan
	case specs.OpGreaterEqual:
		return bpf.JumpGreaterOrEqual, bpf.JumpGreaterThan
	}
	return bpf.JumpEqual, bpf.JumpEqual
}
