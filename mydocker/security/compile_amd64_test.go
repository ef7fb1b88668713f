package security

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	profiles "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// machine runs a filter as the kernel would.
type machine struct {
	t  *testing.T
	vm *bpf.VM
}

func load(t *testing.T, profile *specs.LinuxSeccomp) machine {
	t.Helper()
	filter, err := Compile(profile)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]bpf.RawInstruction, len(filter))
	for i, f := range filter {
		raw[i] = bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	code, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter has unknown instructions")
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	return machine{t, vm}
}

// call gives the action for a system call. The virtual machine reads numbers
// with the high byte first, as they are in packets.
func (m machine) call(arch, number uint32, arguments ...uint64) action {
	m.t.Helper()
	data := binary.BigEndian.AppendUint32(nil, number)
	data = binary.BigEndian.AppendUint32(data, arch)
	data = append(data, make([]byte, 8)...)
	for i := range 6 {
		var a uint64
		if i < len(arguments) {
			a = arguments[i]
		}
		data = binary.BigEndian.AppendUint32(data, uint32(a))
		data = binary.BigEndian.AppendUint32(data, uint32(a>>32))
	}
	result, err := m.vm.Run(data)
	if err != nil {
		m.t.Fatal(err)
	}
	return action(result)
}

const (
	amd64  = unix.AUDIT_ARCH_X86_64
	i386   = unix.AUDIT_ARCH_I386
	allow  = action(unix.SECCOMP_RET_ALLOW)
	eperm  = action(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	enosys = action(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	kill   = action(unix.SECCOMP_RET_KILL_THREAD)
)

func profileOf(defaultAction specs.LinuxSeccompAction, rules ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: defaultAction,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Syscalls:      rules,
	}
}

func on(does specs.LinuxSeccompAction, names string, conditions ...specs.LinuxSeccompArg) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: strings.Fields(names), Action: does, Args: conditions}
}

func TestOperators(t *testing.T) {
	values := []uint64{0, 1, 5, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<32 + 5, 5 << 32, 5<<32 + 5, 5<<32 + 6, 6 << 32, 1<<64 - 1}
	truth := map[specs.LinuxSeccompOperator]func(a, v, two uint64) bool{
		specs.OpNotEqual:     func(a, v, _ uint64) bool { return a != v },
		specs.OpLessThan:     func(a, v, _ uint64) bool { return a < v },
		specs.OpLessEqual:    func(a, v, _ uint64) bool { return a <= v },
		specs.OpEqualTo:      func(a, v, _ uint64) bool { return a == v },
		specs.OpGreaterEqual: func(a, v, _ uint64) bool { return a >= v },
		specs.OpGreaterThan:  func(a, v, _ uint64) bool { return a > v },
		specs.OpMaskedEqual:  func(a, v, two uint64) bool { return a&v == two },
	}
	for op, holds := range truth {
		for _, value := range values {
			for _, two := range []uint64{0, value, value & 5} {
				condition := specs.LinuxSeccompArg{Index: 3, Value: value, ValueTwo: two, Op: op}
				m := load(t, profileOf(specs.ActErrno, on(specs.ActAllow, "read", condition)))
				for _, argument := range values {
					want := eperm
					if holds(argument, value, two) {
						want = allow
					}
					if got := m.call(amd64, unix.SYS_READ, 9, 9, 9, argument); got != want {
						t.Errorf("%#x %s %#x (%#x): %#x, want %#x", argument, op, value, two, got, want)
					}
					want = eperm
					if holds(argument&(1<<32-1), value&(1<<32-1), two&(1<<32-1)) {
						want = allow
					}
					if got := m.call(i386, 3, 9, 9, 9, argument&(1<<32-1)); got != want {
						t.Errorf("32 bits: %#x %s %#x (%#x): %#x, want %#x", argument, op, value, two, got, want)
					}
				}
			}
		}
	}
}

func TestRules(t *testing.T) {
	arg := func(index uint, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
	}
	errno := func(n uint, rule specs.LinuxSyscall) specs.LinuxSyscall { rule.ErrnoRet = &n; return rule }
	for _, test := range []struct {
		name     string
		profile  *specs.LinuxSeccomp
		arch, nr uint32
		args     []uint64
		want     action
	}{
		{"the default", profileOf(specs.ActErrno, on(specs.ActAllow, "read close mount")), amd64, unix.SYS_WRITE, nil, eperm},
		{"a rule", profileOf(specs.ActErrno, on(specs.ActAllow, "read close")), amd64, unix.SYS_CLOSE, nil, allow},
		{"unknown names are skipped", profileOf(specs.ActErrno, on(specs.ActAllow, "from_the_future read")), amd64, unix.SYS_READ, nil, allow},
		{"newer than the profile", profileOf(specs.ActErrno, on(specs.ActAllow, "read close")), amd64, unix.SYS_CLOSE + 1, nil, enosys},
		{"newer, and all allowed", profileOf(specs.ActAllow, on(specs.ActErrno, "read")), amd64, 1000, nil, allow},
		{"its errno", profileOf(specs.ActErrno, errno(13, on(specs.ActErrno, "read"))), amd64, unix.SYS_READ, nil, action(unix.SECCOMP_RET_ERRNO | 13)},
		{"first unconditional wins", profileOf(specs.ActErrno, on(specs.ActAllow, "read"), on(specs.ActKill, "read")), amd64, unix.SYS_READ, nil, allow},
		{"unconditional before conditional", profileOf(specs.ActErrno, on(specs.ActKill, "read", arg(0, 1)), on(specs.ActAllow, "read")), amd64, unix.SYS_READ, []uint64{1}, allow},
		{"the default's action says nothing", profileOf(specs.ActErrno, on(specs.ActErrno, "read"), on(specs.ActAllow, "read", arg(0, 1))), amd64, unix.SYS_READ, []uint64{1}, allow},
		{"all conditions hold", profileOf(specs.ActErrno, on(specs.ActAllow, "read", arg(0, 1), arg(5, 2))), amd64, unix.SYS_READ, []uint64{1, 0, 0, 0, 0, 2}, allow},
		{"one does not", profileOf(specs.ActErrno, on(specs.ActAllow, "read", arg(0, 1), arg(5, 2))), amd64, unix.SYS_READ, []uint64{1}, eperm},
		{"two on one argument are alternatives", profileOf(specs.ActErrno, on(specs.ActAllow, "read", arg(0, 1), arg(0, 2))), amd64, unix.SYS_READ, []uint64{2}, allow},
		{"several rules", profileOf(specs.ActErrno, on(specs.ActAllow, "read", arg(0, 1)), on(specs.ActTrap, "read", arg(0, 2))), amd64, unix.SYS_READ, []uint64{2}, unix.SECCOMP_RET_TRAP},
		{"32-bit numbers", profileOf(specs.ActErrno, on(specs.ActAllow, "read")), i386, 3, nil, allow},
		{"x32 is a foreign system", profileOf(specs.ActErrno, on(specs.ActAllow, "read")), amd64, x32Bit | unix.SYS_READ, nil, enosys},
		{"also where all is allowed", profileOf(specs.ActAllow), amd64, x32Bit | unix.SYS_READ, nil, enosys},
		{"another architecture", profileOf(specs.ActAllow), unix.AUDIT_ARCH_ARM, 3, nil, kill},
		{"386 not asked for", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}, i386, 3, nil, kill},
		{"bind through socketcall", profileOf(specs.ActAllow, on(specs.ActErrno, "bind")), i386, 102, []uint64{2}, eperm},
		{"not socket", profileOf(specs.ActAllow, on(specs.ActErrno, "bind")), i386, 102, []uint64{1}, allow},
		{"shmat through ipc", profileOf(specs.ActErrno, on(specs.ActAllow, "shmat")), i386, 117, []uint64{21}, allow},
		{"never allowed with conditions", profileOf(specs.ActErrno, on(specs.ActAllow, "socket", arg(0, 1))), i386, 102, []uint64{1}, eperm},
		{"refused with conditions", profileOf(specs.ActAllow, on(specs.ActErrno, "socket", arg(0, 40))), i386, 102, []uint64{1}, eperm},
		{"log", profileOf(specs.ActErrno, on(specs.ActLog, "read")), amd64, unix.SYS_READ, nil, unix.SECCOMP_RET_LOG},
		{"trace", profileOf(specs.ActErrno, on(specs.ActTrace, "read")), amd64, unix.SYS_READ, nil, unix.SECCOMP_RET_TRACE | 1},
		{"kill process", profileOf(specs.ActErrno, on(specs.ActKillProcess, "read")), amd64, unix.SYS_READ, nil, unix.SECCOMP_RET_KILL_PROCESS},
	} {
		if got := load(t, test.profile).call(test.arch, test.nr, test.args...); got != test.want {
			t.Errorf("%s: %#x, want %#x", test.name, got, test.want)
		}
	}
}

// TestPrivateCalls looks at the spans of 32-bit ARM, whose private calls are far
// above all others: what lies between is newer than the profile.
func TestPrivateCalls(t *testing.T) {
	always := func(does action) rules { return rules{{nil, does}} }
	arm := architectures[3]
	got := arm.spans(map[string]rules{"exit": always(allow), "fork": always(allow), "set_tls": always(allow)}, eperm)
	want := []span{{0, always(eperm)}, {1, always(allow)}, {3, always(enosys)}, {0xf0005, always(allow)}, {0xf0006, always(enosys)}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestRefusedProfiles(t *testing.T) {
	big, small := uint(5000), uint(1)
	for want, profile := range map[string]*specs.LinuxSeccomp{
		"NOTIFY cannot be used as default action":  profileOf(specs.ActNotify),
		"NOTIFY cannot be used for the write sysc": profileOf(specs.ActErrno, on(specs.ActNotify, "read", specs.LinuxSeccompArg{Op: specs.OpEqualTo}), on(specs.ActNotify, "write")),
		"string SCMP_ACT_X is not a valid action":  profileOf("SCMP_ACT_X"),
		"errno value specified for action":         {DefaultAction: specs.ActAllow, DefaultErrnoRet: &small},
		"string SCMP_ARCH_X is not a valid arch":   {DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX32, "SCMP_ARCH_X"}},
		"argument 6":                               profileOf(specs.ActErrno, on(specs.ActAllow, "read", specs.LinuxSeccompArg{Index: 6, Op: specs.OpEqualTo})),
		"string SCMP_CMP_X is not a valid operato": profileOf(specs.ActErrno, on(specs.ActAllow, "read", specs.LinuxSeccompArg{Op: "SCMP_CMP_X"})),
		"errnoRet 5000":                            {DefaultAction: specs.ActErrno, DefaultErrnoRet: &big},
		`flag "SECCOMP_FILTER_FLAG_X" is not supp`: {DefaultAction: specs.ActErrno, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_X"}},
	} {
		if _, err := Compile(profile); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestDefaultProfileAnswers(t *testing.T) {
	profile, err := profiles.GetDefaultProfile(dockerSpec())
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, profile)
	for _, test := range []struct {
		nr   uint32
		args []uint64
		want action
	}{
		{unix.SYS_READ, nil, allow}, {unix.SYS_KEYCTL, nil, eperm}, {unix.SYS_MOUNT, nil, eperm}, {unix.SYS_CLONE3, nil, enosys},
		{unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, eperm}, {unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, allow},
		{unix.SYS_PERSONALITY, []uint64{0x20008}, allow}, {unix.SYS_PERSONALITY, []uint64{0x40000}, eperm}, {unix.SYS_PERSONALITY, []uint64{0xffffffff}, allow},
		{unix.SYS_SOCKET, []uint64{unix.AF_VSOCK}, eperm}, {unix.SYS_SOCKET, []uint64{unix.AF_ALG}, eperm}, {unix.SYS_SOCKET, []uint64{unix.AF_INET}, allow},
		{unix.SYS_SOCKET, []uint64{unix.AF_XDP}, allow}, {1000, nil, enosys},
	} {
		if got := m.call(amd64, test.nr, test.args...); got != test.want {
			t.Errorf("call %d %#x: %#x, want %#x", test.nr, test.args, got, test.want)
		}
	}
}

func BenchmarkDefaultFilter(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		profile, err := profiles.GetDefaultProfile(dockerSpec())
		if err != nil {
			b.Fatal(err)
		}
		filter, err := Compile(profile)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(filter)), "instructions")
	}
}

func ExampleSelectCapabilities() {
	_, err := SelectCapabilities([]string{"net_admin", "NET_ADMINISTRATOR"}, nil, false, capabilityNames[:])
	fmt.Println(err)
	// Output: invalid CapAdd: unknown capability: "CAP_NET_ADMINISTRATOR"
}
