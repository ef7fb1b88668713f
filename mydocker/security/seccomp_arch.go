package security

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// An architecture is one of those whose system calls this kernel accepts.
type architecture struct {
	audit  uint32 // AUDIT_ARCH_*, what the filter sees
	first  uint32 // number of its first system call: x32 shares amd64's audit number
	wide   bool   // arguments have 64 bits
	newest uint32 // the largest number that the profile names
	calls  []call // in the order of their numbers
}

// A call is a system call for which the profile has rules.
type call struct {
	number uint32
	*callRules
}

// architecturesOf returns this machine's own architecture and those of the named
// ones that it can run as well, with the profile's rules for them. Others are
// passed over: no call of theirs can reach the filter.
func architecturesOf(names []specs.Arch, rules map[string]*callRules, otherwise action) ([]architecture, error) {
	has := func(name specs.Arch) bool { return slices.Contains(names, name) }
	var found []architecture
	switch runtime.GOARCH {
	case "amd64":
		amd64 := architecture{audit: unix.AUDIT_ARCH_X86_64, wide: true}
		amd64.apply(rules, amd64Calls, nil)
		found = append(found, amd64)
		if has(specs.ArchX32) {
			x32 := architecture{audit: unix.AUDIT_ARCH_X86_64, first: x32Bit}
			x32.apply(rules, amd64Calls, x32Numbers())
			found = append(found, x32)
		}
		if has(specs.ArchX86) {
			i386 := architecture{audit: unix.AUDIT_ARCH_I386}
			i386.apply(rules, i386Calls, nil)
			i386.multiplex(rules, otherwise)
			found = append(found, i386)
		}
	case "arm64":
		arm64 := architecture{audit: unix.AUDIT_ARCH_AARCH64, wide: true}
		arm64.apply(rules, arm64Calls, nil)
		found = append(found, arm64)
		if has(specs.ArchARM) {
			arm := architecture{audit: unix.AUDIT_ARCH_ARM}
			arm.apply(rules, armCalls, nil)
			found = append(found, arm)
		}
	default:
		return nil, fmt.Errorf("compile seccomp profile: no system call table for %s", runtime.GOARCH)
	}
	return found, nil
}

// apply finds the rules of the calls in a table. own are numbers that the
// architecture has instead of the table's.
func (a *architecture) apply(rules map[string]*callRules, table string, own map[string]uint32) {
	a.calls = make([]call, 0, len(rules)+8)
	for name, number := range parseCalls(table) {
		found, ok := rules[name]
		if !ok {
			continue
		}
		if n, ok := own[name]; ok {
			number = n
		}
		number |= a.first
		if number < armPrivate|a.first {
			a.newest = max(a.newest, number)
		}
		if found.decided || len(found.conditional) > 0 {
			a.calls = append(a.calls, call{number, found})
		}
	}
	slices.SortFunc(a.calls, func(x, y call) int { return cmp.Compare(x.number, y.number) })
}

// multiplex adds to socketcall and ipc the rules of the functions behind them.
// The filter cannot see such a function's own arguments: they are in memory. A
// rule with conditions then refuses the function as a whole, and never allows it.
func (a *architecture) multiplex(rules map[string]*callRules, otherwise action) {
	for _, m := range [...]struct {
		number    uint32
		name      string
		first     uint64
		functions string
	}{
		{102, "socketcall", 1, socketFunctions},
		{117, "ipc", 1, semaphoreFunctions},
		{117, "ipc", 11, messageFunctions},
		{117, "ipc", 21, memoryFunctions},
	} {
		at, exists := slices.BinarySearchFunc(a.calls, m.number, func(c call, n uint32) int { return cmp.Compare(c.number, n) })
		merged := callRules{always: otherwise}
		if exists {
			merged = *a.calls[at].callRules
		}
		if merged.decided {
			continue
		}
		merged.conditional = slices.Clone(merged.conditional)
		for i, name := range strings.Fields(m.functions) {
			function, ok := rules[name]
			if !ok {
				continue
			}
			argument := []specs.LinuxSeccompArg{{Index: 0, Value: m.first + uint64(i), Op: specs.OpEqualTo}}
			if function.decided {
				merged.conditional = append(merged.conditional, rule{argument, function.always})
			}
			for _, r := range function.conditional {
				if !r.action.permits() {
					merged.conditional = append(merged.conditional, rule{argument, r.action})
				}
			}
		}
		if len(merged.conditional) == 0 {
			continue
		}
		if exists {
			a.calls[at].callRules = &merged
		} else {
			a.calls = slices.Insert(a.calls, at, call{m.number, &merged})
		}
	}
}
