package oci

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// init keeps the first thread for report: some of what it tells differs by thread.
func init() { goruntime.LockOSThread() }

// report writes all that a process can see of its container as one line of JSON:
// a map, so that two of them compare key by key. The arguments are files whose
// content it reports too, and, with a + before them, files that it tries to write.
func report(files []string) {
	r := map[string]string{}
	set := func(key string, value any, err error) {
		if err != nil {
			value = fmt.Sprint("error: ", err)
		}
		r[key] = strings.TrimSpace(fmt.Sprint(value))
	}
	read := func(key, path string) {
		text, err := os.ReadFile(path)
		set(key, string(text), err)
	}
	link := func(key, path string) {
		to, err := os.Readlink(path)
		set(key, to, err)
	}

	set("args", fmt.Sprintf("%q", os.Args), nil)
	set("env", fmt.Sprintf("%q", os.Environ()), nil)
	wd, err := os.Getwd()
	set("cwd", wd, err)
	set("pid", os.Getpid(), nil)
	set("ppid", os.Getppid(), nil)
	sid, err := unix.Getsid(0)
	set("session", sid, err)
	set("group", unix.Getpgrp(), nil)
	var uts unix.Utsname
	err = unix.Uname(&uts)
	set("hostname", unix.ByteSliceToString(uts.Nodename[:]), err)
	set("domainname", unix.ByteSliceToString(uts.Domainname[:]), err)
	set("machine", unix.ByteSliceToString(uts.Machine[:]), err)

	status, err := os.ReadFile("/proc/thread-self/status")
	set("status", "", err)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "SigBlk", "SigIgn",
			"Cpus_allowed_list", "Mems_allowed_list", "NSpid", "THP_enabled", "Speculation_Store_Bypass", "CoreDumping":
			set("status "+name, strings.Join(strings.Fields(value), " "), nil)
		}
	}
	limits, err := os.ReadFile("/proc/self/limits")
	set("limits", "", err)
	for line := range strings.Lines(string(limits)) {
		if len(line) > 26 && !strings.HasPrefix(line, "Limit") && !strings.HasPrefix(line, "Max open files") { // which Go raises
			set("limit "+strings.TrimSpace(line[:26]), strings.Join(strings.Fields(line[26:]), " "), nil)
		}
	}
	for _, name := range []string{"uid_map", "gid_map", "setgroups", "oom_score_adj", "personality", "timens_offsets", "coredump_filter", "attr/current", "loginuid"} {
		read(name, "/proc/self/"+name)
	}
	link("exe", "/proc/self/exe")
	namespaces, _ := os.ReadDir("/proc/self/ns")
	for _, n := range namespaces {
		link("ns "+n.Name(), "/proc/self/ns/"+n.Name())
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	set("cgroup", "", err)
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		set("cgroup "+fields[1], fields[2], nil)
	}
	reportMounts(set)
	reportDevices(set)
	reportThread(set)

	descriptors, _ := os.ReadDir("/proc/self/fd")
	for _, d := range descriptors {
		to, err := os.Readlink("/proc/self/fd/" + d.Name())
		if err != nil || strings.Contains(to, "eventpoll") || strings.Contains(to, "eventfd") { // Go's own, or this directory
			continue
		}
		var stat unix.Stat_t
		var n int
		fmt.Sscan(d.Name(), &n)
		err = unix.Fstat(n, &stat)
		kind, _, _ := strings.Cut(to, ":[")
		set("fd "+d.Name(), fmt.Sprintf("%s uid %d", kind, stat.Uid), err)
	}
	size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	set("terminal", size, err)
	interfaces, err := net.Interfaces()
	set("network", "", err)
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		set("network "+i.Name, fmt.Sprint(i.Flags, addresses), err)
	}
	now := []string{}
	for _, clock := range []int32{unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME} {
		var ts unix.Timespec
		unix.ClockGettime(clock, &ts)
		now = append(now, fmt.Sprint(time.Duration(ts.Nano()).Truncate(1000*time.Hour))) // the offset shows, the running of the clock does not
	}
	set("clocks", now, nil)
	for _, path := range files {
		if path, write := strings.CutPrefix(path, "+"); write {
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
			file.Close()
			set("write "+path, "writable", err)
		} else if info, err := os.Lstat(path); err == nil && info.IsDir() {
			entries, err := os.ReadDir(path)
			var list []string
			for _, e := range entries {
				info, _ := e.Info()
				sys := info.Sys().(*syscall.Stat_t)
				list = append(list, fmt.Sprintf("%s %v %d:%d", e.Name(), info.Mode(), sys.Uid, sys.Gid))
			}
			set("file "+path, list, err)
		} else {
			read("file "+path, path)
		}
	}
	line, _ := json.Marshal(r)
	os.Stdout.Write(append(line, '\n'))
}

// reportMounts tells proc_pid_mountinfo(5), a key for each mount point, and
// whether the directories on it may be written.
func reportMounts(set func(string, any, error)) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	set("mounts", "", err)
	points := map[string]int{}
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		var propagation []string
		for _, p := range f[6:] {
			kind, _, _ := strings.Cut(p, ":")
			propagation = append(propagation, kind)
		}
		if f[4] == "/" {
			set("propagation", strings.Join(propagation, ","), nil)
		}
		points[f[4]]++
		key := "mount " + f[4]
		if n := points[f[4]]; n > 1 {
			key += fmt.Sprint(" again ", n)
		}
		set(key, fmt.Sprintf("%s %s of %s %s %s (%s)", g[0], f[3], g[1], f[5], strings.Join(propagation, ","), g[2]), nil)
	}
}

// reportDevices tells all that is below /dev.
func reportDevices(set func(string, any, error)) {
	filepath.WalkDir("/dev", func(path string, d fs.DirEntry, err error) error {
		var stat unix.Stat_t
		if err = unix.Lstat(path, &stat); err != nil {
			set("file "+path, "", err)
			return nil
		}
		to, _ := os.Readlink(path)
		set("file "+path, fmt.Sprintf("%o %d:%d device %d:%d %s", stat.Mode, stat.Uid, stat.Gid, unix.Major(stat.Rdev), unix.Minor(stat.Rdev), to), nil)
		return nil
	})
}

// reportThread tells what only system calls tell.
func reportThread(set func(string, any, error)) {
	prctl := func(option int) (any, error) {
		var value int32
		_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, uintptr(option), uintptr(unsafe.Pointer(&value)), 0)
		if errno != 0 {
			return nil, errno
		}
		return value, nil
	}
	death, err := prctl(unix.PR_GET_PDEATHSIG)
	set("parent death signal", death, err)
	reaper, err := prctl(unix.PR_GET_CHILD_SUBREAPER)
	set("subreaper", reaper, err)
	for name, option := range map[string]int{"dumpable": unix.PR_GET_DUMPABLE, "keepcaps": unix.PR_GET_KEEPCAPS, "securebits": unix.PR_GET_SECUREBITS, "timer slack": unix.PR_GET_TIMERSLACK} {
		value, err := unix.PrctlRetInt(option, 0, 0, 0, 0)
		set(name, value, err)
	}
	call := func(number uintptr, arguments ...uintptr) (uintptr, error) {
		var a [6]uintptr
		copy(a[:], arguments)
		value, _, errno := unix.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != 0 {
			return 0, errno
		}
		return value, nil
	}
	priority, err := call(unix.SYS_IOPRIO_GET, 1, 0)
	set("io priority", fmt.Sprintf("class %d level %d", priority>>13, priority&0x1fff), err)
	scheduling, err := unix.SchedGetAttr(0, 0)
	text := ""
	if err == nil {
		text = fmt.Sprintf("policy %d flags %d nice %d priority %d", scheduling.Policy, scheduling.Flags, scheduling.Nice, scheduling.Priority)
	}
	set("scheduler", text, err)
	var mode int32
	var mask [16]uint64
	_, err = call(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), uintptr(unsafe.Pointer(&mask)), 1024)
	set("memory policy", fmt.Sprint(mode, mask[0]), err)
	var description [256]byte
	n, err := unix.KeyctlBuffer(unix.KEYCTL_DESCRIBE, unix.KEY_SPEC_SESSION_KEYRING, description[:], 0)
	set("session keyring", string(bytes.TrimRight(description[:max(0, min(n, len(description)))], "\x00")), err)
	// What a filter or a lack of capabilities refuses.
	for name, try := range map[string]func() error{
		"unshare": func() error { _, err := call(unix.SYS_UNSHARE, unix.CLONE_FILES); return err },
		"mount":   func() error { return unix.Mount("none", "/tmp", "tmpfs", 0, "size=4k") },
		"mknod":   func() error { return unix.Mknod("/tmp/node", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) },
		"chroot":  func() error { return unix.Chroot("/") },
		"getcwd":  func() error { _, err := os.Getwd(); return err },
		"nice":    func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, -1) },
		"raw":     func() error { fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, 1); unix.Close(fd); return err },
	} {
		err := try()
		set("try "+name, "allowed", err)
	}
}
