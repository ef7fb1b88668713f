package security

import (
	"embed"
	"math"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A table has a line for each system call: its name and number. A third word
// says that the call is reached through another one as well: on 32-bit x86 all
// System V IPC and the sockets of old programs are functions of ipc(2) and
// socketcall(2), the first argument says which. A rule for "bind" must therefore
// meet socketcall(2, ...) too. (TestTables makes the tables.)
//
// They stay text until a filter is compiled: a map would cost every start of the
// program, also of those that compile none.
//
//go:embed syscalls/*.txt
var tables embed.FS

// An architecture is what a filter can tell apart by AUDIT_ARCH_*. That of the
// machine is always served, the other one if the profile names it; no call of
// any other reaches the filter.
type architecture struct {
	machine, table string // GOARCH of the machine, and of the programs
	name           specs.Arch
	audit          uint32
}

var architectures = [...]architecture{
	{"amd64", "amd64", specs.ArchX86_64, unix.AUDIT_ARCH_X86_64},
	{"amd64", "386", specs.ArchX86, unix.AUDIT_ARCH_I386},
	{"arm64", "arm64", specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64},
	{"arm64", "arm", specs.ArchARM, unix.AUDIT_ARCH_ARM},
}

// knownArchitecture tells whether libseccomp has a name. It is no error to name
// one that no program of this machine can have.
func knownArchitecture(name specs.Arch) bool {
	return slices.Contains([]specs.Arch{
		specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32,
		specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X,
		specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB,
	}, name)
}

// native architectures have arguments of 64 bits, the others of 32.
func (a architecture) native() bool { return a.table == a.machine }

// x32, 64-bit code with 32-bit pointers, has amd64's AUDIT_ARCH and marks its
// numbers with this bit (arch/x86/include/uapi/asm/unistd.h). Hardly a kernel
// has it: all its calls return ENOSYS, as if this one had not.
const x32Bit = 1 << 30

// A span is all system call numbers from first up to the next span's first.
type span struct {
	first uint32
	rules rules // the last has no conditions
}

// spans divides the numbers into as few spans as possible: Docker's profile
// allows 400 calls, but in runs with few gaps.
func (a architecture) spans(byName map[string]rules, otherwise action) []span {
	fallback, unknown := rules{{nil, otherwise}}, rules{{nil, unix.SECCOMP_RET_ERRNO | action(unix.ENOSYS)}}
	gap := span{0, fallback}
	all := []span{gap}
	calls := a.calls(byName)
	for i, call := range calls {
		call.rules = call.rules.or(fallback)
		all = append(all, call)
		next := uint32(math.MaxUint32)
		if i+1 < len(calls) {
			next = calls[i+1].first
		}
		// A program that probes for a new call, such as glibc with faccessat2 in
		// 2020, falls back to the old one on ENOSYS but gives up on EPERM. So calls
		// newer than every one the profile names return ENOSYS, unless the default
		// lets them pass (runc: libcontainer/seccomp/patchbpf). The newest is the
		// last, or the last below ARM's private calls.
		if newest := next-call.first > 0xffff; newest && !otherwise.permits() {
			gap.rules = unknown
		}
		if gap.first = call.first + 1; gap.first < next {
			all = append(all, gap)
		}
	}
	if a.audit == unix.AUDIT_ARCH_X86_64 {
		all = append(all, span{x32Bit, unknown})
	}
	return slices.CompactFunc(all, func(s, next span) bool {
		return len(s.rules) == 1 && len(next.rules) == 1 && s.rules[0].action == next.rules[0].action
	})
}

// calls are those that the profile names, with their rules, in the order of the
// table, which is that of their numbers.
func (a architecture) calls(byName map[string]rules) (calls []span) {
	table, _ := tables.ReadFile("syscalls/" + a.table + ".txt") // TestTables has read it
	for line := range strings.Lines(string(table)) {
		name, numbers, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		rules, named := byName[name]
		if !named {
			continue
		}
		text, function, behind := strings.Cut(numbers, " ")
		number, _ := strconv.ParseUint(text, 10, 32)
		if behind {
			rules = rules.ofFunction(function)
		}
		if last := len(calls) - 1; last >= 0 && calls[last].first == uint32(number) {
			calls[last].rules = calls[last].rules.or(rules)
		} else {
			calls = append(calls, span{uint32(number), rules})
		}
	}
	return calls
}

// ofFunction are the rules for a call that stands for many. The filter cannot
// see the function's own arguments: they are in memory. A rule with conditions
// then refuses the function as a whole, and never allows it.
func (r rules) ofFunction(number string) (visible rules) {
	value, _ := strconv.ParseUint(number, 10, 32)
	condition := []specs.LinuxSeccompArg{{Index: 0, Value: value, Op: specs.OpEqualTo}}
	for _, rule := range r {
		if len(rule.conditions) == 0 || !rule.action.permits() {
			rule.conditions = condition
			visible = append(visible, rule)
		}
	}
	return visible
}
