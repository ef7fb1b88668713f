package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"minidocker/mydocker/cgroup"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func playMore(part string, args []string) error {
	switch part {
	case "mounts": // what mountinfo has of these mount points, and the propagation of all that is asked
		data, err := os.ReadFile("/proc/self/mountinfo")
		for line := range strings.Lines(string(data)) {
			for _, point := range args {
				if f := strings.Fields(line); f[4] == point {
					fmt.Println(strings.Join(f[3:], " "))
				}
			}
		}
		return err
	case "link":
		link, err := os.Readlink(args[0])
		entries, _ := os.ReadDir(args[1])
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		fmt.Printf("%s\n%s\n", link, strings.Join(names, " "))
		return err
	case "properties":
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			return err
		}
		priority, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, 1, 0, 0)
		var name unix.Utsname
		if err := unix.Uname(&name); err != nil {
			return err
		}
		var cpus unix.CPUSet
		if err := unix.SchedGetaffinity(0, &cpus); err != nil {
			return err
		}
		mode := int32(-1)
		unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), 0, 0, 0, 0, 0)
		fmt.Println(attr.Policy, attr.Nice, priority>>13, priority&7, strings.TrimRight(string(name.Machine[:]), "\x00"), cpus.Count(), mode)
	case "read": // the inherited descriptors
		for _, arg := range args {
			data, err := os.ReadFile("/proc/self/fd/" + arg)
			if err != nil {
				return err
			}
			fmt.Printf("%s ", data)
		}
		entries, err := os.ReadDir("/proc/self/fd")
		fmt.Println(len(slices.DeleteFunc(entries, func(e os.DirEntry) bool {
			link, _ := os.Readlink("/proc/self/fd/" + e.Name())
			return strings.HasPrefix(link, "anon_inode:") // Go's poller
		})))
		return err
	default:
		return errPlay
	}
	return nil
}

func TestProperties(t *testing.T) {
	fields := func(spec *specs.Spec) {
		spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}
		spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 3}
		spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		spec.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0"}
	}
	want := regexp.MustCompile(`^3 5 3 3 (i686|armv8l) (\d+) (3|-1)\n$`)
	output := container{
		args: []string{"properties"}, change: fields,
		during: func(p *Process) error {
			spec, _ := bundleOf(t)
			fields(spec)
			out, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				return err
			}
			process := *spec.Process
			process.Args, process.ExecCPUAffinity = []string{"/play", "play", "properties"}, &specs.CPUAffinity{Initial: "0", Final: "0"}
			group, _ := groups.Load(p)
			e, err := Exec(spec, p, &process, group.(cgroup.Group), Options{Stdio: [3]*os.File{nil, out, out}})
			if err != nil {
				return err
			}
			e.Wait()
			e.Close()
			data, _ := os.ReadFile(out.Name())
			if found := want.FindStringSubmatch(string(data)); found == nil || found[2] != "1" {
				t.Errorf("exec: %s", data)
			}
			return nil
		},
	}.mustRun(t)
	if !want.MatchString(output) {
		t.Error(output)
	}
}

func TestPreserveFDs(t *testing.T) {
	var files []*os.File
	for i := range 12 {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, fmt.Appendf(nil, "file%d", 3+i), 0o644); err != nil {
			t.Fatal(err)
		}
		opened, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		files = append(files, opened)
	}
	const want = "file3 file10 file14 16\n" // and the directory that is being read
	output := container{
		args: []string{"read", "3", "10", "14"}, options: Options{PreserveFDs: files},
		during: func(p *Process) error {
			spec, _ := bundleOf(t, "read", "3", "10", "14")
			out, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				return err
			}
			group, _ := groups.Load(p)
			e, err := Exec(spec, p, spec.Process, group.(cgroup.Group), Options{Stdio: [3]*os.File{nil, out, out}, PreserveFDs: files})
			if err != nil {
				return err
			}
			e.Wait()
			e.Close()
			if data, _ := os.ReadFile(out.Name()); string(data) != want {
				t.Errorf("exec: %s", data)
			}
			return nil
		},
	}.mustRun(t)
	if output != want {
		t.Errorf("%q, want %q", output, want)
	}
	// What fails after they are in place is said all the same: a file that the kernel refuses.
	_, err := container{options: Options{PreserveFDs: files}, change: func(s *specs.Spec) {
		file := filepath.Join(s.Root.Path, "bad")
		if err := os.WriteFile(file, []byte("\x7fELF"), 0o755); err != nil {
			t.Fatal(err)
		}
		s.Process.Args = []string{"/bad"}
	}}.run(t)
	if err == nil || !strings.Contains(err.Error(), "/bad") {
		t.Error(err)
	}
}

func TestRootPropagation(t *testing.T) {
	for propagation, want := range map[string]string{
		"": `^/\S* / \S+ (master:\d+ )?- .*\n$`, "slave": `^/\S* / \S+ (master:\d+ )?- .*\n$`, "private": `^/\S* / \S+ - .*\n$`,
		"shared": `^/\S* / \S+ shared:\d+ - .*\n$`, "unbindable": `^/\S* / \S+ unbindable - .*\n$`,
	} {
		output := container{args: []string{"mounts", "/"}, change: func(s *specs.Spec) { s.Linux.RootfsPropagation = propagation }}.mustRun(t)
		if !regexp.MustCompile(want).MatchString(output) {
			t.Errorf("%s: %s", propagation, output)
		}
	}
	output := container{args: []string{"mounts", "/", "/proc", "/play"}, change: func(s *specs.Spec) { s.Linux.RootfsPropagation = "rshared" }}.mustRun(t)
	if strings.Count(output, " shared:") != 3 {
		t.Error(output)
	}
}

func TestMounts(t *testing.T) {
	source := t.TempDir()
	if err := os.Mkdir(source+"/sub", 0o750); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("t", source+"/sub", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(source+"/sub", unix.MNT_DETACH)
	tmpfs := func(options ...string) []specs.Mount {
		return []specs.Mount{{Destination: "/mnt", Type: "tmpfs", Source: "t", Options: options}}
	}
	bind := func(options ...string) []specs.Mount {
		return []specs.Mount{{Destination: "/mnt", Type: "none", Source: source, Options: options}}
	}
	for _, c := range []struct {
		name   string
		mounts []specs.Mount
		want   string // of mountinfo
	}{
		{"plain", tmpfs("nosuid", "nodev", "noexec", "size=1m", "mode=700"), `^/ /mnt rw,nosuid,nodev,noexec,relatime - tmpfs t rw,size=1024k,mode=700\S*\n$`},
		{"mode of the covered", tmpfs(), `mode=755`},
		{"super block", tmpfs("sync", "dirsync", "lazytime", "mand", "iversion", "silent", "loud", "defaults"), ` rw,sync,dirsync,mand,lazytime`},
		{"the last wins", tmpfs("ro", "rw", "noatime", "strictatime"), `^/ /mnt rw - `},
		{"nosymfollow", tmpfs("nosymfollow", "nodiratime"), `^/ /mnt rw,nodiratime,relatime,nosymfollow - `},
		{"recursive", bind("rbind", "rro", "rnosuid", "rnoexec", "rnodev", "rnoatime"), `^\S+ /mnt ro,nosuid,nodev,noexec,noatime .*\n/ /mnt/sub ro,nosuid,nodev,noexec,noatime `},
		{"not recursive", bind("rbind", "ro"), `^\S+ /mnt ro,\S+ .*\n/ /mnt/sub rw,relatime `},
		{"bind of one", bind("bind"), `^\S+ /mnt rw,\S+ (master:\d+ )?- .*\n$`},
		{"slave and shared", bind("bind", "slave", "shared"), `^\S+ /mnt rw,\S+ shared:\d+ `},
		{"unbindable", bind("bind", "unbindable"), `^\S+ /mnt \S+ unbindable - `},
		{"remount", append(tmpfs(), tmpfs("remount", "ro", "size=2m")...), `^/ /mnt ro,relatime - tmpfs t ro,size=2048k`},
		{"remount of a bind", append(bind("bind"), bind("bind", "remount", "ro")...), `^\S+ /mnt ro,`},
		{"absent destination", []specs.Mount{{Destination: "/mnt/../new/dir", Type: "tmpfs", Source: "t"}}, `^$`},
	} {
		output, err := container{args: []string{"mounts", "/mnt", "/mnt/sub"}, change: func(s *specs.Spec) { s.Mounts = append(s.Mounts, c.mounts...) }}.run(t)
		if err != nil || !regexp.MustCompile(c.want).MatchString(output) {
			t.Errorf("%s: %v, %s", c.name, err, output)
		}
	}
	add := func(mounts ...specs.Mount) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Mounts = append(s.Mounts, mounts...) }
	}
	copied := specs.Mount{Destination: "/mnt", Type: "tmpfs", Source: "t", Options: []string{"tmpcopyup", "ro"}}
	if output := (container{args: []string{"ls", "/mnt"}, change: add(copied)}).mustRun(t); output != "old\n" {
		t.Errorf("tmpcopyup: %s", output)
	}
	// A mount on / becomes the root, for what is mounted after it.
	self, _ := os.Executable()
	other := []specs.Mount{
		{Destination: "/", Source: source, Options: []string{"bind"}}, {Destination: "/play", Source: self, Options: []string{"bind"}},
		{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/dev", Type: "tmpfs", Source: "t", Options: []string{"ro"}}, // filled all the same
	}
	output := container{args: []string{"ls", "/"}, change: func(s *specs.Spec) { s.Mounts = other }}.mustRun(t)
	if output != "dev\nplay\nproc\nsub\n" {
		t.Errorf("mount on /: %s", output)
	}
	if output, _ := (container{args: []string{"write", "/dev/x"}, change: func(s *specs.Spec) { s.Mounts = other }}).run(t); !strings.Contains(output, "read-only") {
		t.Errorf("/dev: %s", output)
	}
	for _, noPivot := range []bool{false, true} {
		output := container{args: []string{"mounts", "/", "/proc"}, options: Options{NoPivot: noPivot}}.mustRun(t)
		if strings.Count(output, "\n") != 2 {
			t.Errorf("no pivot %t: %s", noPivot, output)
		}
	}
}

// TestBoundDev makes sure that a /dev of somebody else's is left as it is.
func TestBoundDev(t *testing.T) {
	dev := t.TempDir()
	container{args: []string{"env"}, change: func(s *specs.Spec) {
		s.Mounts = []specs.Mount{s.Mounts[0], s.Mounts[3], {Destination: "/dev", Source: dev, Options: []string{"rbind"}}}
	}}.mustRun(t)
	if entries, _ := os.ReadDir(dev); len(entries) > 0 {
		t.Error(entries)
	}
}

// TestHostMounts runs a container in the mount namespace of the test's own thread.
func TestHostMounts(t *testing.T) {
	host, _ := os.Readlink("/proc/self/ns/mnt")
	var path string
	for _, want := range []string{"", "no such file"} {
		output, err := container{
			args: []string{"link", "/proc/self/ns/mnt", "/"},
			change: func(s *specs.Spec) {
				s.Linux.Namespaces = s.Linux.Namespaces[1:]
				path = s.Root.Path
				if want != "" {
					s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: "/none", Options: []string{"bind"}})
				}
			},
		}.run(t)
		if want == "" && (err != nil || output != host+"\ndev mnt play proc sys tmp\n") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, %s", err, output)
		}
		if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), path) {
			t.Error("something is left mounted")
		}
	}
}
