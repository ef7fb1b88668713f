package check

import (
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Probe is the script that runs in the containers. It stands in lab 1's README.
//
//go:embed probe.sh
var Probe string

const busybox = "/bin/busybox"

// largest is how many bytes an engine, and what it starts, may write to a file.
const largest = 64 << 20

// Trial is one check of one engine: what the check's function works with.
type Trial struct {
	Control  Process // a command started without an engine, where the engine is started
	Deadline time.Duration
	Inherit  []*os.File // what the engine has open from the caller, as descriptors 3 and up

	lab      *Lab
	check    *Check
	engine   *Engine
	session  *session
	host     *standin
	random   *rand.Rand
	before   ledger        // of the host, when the check began
	patience time.Duration // until what the engine left counts as left
	runs     []*run        // of the engine, in this check
	hold     bool          // keep the container instead of releasing it
	count    int           // of names made
	rootfs   string        // of its containers, "" in a lab without
}

// Number is a number from low to high, by the seed.
func (t *Trial) Number(low, high int) int { return low + t.random.IntN(high-low+1) }

// Status is an exit status that nothing gives by itself, by the seed: not 0 to 2, nor
// above 99. Each call gives another one.
func (t *Trial) Status() int {
	t.count++
	return 3 + (t.Number(0, 6)+7*t.count)%97
}

// Name is a name that nothing on this host has, fit to be a host's, by the seed.
func (t *Trial) Name() string {
	t.count++
	const letters = "abcdefghijklmnopqrstuvwxyz"
	name := make([]byte, 8)
	for i := range name {
		name[i] = letters[t.random.IntN(len(letters))]
	}
	return fmt.Sprintf("%s-%d", name, t.count)
}

// Dir is the checker's directory: on a disk, empty at first, removed at the end.
func (t *Trial) Dir() string { return t.session.dir }

// Host is the mount table of the host as the engine sees it.
func (t *Trial) Host() ([]Mount, error) { return t.host.mounts() }

// Groups are the peer groups, "shared:5", of the host's mounts: of those that an engine
// sees, and of those of the host itself, where what it leaves to a daemon is done.
func (t *Trial) Groups() ([]string, error) {
	stand, err := t.Host()
	if err != nil {
		return nil, err
	}
	host, err := Process{os.Getpid()}.Mounts()
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, m := range append(stand, host...) {
		for _, peer := range m.Peers {
			if strings.HasPrefix(peer, "shared:") {
				groups = append(groups, peer)
			}
		}
	}
	return groups, nil
}

// run is one run of the engine.
type run struct {
	cmd   *exec.Cmd
	words []string // "run" and what follows, as the engine got them
	out   string   // the path of what it wrote, without ".stdout", ".stderr"
	ended chan struct{}
	late  bool // it did not end in time

	container *Container // nil: none was looked for, or found
	signals   []sent
}

// sent is a signal that the check sent.
type sent struct {
	signal   syscall.Signal
	toEngine bool // not to the container's process
}

// start runs the engine with words after its own.
func (t *Trial) start(words []string) (*run, error) {
	all := append(slices.Clone(t.engine.words), words...)
	r := &run{words: words, ended: make(chan struct{}), out: filepath.Join(t.session.dir, fmt.Sprintf("run%d", len(t.runs)))}
	r.cmd = exec.Command(all[0], all[1:]...)
	r.cmd.Env = append(os.Environ(), "LABS_NONCE="+t.session.marker)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the terminal is the checker's
	if !t.hold {
		r.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	r.cmd.ExtraFiles = t.Inherit
	var files [2]*os.File
	for i, name := range []string{".stdout", ".stderr"} { // no pipes: what stays behind could hold them open
		file, err := os.Create(r.out + name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		files[i] = file
	}
	r.cmd.Stdout, r.cmd.Stderr = files[0], files[1]
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	if err := t.host.start(r.cmd); err != nil {
		if errors.Is(err, unix.ENOEXEC) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
			return nil, Fail("the engine is a program", err.Error(), "its file is no program for this machine, or the interpreter that its first line names is missing")
		}
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	// One that writes without end is not to fill the disk.
	unix.Prlimit(r.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: largest, Max: largest}, nil)
	t.runs = append(t.runs, r)
	go func() {
		r.cmd.Wait()
		close(r.ended)
	}()
	return r, nil
}

// status is what a shell would show as $?.
func (r *run) status() int {
	if ws, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return r.cmd.ProcessState.ExitCode()
}

func (r *run) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// text is what it wrote to ".stdout" or ".stderr".
func (r *run) text(name string) string {
	file, err := os.Open(r.out + name)
	if err != nil {
		return ""
	}
	defer file.Close()
	data, _ := io.ReadAll(io.LimitReader(file, 1<<20))
	return string(data)
}

// late waits for the engine's end, and tells whether it is still there after the deadline.
func (t *Trial) late(r *run) bool {
	select {
	case <-r.ended:
	case <-time.After(t.Deadline):
		r.late = true
	}
	return r.late
}

// wait waits for the engine's end, and gives its exit status.
func (t *Trial) wait(r *run) (int, error) {
	if !t.late(r) {
		return r.status(), nil
	}
	return 0, Fail("the engine ends when its command has ended",
		fmt.Sprintf("the engine (process %d) is still there after %v", r.cmd.Process.Pid, t.Deadline),
		"the engine waits for something else than its command: a process that the command left, or a pipe that is still open")
}

// Poll calls ready until it gives true, and tells whether it did before the deadline.
func (t *Trial) Poll(ready func() bool) bool { return poll(t.Deadline, ready) }

func poll(deadline time.Duration, ready func() bool) bool {
	for end := time.Now().Add(deadline); ; time.Sleep(3 * time.Millisecond) {
		if ready() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// Output is what a run of the engine came to.
type Output struct {
	Status         int // 128+n if signal n ended the engine
	Stdout, Stderr string
}

// Run has the engine run a command, and waits for its end.
func (t *Trial) Run(flags []string, argv ...string) (Output, error) {
	return t.Raw(t.words(flags, argv)...)
}

// Raw runs the engine with exactly these words, and waits for its end.
func (t *Trial) Raw(words ...string) (Output, error) {
	r, err := t.start(words)
	if err != nil {
		return Output{}, err
	}
	status, err := t.wait(r)
	return Output{status, r.text(".stdout"), r.text(".stderr")}, err
}

// words are "run", the flags and the command.
func (t *Trial) words(flags, argv []string) []string {
	if t.lab.Rootfs && !slices.Contains(flags, "--rootfs") {
		flags = slices.Concat(flags, []string{"--rootfs", t.rootfs})
	}
	return slices.Concat([]string{"run"}, flags, argv)
}

// seeded makes the random numbers of a check by a seed.
func seeded(seed string, lab *Lab, name string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\n%d\n%s", seed, lab.Number, name)
	return rand.New(rand.NewPCG(h.Sum64(), 7))
}
