package security

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// IDRange is a range of user IDs of the host, and of the group IDs of the same numbers.
type IDRange struct {
	First uint32 // stands for 0 inside
	Size  uint32
}

// RangeSize is how many IDs a container gets: as many as /etc/passwd conventionally knows
// (systemd: Users, Groups, UIDs and GIDs), with nobody, 65534, among them.
const RangeSize = 1 << 16

func (r IDRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.First+r.Size-1) }

// Inside gives the maps of a user namespace whose IDs are the range (user_namespaces(7)).
func (r IDRange) Inside() []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: 0, HostID: r.First, Size: r.Size}}
}

// Outside gives those by which an id-mapped mount undoes that: a file of the range's first
// ID is seen as the host's root's.
func (r IDRange) Outside() []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: r.First, HostID: 0, Size: r.Size}}
}

// Host gives what an ID inside is on the host; the same if there is no range.
func (r IDRange) Host(id uint32) int { return int(r.First + id) }

// CheckPool says what is wrong with a pool of ranges; the zero one is fine.
func CheckPool(p IDRange) error {
	const least, most = RangeSize, math.MaxInt32 + 1
	if p != (IDRange{}) && (p.First%RangeSize != 0 || p.Size%RangeSize != 0 || p.Size == 0 || p.First < least || uint64(p.First)+uint64(p.Size) > most) {
		return fmt.Errorf("invalid pool of ids: first %d, size %d: both are multiples of %d, and all ids between %d and %d", p.First, p.Size, RangeSize, least, most-1)
	}
	return nil
}

// defaultPool is above all IDs that /etc/subuid and /etc/subgid give to users (subuid(5)),
// and above those that people have. Those from 2^31 on many programs take for negative.
func defaultPool() (IDRange, error) {
	first := uint64(1 << 20)
	for _, path := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return IDRange{}, err
		}
		first = max(first, subIDsEnd(string(text)))
	}
	first = (first + RangeSize - 1) / RangeSize * RangeSize
	if first > math.MaxInt32 {
		return IDRange{}, errors.New("no pool of user ids for containers: /etc/subuid or /etc/subgid gives them all away")
	}
	return IDRange{uint32(first), uint32(math.MaxInt32 + 1 - first)}, nil
}

// subIDsEnd is the ID after the last one that a file in the form of subuid(5) gives away.
func subIDsEnd(text string) (end uint64) {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 {
			continue
		}
		first, err := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err == nil && err2 == nil {
			end = max(end, first+count)
		}
	}
	return end
}

// Ranges are the leases of ranges, of all engines of a host: a directory for each range,
// called as its first ID, with a symbolic link for each container that has it, called as
// its ID, to the engine's Root. All of it is one step each, so there is no lock: who makes
// the directory has a new range, and it goes with its last link (rmdir(2): ENOTEMPTY).
//
// A kill -9 leaves at most an empty directory, which counts for free, or the link of a
// container that is not there: see Exists.
type Ranges struct {
	Dir    string
	Exists func(root, id string) bool // whether the Root has that container, or is making it
}

// ErrNoRange says that all ranges are leased.
var ErrNoRange = errors.New("no range of user ids is free: all of the pool are leased to containers")

// Lease gives a container a range of the pool that nobody else has; of the zero pool, which
// is the default one, also. It is looked for where the container's ID says, so that engines
// that know nothing of each other's containers, as after a reboot, seldom choose the same.
func (s Ranges) Lease(pool IDRange, root, id string) (r IDRange, err error) {
	if pool.Size == 0 {
		if pool, err = defaultPool(); err != nil {
			return r, err
		}
	}
	for range 2 {
		hash, count := fnv.New32a(), pool.Size/RangeSize
		hash.Write([]byte(id))
		for i := range count {
			r = IDRange{pool.First + (hash.Sum32()%count+i)%count*RangeSize, RangeSize}
			if err = s.claim(r, root, id); !errors.Is(err, os.ErrExist) && !errors.Is(err, os.ErrNotExist) {
				return r, err
			}
		}
		if err := s.Sweep(s.Exists); err != nil {
			return r, err
		}
	}
	return IDRange{}, fmt.Errorf("%w (%s)", ErrNoRange, pool)
}

// claim makes the directory and the link. os.ErrExist says that somebody has the range,
// os.ErrNotExist that somebody took the directory for abandoned, before the link was in it.
func (s Ranges) claim(r IDRange, root, id string) error {
	err := os.Mkdir(s.dir(r), 0o700)
	if errors.Is(err, os.ErrNotExist) && os.MkdirAll(s.Dir, 0o700) == nil || errors.Is(err, os.ErrExist) && unix.Rmdir(s.dir(r)) == nil {
		err = os.Mkdir(s.dir(r), 0o700)
	}
	if err == nil {
		err = os.Symlink(root, s.link(r, id))
	}
	return err
}

func (s Ranges) dir(r IDRange) string             { return filepath.Join(s.Dir, strconv.Itoa(int(r.First))) }
func (s Ranges) link(r IDRange, id string) string { return filepath.Join(s.dir(r), id) }

// Renew leases a range to a container that its record names it for: again, or with the
// others of its Root that have it. An error says that a container of another Root has it.
func (s Ranges) Renew(r IDRange, root, id string) error {
	for {
		switch owner, err := os.Readlink(s.link(r, id)); {
		case err == nil && owner == root:
			return nil
		case err == nil:
			return inUse(r, owner, id)
		}
		if err := os.MkdirAll(s.dir(r), 0o700); err != nil {
			return fmt.Errorf("lease user ids %s: %w", r, err)
		}
		// The link before the look: of two that come at once one at least sees the other.
		if err := os.Symlink(root, s.link(r, id)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("lease user ids %s: %w", r, err)
		} else if err == nil {
			break
		}
	}
	others, err := os.ReadDir(s.dir(r))
	for _, other := range others {
		owner, readErr := os.Readlink(s.link(r, other.Name()))
		if readErr != nil || owner == root {
			continue
		}
		if s.Exists(owner, other.Name()) {
			return errors.Join(inUse(r, owner, other.Name()), s.Release(r, id))
		}
		err = errors.Join(err, s.Release(r, other.Name()))
	}
	return err
}

func inUse(r IDRange, root, id string) error {
	return fmt.Errorf("user ids %s are in use by container %s of %s: remove one of the two", r, id, root)
}

// Release ends a container's lease, whatever its range if r is zero. That it has none is a success.
func (s Ranges) Release(r IDRange, id string) error {
	links := []string{s.link(r, id)}
	if r == (IDRange{}) {
		links, _ = filepath.Glob(filepath.Join(s.Dir, "*", id))
	}
	for _, link := range links {
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("release user ids: %w", err)
		}
		unix.Rmdir(filepath.Dir(link)) // stays if another container has the range too
	}
	return nil
}

// Sweep releases the leases that keep says false of.
func (s Ranges) Sweep(keep func(root, id string) bool) error {
	links, err := filepath.Glob(filepath.Join(s.Dir, "*", "*"))
	for _, link := range links {
		if root, gone := os.Readlink(link); gone == nil && !keep(root, filepath.Base(link)) {
			os.Remove(link)
			unix.Rmdir(filepath.Dir(link))
		}
	}
	return err
}
