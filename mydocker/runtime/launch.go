package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"unsafe"

	"minidocker/mydocker/security"
	"minidocker/mydocker/trace"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The descriptors init finds after 0, 1 and 2; what it does not need is /dev/null.
const (
	syncFD = 3 + iota
	payloadFD
	fifoFD
	rootFD
	programFD
	traceFD
	givenFD // and those that follow
)

// payload is what init is told.
type payload struct {
	Spec          *specs.Spec // without its process and seccomp profile
	Process       *specs.Process
	Filter        []byte // the compiled seccomp profile
	FilterFlags   []specs.LinuxSeccompFlag
	HasRoot       bool
	Given         []string // destinations of the mounts from givenFD on
	Preserved     int      // descriptors after those, for the process
	DieWithParent bool
	NoPivot       bool
	NoNewKeyring  bool
	State         specs.State // for hooks
	HookEnv       []string    // the creator's environment, for hooks in the host's file system
}

// launch is what it takes to start init.
type launch struct {
	parent, child          channel
	message, program, null *os.File
	env                    []string
	filter                 []byte
	flags                  []specs.LinuxSeccompFlag
}

func newLaunch(p payload, profile *specs.LinuxSeccomp) (l *launch, err error) {
	l = &launch{env: []string{"GOMAXPROCS=1", "GOGC=off"}} // init is short: no collector, few threads
	if traced, _ := trace.Output(); traced != nil {
		l.env = append(l.env, trace.Variable(traceFD))
	}
	defer func() {
		if err != nil {
			l.close()
			l.parent.file.Close()
		}
	}()
	if l.parent, l.child, err = newChannel(); err != nil {
		return nil, err
	}
	if l.null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		return l, err
	}
	if l.program, err = OpenSelf(); err != nil {
		return l, err
	}
	if p.Filter, p.FilterFlags, err = compile(profile); err != nil {
		return l, err
	}
	l.filter, l.flags = p.Filter, p.FilterFlags
	l.message, err = writePayload(p)
	return l, err
}

// close closes what init has copies of; parent is the caller's.
func (l *launch) close() {
	closeAll([]*os.File{l.child.file, l.message, l.program, l.null})
}

// files are init's descriptors in their order.
func (l *launch) files(stdio [3]*os.File, fifo, root *os.File, given map[string]*os.File) []*os.File {
	traced, _ := trace.Output()
	files := []*os.File{stdio[0], stdio[1], stdio[2], l.child.file, l.message, fifo, root, l.program, traced}
	for _, destination := range slices.Sorted(maps.Keys(given)) {
		files = append(files, given[destination])
	}
	for i, file := range files {
		if file == nil {
			files[i] = l.null
		}
	}
	return files
}

// compile gives the seccomp profile's filter as bytes, which JSON carries fast.
func compile(profile *specs.LinuxSeccomp) ([]byte, []specs.LinuxSeccompFlag, error) {
	if profile == nil {
		return nil, nil, nil
	}
	filter, err := security.Compile(profile)
	if err != nil {
		return nil, nil, fmt.Errorf("compile seccomp profile: %w", err)
	}
	program := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(filter))), len(filter)*unix.SizeofSockFilter)
	switch {
	case profile.ListenerPath != "":
	case security.Notifies(program):
		return nil, nil, errors.New("listenerPath is not set")
	case profile.ListenerMetadata != "":
		return nil, nil, errors.New("seccomp listenerMetadata is set, but listenerPath is not")
	}
	return program, profile.Flags, nil
}

// writePayload puts what init is told into a file in memory, which has no size limit.
func writePayload(p payload) (file *os.File, err error) {
	bare, linux := *p.Spec, *p.Spec.Linux
	linux.Seccomp, bare.Linux, bare.Process = nil, &linux, nil
	p.Spec = &bare
	if bare.Hooks != nil {
		p.HookEnv = os.Environ()
	}
	fd, err := unix.MemfdCreate("payload", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	file = os.NewFile(uintptr(fd), "payload")
	if err := json.NewEncoder(file).Encode(p); err != nil {
		return nil, err
	}
	_, err = file.Seek(0, 0)
	return file, err
}
