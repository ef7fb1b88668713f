package check

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"minidocker/mydocker/disk"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// session is one run of the checker: its marker, which everything it makes carries, and
// a directory of that name, locked as long as the checker lives.
type session struct {
	marker  string
	dir     string
	lock    *os.File
	fence   fence                // the cgroup of that name
	cgroups map[string]bool      // directories in which containers were seen; also in the file "cgroups"
	nonces  int                  // given so far
	seen    bool                 // a container was
	left    []Finding            // by all checks so far
	suspect map[string]time.Time // empty cgroups named like an engine's, and since when: removed at the end
	mu      sync.Mutex           // held to start an engine or to note a cgroup, and for ever once the program is to end
}

// Directory is where the checker works: on a disk, since root file systems are made there.
func Directory() string {
	if dir := os.Getenv("MYDOCKER_LABS_DIR"); dir != "" {
		return dir
	}
	return "/var/tmp/mydocker-labs"
}

// newSession cleans up after checkers that were killed, and begins.
func newSession() (*session, error) {
	all, err := openDirectory()
	if err != nil {
		return nil, err
	}
	defer all.Close() // which unlocks it
	if err := sweepDead(); err != nil {
		return nil, err
	}
	random := make([]byte, 6)
	rand.Read(random)
	s := &session{marker: "labs" + hex.EncodeToString(random), cgroups: map[string]bool{}, suspect: map[string]time.Time{}}
	s.dir = filepath.Join(Directory(), s.marker)
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	if s.lock, err = lockFile(s.dir); err != nil {
		return nil, err
	}
	s.fence = newFence(s.marker)
	return s, os.WriteFile(filepath.Join(s.dir, "before"), []byte(strings.Join(groups(), "\n")), 0o644)
}

// openDirectory makes and locks the directory of all checkers, so that none takes one for
// dead that has just begun.
func openDirectory() (*os.File, error) {
	if err := os.MkdirAll(Directory(), 0o755); err != nil {
		return nil, err
	}
	all, err := os.Open(Directory())
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(all.Fd()), &st); err == nil && int(st.Uid) != os.Geteuid() {
		err = fmt.Errorf("%s belongs to user %d, who could change what is run there: remove it", all.Name(), st.Uid)
		all.Close()
		return nil, err
	}
	if err := unix.Flock(int(all.Fd()), unix.LOCK_EX); err != nil {
		all.Close()
		return nil, fmt.Errorf("lock %s: %w", all.Name(), err)
	}
	return all, nil
}

func lockFile(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return lock, nil
}

// sweepDead removes what checkers left that are dead, containers that were held (--hold)
// among it.
func sweepDead() error {
	entries, err := os.ReadDir(Directory())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "labs") {
			continue
		}
		dir := filepath.Join(Directory(), entry.Name())
		lock, err := lockFile(dir)
		if err != nil {
			continue // it lives, or has just ended
		}
		s := &session{marker: entry.Name(), dir: dir, lock: lock, fence: findFence(entry.Name()), cgroups: map[string]bool{}, suspect: map[string]time.Time{}}
		if data, err := os.ReadFile(filepath.Join(dir, "cgroups")); err == nil {
			for path := range strings.Lines(string(data)) {
				s.cgroups[strings.TrimSuffix(path, "\n")] = true
			}
		}
		s.suspectOrphans()
		if err := s.remove(); err != nil {
			return err
		}
	}
	return nil
}

// nonce is a word that nothing else on this host has, and that begins with the marker.
func (s *session) nonce() string {
	s.nonces++
	return fmt.Sprintf("%s-%03d", s.marker, s.nonces) // none is the beginning of another
}

// remember notes a cgroup in which a container was seen, for whoever has to clean up.
func (s *session) remember(cgroup string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cgroups[cgroup] {
		return nil
	}
	s.cgroups[cgroup] = true
	file, err := os.OpenFile(filepath.Join(s.dir, "cgroups"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintln(file, cgroup)
	return err
}

// sweep removes what carries the marker, and the cgroups in which containers were seen.
// It says what it could not remove.
func (s *session) sweep() (problems []string) {
	s.kill()
	mounts, _ := Process{os.Getpid()}.Mounts()
	for i := len(mounts) - 1; i >= 0; i-- {
		if m := mounts[i]; strings.Contains(m.Point+m.Source+m.Root, s.marker) {
			if err := unix.Unmount(m.Point, unix.MNT_DETACH); err != nil {
				problems = append(problems, fmt.Sprintf("unmount %s: %v", m.Point, err))
			}
		}
	}
	for cgroup := range s.cgroups {
		if err := removeCgroup(cgroup); err != nil {
			problems = append(problems, err.Error())
		}
	}
	links, _ := netlink.LinkList()
	for _, link := range links {
		if strings.Contains(link.Attrs().Name+link.Attrs().Alias, s.marker) {
			if err := netlink.LinkDel(link); err != nil {
				problems = append(problems, fmt.Sprintf("remove link %s: %v", link.Attrs().Name, err))
			}
		}
	}
	return problems
}

// kill ends all processes of the session, until none is left: a container ends with its
// first process, but an engine without PID namespaces leaves some. One that forks faster
// than it can be killed cannot fork in a fence with room for none.
func (s *session) kill() {
	s.fence.limit("0")
	defer s.fence.limit(most)
	poll(5*time.Second, func() bool {
		all := s.processes()
		for _, p := range all {
			syscall.Kill(p.Pid, syscall.SIGKILL)
		}
		return len(all) == 0
	})
}

// processes are those that carry the marker or are behind the fence, without the checker.
func (s *session) processes() []Process {
	fenced := s.fence.processes()
	return processes(func(p Process) bool {
		return p.Pid != os.Getpid() && (slices.Contains(fenced, p) || p.marked(s.marker)) && !p.Gone()
	})
}

// end removes all that is left of the session, while no other checker looks for dead ones.
func (s *session) end() error {
	s.removeSuspects()
	all, err := openDirectory()
	if err != nil {
		return err
	}
	defer all.Close()
	return s.remove()
}

func (s *session) remove() error {
	s.sweep()
	err := errors.Join(s.fence.remove(), disk.RemoveAll(s.dir))
	s.lock.Close()
	return err
}

// endOnSignal ends the session and the program when the terminal or its user says so.
func (s *session) endOnSignal() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		got, ok := <-signals
		if !ok {
			return
		}
		s.mu.Lock() // and nothing is started any more
		s.end()
		os.Exit(128 + int(got.(syscall.Signal)))
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}
