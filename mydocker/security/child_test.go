package security

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	profiles "github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"minidocker/mydocker/namespace"
)

// What these functions do to a thread cannot be undone, so the tests run them in
// a child: this program again, with the name of one of children.
const childVariable = "SECURITY_TEST_CHILD"

var children = map[string]func() error{
	"seccomp":     seccompChild,
	"capability":  capabilityChild,
	"no-resource": noResourceChild,
	"rlimit":      rlimitChild,
}

func TestMain(m *testing.M) {
	if play, ok := children[os.Getenv(childVariable)]; ok {
		runtime.LockOSThread()
		if err := play(); err != nil {
			fmt.Println("child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, name string) string {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), childVariable+"="+name)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("child %s: %v\n%s", name, err, out)
	}
	return string(out)
}

// probes are system calls with what they answer under docker run. (Docker 20.10
// still allows AF_VSOCK.)
var probes = []struct {
	name string
	want syscall.Errno
	call uintptr
	args [3]uintptr
}{
	{"keyctl", unix.EPERM, unix.SYS_KEYCTL, [3]uintptr{0, ^uintptr(0), 0}},
	{"mount", unix.EPERM, unix.SYS_MOUNT, [3]uintptr{}},
	{"unshare user namespace", unix.EPERM, unix.SYS_UNSHARE, [3]uintptr{unix.CLONE_NEWUSER}},
	{"clone user namespace", unix.EPERM, unix.SYS_CLONE, [3]uintptr{unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)}},
	{"clone3", unix.ENOSYS, unix.SYS_CLONE3, [3]uintptr{}},
	{"setns", unix.EPERM, unix.SYS_SETNS, [3]uintptr{}},
	{"bpf", unix.EPERM, unix.SYS_BPF, [3]uintptr{}},
	{"reboot", unix.EPERM, unix.SYS_REBOOT, [3]uintptr{}},
	{"personality of Linux", 0, unix.SYS_PERSONALITY, [3]uintptr{0}},
	{"personality asked", 0, unix.SYS_PERSONALITY, [3]uintptr{0xffffffff}},
	{"personality without randomization", unix.EPERM, unix.SYS_PERSONALITY, [3]uintptr{0x40000}},
	{"socket AF_VSOCK", unix.EPERM, unix.SYS_SOCKET, [3]uintptr{unix.AF_VSOCK, unix.SOCK_STREAM}},
	{"socket AF_UNIX", 0, unix.SYS_SOCKET, [3]uintptr{unix.AF_UNIX, unix.SOCK_STREAM}},
	{"a call of the future", unix.ENOSYS, 1000, [3]uintptr{}},
	{"getppid", 0, unix.SYS_GETPPID, [3]uintptr{}},
}

func dockerSpec() *specs.Spec {
	return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: DefaultCapabilities()}}}
}

// become makes the calls that Credentials writes down.
func become(process *specs.Process, filter []unix.SockFilter) error {
	process.Cwd = "/"
	program, err := binary.Append(nil, binary.NativeEndian, filter)
	if err != nil {
		return err
	}
	first, last, err := Credentials(process, Filter{Program: program, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagSpecAllow}})
	if err != nil {
		return err
	}
	return namespace.Do(append(first, last...))
}

func seccompChild() error {
	profile, err := profiles.GetDefaultProfile(dockerSpec())
	if err != nil {
		return err
	}
	filter, err := Compile(profile)
	if err != nil {
		return err
	}
	if err := become(&specs.Process{NoNewPrivileges: true, Capabilities: dockerSpec().Process.Capabilities}, filter); err != nil {
		return err
	}
	answers := map[string]syscall.Errno{}
	for _, p := range probes {
		pid, _, errno := unix.RawSyscall(p.call, p.args[0], p.args[1], p.args[2])
		if p.call == unix.SYS_CLONE && errno == 0 && pid == 0 {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0) // the filter let a child through
		}
		answers[p.name] = errno
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func TestDefaultFilterInstalled(t *testing.T) {
	got := map[string]syscall.Errno{}
	if err := json.Unmarshal([]byte(child(t, "seccomp")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]syscall.Errno{}
	for _, p := range probes {
		want[p.name] = p.want
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docker run -, filter +\n%s", diff)
	}
}

func capabilityChild() error {
	caps := &specs.LinuxCapabilities{
		Bounding:    []string{"CAP_CHOWN", "CAP_NET_RAW", "CAP_KILL", "CAP_OF_THE_FUTURE"},
		Permitted:   []string{"CAP_CHOWN", "CAP_NET_RAW"},
		Effective:   []string{"CAP_NET_RAW"},
		Inheritable: []string{"CAP_CHOWN"},
		Ambient:     []string{"CAP_CHOWN"},
	}
	user := specs.User{UID: 1234, GID: 2345, AdditionalGids: []uint32{2345, 77}}
	if err := become(&specs.Process{Capabilities: caps, User: user}, nil); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "Uid") || strings.HasPrefix(line, "Gid") || strings.HasPrefix(line, "Groups") {
			fmt.Println(strings.Join(strings.Fields(line), " "))
		}
	}
	return nil
}

func TestCapabilitiesOfThread(t *testing.T) {
	want := strings.Join([]string{
		"Uid: 1234 1234 1234 1234",
		"Gid: 2345 2345 2345 2345",
		"Groups: 77 2345",
		"CapInh: 0000000000000001",
		"CapPrm: 0000000000002001",
		"CapEff: 0000000000002000",
		"CapBnd: 0000000000002021",
		"CapAmb: 0000000000000001",
	}, "\n") + "\n"
	if diff := cmp.Diff(want, child(t, "capability")); diff != "" {
		t.Error(diff)
	}
}

// noResourceChild raises a limit without CAP_SYS_RESOURCE.
func noResourceChild() error {
	if err := become(&specs.Process{}, nil); err != nil {
		return err
	}
	limit := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}, {Type: "RLIMIT_NOFILE", Soft: 100, Hard: 300}}
	fmt.Println(become(&specs.Process{Rlimits: limit}, nil))
	return nil
}

// rlimitChild looks whether limits outlive execve. (syscall.Exec would restore the
// soft limit of open files that the program was started with.)
func rlimitChild() error {
	var files syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	if err == nil {
		err = become(&specs.Process{Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: files.Max}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}}}, nil)
	}
	if err != nil {
		return err
	}
	argv, err := namespace.Strings([]string{"sh", "-c", "ulimit -Sn; ulimit -Hc"})
	if err != nil {
		return err
	}
	return namespace.Do([]namespace.Call{namespace.NewCall("execve", unix.SYS_EXECVE, "/bin/sh", argv, 0)})
}

func TestRlimits(t *testing.T) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 512, Max: files.Max}); err != nil {
		t.Fatal(err)
	}
	if got := child(t, "rlimit"); got != "100\n0\n" {
		t.Errorf("limits after execve: %q", got)
	}
	want := "set RLIMIT_NOFILE to soft 100, hard 300 (to raise a hard limit needs CAP_SYS_RESOURCE): operation not permitted\n"
	if got := child(t, "no-resource"); got != want {
		t.Errorf("raising a limit: %q, want %q", got, want)
	}
	if _, _, err := Credentials(&specs.Process{Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_X"}}}, Filter{}); err == nil {
		t.Error("RLIMIT_X is no limit")
	}
}

func TestSelectCapabilities(t *testing.T) {
	available := []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"} // a poor host
	list := func(names ...string) []string { return names }
	for _, test := range []struct {
		add, drop  []string
		privileged bool
		want       []string
		err        string
	}{
		{nil, nil, false, list("CAP_CHOWN", "CAP_KILL"), ""},
		{list("net_admin"), list("CAP_CHOWN"), false, list("CAP_KILL", "CAP_NET_ADMIN"), ""},
		{list("KILL"), nil, false, list("CAP_CHOWN", "CAP_KILL"), ""},
		{list("all"), list("kill"), false, list("CAP_CHOWN", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"), ""},
		{list("KILL"), list("ALL"), false, list("CAP_KILL"), ""},
		{nil, list("KILL"), true, available, ""},
		{list("X"), nil, false, nil, `invalid CapAdd: unknown capability: "CAP_X"`},
		{nil, list("CAP_X"), false, nil, `invalid CapDrop: unknown capability: "CAP_X"`},
		{list("SYS_RESOURCE"), nil, false, nil, `invalid CapAdd: capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE"`},
	} {
		got, err := SelectCapabilities(test.add, test.drop, test.privileged, available)
		if diff := cmp.Diff(test.want, got); diff != "" || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("add %v drop %v: %v, %v", test.add, test.drop, got, err)
		}
	}
}

func TestAvailableCapabilities(t *testing.T) {
	names, err := AvailableCapabilities()
	if err != nil {
		t.Fatal(err)
	}
	header := unix.CapUserHeader{Version: capabilityVersion}
	var data [2]unix.CapUserData
	if _, _, errno := unix.RawSyscall(unix.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0); errno != 0 {
		t.Fatal(errno)
	}
	if has := uint64(data[1].Permitted)<<32 | uint64(data[0].Permitted); mask(names) != has {
		t.Errorf("%v is %#x, this thread has %#x", names, mask(names), has)
	}
}
