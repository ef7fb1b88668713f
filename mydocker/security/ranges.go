package security

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"minidocker/mydocker/disk"

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

// Ranges are the leases of ranges that one engine has, in a directory that all engines of a
// host share: a symbolic link for each range, called as its first ID, that says who took it,
// ROOT/CONTAINER; and a hard link to it, FIRST-CONTAINER, for each container that has it, one
// or several that share it. Whoever removes the last of these removes the first. Changes are
// made under the lock DIR.lock. (A directory or a file with content would cost a millisecond
// where /run is on a disk; a link of less than 60 bytes is in its inode, which is why names
// are cut.)
//
// A kill -9 leaves at most the lease of a container that is not there: see Sweep.
type Ranges struct {
	Dir, Root string
	Exists    func(id string) bool // whether the engine has a container whose ID begins so, or is making it
}

// ErrNoRange says that all ranges are leased.
var ErrNoRange = errors.New("no range of user ids is free: all of the pool are leased to containers")

// Lease gives a container a range of the pool that nobody else has; the zero pool is the
// default one. It is looked for where the container's ID says, so that engines that know
// nothing of each other's containers, as after a reboot, seldom choose the same.
func (s Ranges) Lease(pool IDRange, id string) (r IDRange, err error) {
	if pool.Size == 0 {
		if pool, err = defaultPool(); err != nil {
			return r, err
		}
	}
	lock, err := s.lock()
	if err != nil {
		return r, err
	}
	defer lock.Release()
	hash, count := fnv.New32a(), pool.Size/RangeSize
	hash.Write([]byte(id))
	for range 2 {
		for i := range count {
			r = IDRange{pool.First + (hash.Sum32()%count+i)%count*RangeSize, RangeSize}
			if err = os.Symlink(s.owner(id), s.path(r)); err == nil {
				err = os.Link(s.path(r), s.holder(r, id))
			}
			if err == nil {
				return r, nil
			} else if !errors.Is(err, os.ErrExist) {
				return r, fmt.Errorf("lease user ids: %w", err)
			}
		}
		if _, err := s.sweep(true); err != nil {
			return r, err
		}
	}
	return IDRange{}, fmt.Errorf("%w (%s)", ErrNoRange, pool)
}

func (s Ranges) path(r IDRange) string              { return filepath.Join(s.Dir, strconv.Itoa(int(r.First))) }
func (s Ranges) holder(r IDRange, id string) string { return s.path(r) + "-" + cut(id) }
func (s Ranges) owner(id string) string             { return s.root() + "/" + cut(id) }
func (s Ranges) root() string                       { return fmt.Sprintf("%x", sha256.Sum256([]byte(s.Root)))[:12] }
func cut(id string) string                          { return id[:min(len(id), 46)] }

// Renew leases a range to a container that its record names it for: again, or with the
// others of its engine that have it. It is an error if a container of another one has it.
func (s Ranges) Renew(r IDRange, id string) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Release()
	owner, err := os.Readlink(s.path(r))
	if _, other, _ := strings.Cut(owner, "/"); err == nil && !strings.HasPrefix(owner, s.root()+"/") {
		return fmt.Errorf("user ids %s are in use by container %.12s of another root: remove one of the two", r, other)
	}
	if err != nil {
		err = os.Symlink(s.owner(id), s.path(r))
	}
	if err == nil {
		err = os.Link(s.path(r), s.holder(r, id))
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("lease user ids %s: %w", r, err)
	}
	return nil
}

// Release ends a container's lease, whatever its range if r is zero. That it has none is a success.
func (s Ranges) Release(r IDRange, id string) error {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Release()
	if r.First > 0 {
		return s.release(r, id)
	}
	return s.each(func(found IDRange, holder string) error {
		if holder == cut(id) {
			return s.release(found, id)
		}
		return nil
	})
}

func (s Ranges) release(r IDRange, id string) error {
	taken, err := os.Readlink(s.holder(r, id))
	if err != nil { // its maker was killed before it was made, or it is gone
		taken = s.owner(id)
	} else if !strings.HasPrefix(taken, s.root()+"/") {
		return nil
	}
	err = unix.Unlink(s.holder(r, id))
	var st unix.Stat_t
	if now, _ := os.Readlink(s.path(r)); now == taken && unix.Lstat(s.path(r), &st) == nil && st.Nlink == 1 {
		err = unix.Unlink(s.path(r))
	}
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("release user ids %s: %w", r, err)
	}
	return nil
}

func (s Ranges) lock() (*disk.Lock, error) {
	err := os.MkdirAll(s.Dir, 0o700)
	if err == nil {
		return disk.Acquire(s.Dir+".lock", disk.Exclusive)
	}
	return nil, fmt.Errorf("lease user ids: %w", err)
}

// Sweep finds the containers that have leases and are not there, and with release ends these.
func (s Ranges) Sweep(release bool) (gone []string, err error) {
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	return s.sweep(release)
}

func (s Ranges) sweep(release bool) (gone []string, err error) {
	err = s.each(func(r IDRange, holder string) error {
		if s.Exists(holder) {
			return nil
		}
		gone = append(gone, holder)
		if release {
			return s.release(r, holder)
		}
		return nil
	})
	return gone, err
}

// each visits the engine's leases. Holders are the beginnings of IDs.
func (s Ranges) each(visit func(r IDRange, holder string) error) error {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	for _, entry := range entries {
		var st unix.Stat_t
		path := filepath.Join(s.Dir, entry.Name())
		owner, gone := os.Readlink(path)
		taker, ours := strings.CutPrefix(owner, s.root()+"/")
		if gone != nil || !ours || unix.Lstat(path, &st) != nil {
			continue
		}
		number, holder, isHolder := strings.Cut(entry.Name(), "-")
		if !isHolder && st.Nlink > 1 {
			continue
		} else if !isHolder { // taken, and no more yet
			holder = taker
		}
		first, _ := strconv.ParseUint(number, 10, 32)
		err = errors.Join(err, visit(IDRange{uint32(first), RangeSize}, holder))
	}
	return err
}
