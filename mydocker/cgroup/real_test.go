package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// These tests use this host's kernel, whatever its version of cgroups, as root.
// The test binary, started again with an argument, plays the container.

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "play" {
		play(os.Args[2])
		return
	}
	status := m.Run()
	if left, err := List(testParent()); err != nil || len(left) > 0 {
		fmt.Println("cgroups left behind:", left, err)
		status = 1
	}
	parent, err := Open(testParent())
	if err == nil {
		err = parent.Delete()
	}
	if err != nil {
		fmt.Println(err)
		status = 1
	}
	os.Exit(status)
}

func itoa(n int) string  { return strconv.Itoa(n) }
func testParent() string { return "/mydocker-test-" + itoa(os.Getpid()) }

// play is the process inside the group.
func play(part string) {
	name, argument, _ := strings.Cut(part, ":")
	switch name {
	case "eat": // that many MiB
		n, _ := strconv.Atoi(argument)
		memory := make([]byte, n<<20)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
		fmt.Print("ate it all")
	case "devices": // try each: "read /dev/null", ...
		for try := range strings.SplitSeq(argument, ",") {
			fmt.Print(try, ":", tryDevice(try), " ")
		}
	}
}

func tryDevice(try string) string {
	how, file, _ := strings.Cut(try, " ")
	var err error
	switch how {
	case "mknod":
		node := filepath.Join(os.TempDir(), "mydocker-test-node-"+itoa(os.Getpid()))
		err = unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))
		os.Remove(node)
	default:
		flags := map[string]int{"read": unix.O_RDONLY, "write": unix.O_WRONLY, "both": unix.O_RDWR}[how]
		var fd int
		if fd, err = unix.Open(file, flags|unix.O_CLOEXEC, 0); err == nil {
			unix.Close(fd)
		}
	}
	switch err {
	case nil:
		return "yes"
	case unix.EPERM:
		return "no"
	}
	return err.Error()
}

// newGroup opens a group of the test's own, which the test's end kills and deletes.
func newGroup(t *testing.T) Group {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("cgroup tests need root")
	}
	g, err := Open(testParent() + "/" + strings.ReplaceAll(t.Name(), "/", "-"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(g.Kill(), g.Delete()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// start starts a command that is born in the group. The thread stays locked, as
// a container's parent must keep it.
func start(t *testing.T, g Group, cmd *exec.Cmd) {
	t.Helper()
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	leave, err := g.Enter(cmd.SysProcAttr)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err := errors.Join(err, leave()); err != nil {
		t.Fatal(err)
	}
	runtime.UnlockOSThread()
}

func player(part string) *exec.Cmd { return exec.Command("/proc/self/exe", "play", part) }

func TestBornInside(t *testing.T) {
	g := newGroup(t)
	if err := g.Create(nil); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile("/proc/self/cgroup")
	cmd := exec.Command("sleep", "60")
	start(t, g, cmd)
	host, _ := Host()
	got, err := readProcCgroup("/proc/" + itoa(cmd.Process.Pid) + "/cgroup")
	for _, tree := range host.trees {
		if !strings.HasSuffix(got[tree.name], testParent()+"/TestBornInside") {
			t.Errorf("hierarchy %q: born in %s, %v", tree.name, got[tree.name], err)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	for id := range threads(t) {
		after, err := os.ReadFile("/proc/self/task/" + id + "/cgroup")
		if err == nil && string(after) != string(before) {
			t.Errorf("thread %s did not come back: %s", id, after)
		}
	}
}

func threads(t *testing.T) map[string]bool {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, entry := range entries {
		ids[entry.Name()] = true
	}
	return ids
}

func TestMemoryLimitBites(t *testing.T) {
	g := newGroup(t)
	limit := int64(24 << 20)
	if err := g.Create(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}}); err != nil {
		t.Fatal(err)
	}
	small := player("eat:4")
	start(t, g, small)
	if err := small.Wait(); err != nil {
		t.Errorf("4 MiB of 24: %v", err)
	}
	if n, err := g.OOMKills(); n != 0 || err != nil {
		t.Errorf("OOM kills: %d, %v, want none", n, err)
	}
	big := player("eat:64")
	start(t, g, big)
	err := big.Wait()
	status, _ := big.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signal() != unix.SIGKILL {
		t.Errorf("64 MiB of 24: %v, want SIGKILL", err)
	}
	if n, err := g.OOMKills(); n == 0 || err != nil {
		t.Errorf("OOM kills: %d, %v, want 1", n, err)
	}
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.MemoryLimit != uint64(limit) || s.CPUUsage == 0 || s.PidsLimit != 0 {
		t.Errorf("stats %+v", s)
	}

	// Up and down again: version 1 takes its two limits in one order only.
	for _, size := range []int64{256 << 20, 16 << 20, -1, 32 << 20} {
		swap := size
		if size > 0 {
			swap = 2 * size
		}
		if err := g.Set(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &size, Swap: &swap}}); err != nil {
			t.Errorf("set %d: %v", size, err)
		}
		if s, err := g.Stats(); err != nil || s.MemoryLimit != uint64(max(size, 0)) {
			t.Errorf("after setting %d: limit %d, %v", size, s.MemoryLimit, err)
		}
	}
}

func TestPidsLimitBites(t *testing.T) {
	g := newGroup(t)
	res := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](3)}}
	if err := g.Create(res); err != nil {
		t.Fatal(err)
	}
	if s, err := g.Stats(); err != nil || s.PidsLimit != 0 {
		t.Errorf("the limit holds before LimitPids: %+v, %v", s, err)
	}
	if err := g.LimitPids(res); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "sleep 60 & sleep 60 & sleep 60 & echo not limited")
	out, err := os.CreateTemp(t.TempDir(), "out") // not a pipe: Wait would wait for the sleeps
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out
	start(t, g, cmd)
	cmd.Wait() // the shell gives up when it cannot fork
	if text, err := os.ReadFile(out.Name()); err != nil || len(text) > 0 {
		t.Errorf("%s, %v", text, err)
	}
	// Two sleeps fit in beside the shell, one while the parent's thread counts too.
	if list, err := g.Pids(); err != nil || len(list) < 1 || len(list) > 2 {
		t.Errorf("processes %v, %v, want one or two", list, err)
	}
	if err := g.Set(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](-1)}}); err != nil {
		t.Fatal(err)
	}
	if s, err := g.Stats(); err != nil || s.PidsLimit != 0 {
		t.Errorf("after lifting it: %+v, %v", s, err)
	}
}

// TestKillForks kills chains of processes, each of which forks the next in
// a session of its own and exits, so that every list of pids is at once out of date.
func TestKillForks(t *testing.T) {
	g := newGroup(t)
	// Zombies count until process 1 has reaped them.
	res := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](3000)}}
	if err := errors.Join(g.Create(res), g.LimitPids(res)); err != nil {
		t.Fatal(err)
	}
	for attempt := 0; ; attempt++ { // chains that fill the limit with zombies end by themselves
		cmd := exec.Command("sh", "-c", "chain() { { chain & } & exit; }; for i in 1 2 3 4 5 6; do chain & done; wait")
		start(t, g, cmd)
		go cmd.Wait()
		time.Sleep(10 * time.Millisecond)
		if list, _ := g.Pids(); len(list) > 0 {
			break
		}
		if attempt == 20 {
			t.Fatal("the chains end by themselves, again and again")
		}
		for s, err := g.Stats(); err == nil && s.Pids > 100; s, err = g.Stats() { // until they are reaped
			time.Sleep(10 * time.Millisecond)
		}
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if list, err := g.Pids(); err != nil || len(list) > 0 {
		t.Errorf("alive after Kill: %v, %v", list, err)
	}
}

func TestFreezeNestedKillDelete(t *testing.T) {
	g := newGroup(t)
	if err := g.Create(nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	start(t, g, cmd)
	if err := g.Freeze(); err != nil {
		t.Fatal(err)
	}
	used := cpuUsage(t, g)
	time.Sleep(30 * time.Millisecond)
	if now := cpuUsage(t, g); now != used {
		t.Errorf("a frozen loop used %v", now-used)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); cpuUsage(t, g) == used; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a thawed loop does not run")
		}
	}

	// A group below, as a container may make it, holding a process and frozen.
	below, err := Open(testParent() + "/" + t.Name() + "/below")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(below.Create(nil), below.Add(cmd.Process.Pid), below.Freeze()); err != nil {
		t.Fatal(err)
	}
	if list, err := g.Pids(); err != nil || !slices.Equal(list, []int{cmd.Process.Pid}) {
		t.Errorf("pids with a group below: %v, %v, want %d", list, err, cmd.Process.Pid)
	}
	if names, err := List(testParent() + "/" + t.Name()); err != nil || !slices.Equal(names, []string{"below"}) {
		t.Errorf("List: %v, %v", names, err)
	}
	if err := g.Delete(); !errors.Is(err, ErrBusy) {
		t.Errorf("delete with a process inside: %v, want ErrBusy", err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	// Not waited for: a zombie is no reason to fail.
	if err := g.Delete(); err != nil {
		t.Fatal(err)
	}
	if err := g.Delete(); err != nil {
		t.Errorf("delete again: %v", err)
	}
	for _, dir := range g.Paths() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
	cmd.Wait()
}

func cpuUsage(t *testing.T, g Group) uint64 {
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s.CPUUsage
}

// TestDevices holds both versions' device control against one table; on a hybrid
// host the version 2 tree has the eBPF kind.
func TestDevices(t *testing.T) {
	host, err := Host()
	if err != nil {
		t.Fatal(err)
	}
	rule := func(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		d := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
		if major >= 0 {
			d.Major = &major
		}
		if minor >= 0 {
			d.Minor = &minor
		}
		return d
	}
	denyAll, allowAll := rule(false, "a", -1, -1, "rwm"), rule(true, "a", -1, -1, "rwm")
	zero := filepath.Join(t.TempDir(), "zero")
	if err := unix.Mknod(zero, unix.S_IFCHR|0o777, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	tries := "read /dev/null,write /dev/null,both /dev/null,read " + zero + ",mknod"
	tests := []struct {
		name  string
		rules []specs.LinuxDeviceCgroup
		want  string // the answers in the order of tries
	}{
		{"nothing said", nil, "no no no no no"},
		{"null for reading alone", []specs.LinuxDeviceCgroup{rule(true, "c", 1, 3, "r")}, "yes no no no no"},
		{"everything denied", []specs.LinuxDeviceCgroup{denyAll}, "no no no no no"},
		{"everything denied, as a container's specification begins", []specs.LinuxDeviceCgroup{{Access: "rwm"}}, "no no no no no"},
		{"null", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 3, "rwm")}, "yes yes yes no no"},
		{"null for reading", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 3, "r")}, "yes no no no no"},
		{"rights add up", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 3, "r"), rule(true, "c", 1, 3, "w")}, "yes yes yes no no"},
		{"any mknod", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", -1, -1, "m")}, "no no no no yes"},
		{"all of a major number", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, -1, "rw")}, "yes yes yes yes no"},
		{"taken back", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 3, "rwm"), rule(false, "c", 1, 3, "w")}, "yes no no no no"},
		{"block is not char", []specs.LinuxDeviceCgroup{denyAll, rule(true, "b", 1, 3, "rwm")}, "no no no no no"},
		{"one denied", []specs.LinuxDeviceCgroup{allowAll, rule(false, "c", 1, 3, "rw")}, "no no no yes yes"},
		{"one denied for writing, then allowed", []specs.LinuxDeviceCgroup{allowAll, rule(false, "c", 1, 3, "rw"), rule(true, "c", 1, 3, "r")}, "yes no no yes yes"},
		{"all of a major number denied after one was allowed", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 5, "rm"), rule(true, "c", 1, 3, "rw"), rule(false, "c", 1, -1, "rw")}, "no no no no yes"},
		{"type a is for all numbers and rights", []specs.LinuxDeviceCgroup{denyAll, rule(true, "a", 1, 3, "r")}, "yes yes yes yes yes"},
		{"the default ones", DefaultDevices(), "yes yes yes yes yes"},
		{"all allowed again", []specs.LinuxDeviceCgroup{denyAll, rule(true, "a", -1, -1, "rwm")}, "yes yes yes yes yes"},
	}
	ask := func(t *testing.T, g Group) string {
		cmd := player("devices:" + tries)
		var out strings.Builder
		// Else Start opens /dev/null itself, under the rules of the group it has entered.
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, &out, os.Stderr
		start(t, g, cmd)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		var answers []string
		for answer := range strings.SplitSeq(strings.TrimSpace(out.String()), " ") {
			if _, yes, ok := strings.Cut(answer, ":"); ok {
				answers = append(answers, yes)
			}
		}
		return strings.Join(answers, " ")
	}
	// On version 1 the tree of version 2 takes a program as well, and both must agree.
	for i, test := range tests {
		for _, version := range []int{1, 2} {
			if version < host.Version {
				continue
			}
			t.Run(itoa(i)+"/v"+itoa(version), func(t *testing.T) {
				g := newGroup(t)
				if err := g.Create(nil); err != nil {
					t.Fatal(err)
				}
				rules := Group{host: &Hierarchies{Version: version, trees: host.trees}, path: g.path}
				if err := rules.SetDevices(test.rules); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, ask(t, g)); diff != "" {
					t.Errorf("%s: -want +got:\n%s", test.name, diff)
				}
			})
		}
	}
	for _, wrong := range []specs.LinuxDeviceCgroup{{Type: "p", Access: "r"}, {Access: "rx"}, {Type: "c"}} {
		if err := newGroup(t).SetDevices([]specs.LinuxDeviceCgroup{wrong}); err == nil {
			t.Errorf("%+v: no error", wrong)
		}
	}
	for _, hole := range [][]specs.LinuxDeviceCgroup{
		{denyAll, rule(true, "c", 10, -1, "rwm"), rule(false, "c", 10, 229, "rw")},
		{allowAll, rule(false, "c", -1, 229, "rw"), rule(true, "c", 10, 229, "r")},
	} {
		if _, _, err := exceptions(hole); err == nil || !strings.Contains(err.Error(), "cannot punch hole") {
			t.Errorf("%v: %v", hole, err)
		}
	}
}

func TestMissingControllerV1(t *testing.T) {
	g := Group{host: &Hierarchies{Version: 1}, path: "/x"}
	err := g.Set(&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](2)}})
	if !errors.Is(err, ErrNoController) || !strings.Contains(err.Error(), "cpu") {
		t.Errorf("%v, want ErrNoController for cpu", err)
	}
}

// BenchmarkRun is what a run costs in cgroups: make, enter, leave, delete.
func BenchmarkRun(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	limit := int64(64 << 20)
	res := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: &limit, Swap: &limit},
		CPU:     &specs.LinuxCPU{Quota: ptr[int64](50000), Period: ptr[uint64](100000)},
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
	}
	for _, minor := range []int64{3, 5, 7, 8, 9} {
		res.Devices = append(res.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr[int64](1), Minor: &minor, Access: "rwm"})
	}
	spent := map[string]time.Duration{}
	var attr syscall.SysProcAttr
	timed := func(name string, f func() error) {
		begin := time.Now()
		if err := f(); err != nil {
			b.Fatal(name, ": ", err)
		}
		spent[name] += time.Since(begin)
	}
	for i := range b.N {
		var g Group
		var leave func() error
		timed("open", func() (err error) { g, err = Open(testParent() + "/" + itoa(i)); return })
		timed("create", func() error { return g.Create(res) })
		timed("devices", func() error { return g.SetDevices(res.Devices) })
		timed("enter", func() (err error) { leave, err = g.Enter(&attr); return })
		timed("leave", func() error { return leave() })
		timed("delete", func() error { return g.Delete() })
	}
	for name, d := range spent {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N), name+"-µs")
	}
}

// TestHugePagesHybrid is a controller that a hybrid host has in the tree of version 2.
func TestHugePagesHybrid(t *testing.T) {
	g := newGroup(t)
	if has, _ := readFields(g.host.find("").mount, "cgroup.controllers"); !slices.Contains(has, "hugetlb") {
		t.Skip("no hugetlb in the tree of version 2")
	}
	limits := []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
	if err := g.Create(&specs.LinuxResources{HugepageLimits: limits}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(g.Paths()[""], "hugetlb.2MB.max")); string(data) != "4194304\n" {
		t.Errorf("%q, %v", data, err)
	}
}
