package container

import (
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"strings"

	"minidocker/mydocker/disk"
)

// NewID returns an ID nobody has: 64 hex digits. Its first 12, the short form and
// default host name, are never all digits, because a host name that is a number
// breaks programs (as Docker has it).
func NewID() string {
	for {
		id := disk.NewID()
		if strings.Trim(ShortID(id), "0123456789") != "" {
			return id
		}
	}
}

// ShortID is the form in which an ID is shown: its first 12 digits.
func ShortID(id string) string { return id[:min(12, len(id))] }

func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Strings, not slices: what is split only when a name is wanted costs a start nothing.
const (
	adjectives = `able agile bold brave bright calm candid clever cosmic crisp daring eager fair fluent
		frank gentle happy honest jolly keen kind lively lucid lucky merry mild neat nimble noble proud
		quick quiet serene sharp solid steady sunny swift tidy vivid warm wise witty zesty`
	surnames = `abel babbage banach bohr boole cantor cerf church curie darwin dijkstra euler faraday
		fermat feynman galois gauss hamilton hilbert hopper hypatia kepler knuth lamport leibniz liskov
		lovelace maxwell meitner newton noether pascal perlman ritchie shannon tesla thompson turing`
)

// NewName proposes a name, an adjective and a scientist's surname. Nothing
// reserves it: on a NameInUseError ask again with attempt one higher, which adds
// a digit, so that a host with many containers finds free ones.
func NewName(attempt int) string {
	pick := func(words string) string {
		list := strings.Fields(words)
		return list[mathrand.IntN(len(list))]
	}
	name := pick(adjectives) + "_" + pick(surnames)
	if attempt > 0 {
		name += fmt.Sprint(mathrand.IntN(10 * attempt))
	}
	return name
}

// ValidName reports whether a container may be called name.
func ValidName(name string) error {
	if !disk.IsName(name) {
		return fmt.Errorf("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	return nil
}

// NameInUseError reports that another container has the name.
type NameInUseError struct{ Name, ID string }

func (e *NameInUseError) Error() string {
	return fmt.Sprintf("Conflict. The container name \"/%s\" is already in use by container \"%s\". "+
		"You have to remove (or rename) that container to be able to reuse that name.", e.Name, e.ID)
}

// owner is the ID of the container that has the name, or claims it; empty: nobody.
func (s *Store) owner(name string) string {
	id, _ := os.ReadFile(s.namePath(name))
	return string(id)
}

func (s *Store) has(id string) bool { return isID(id) && exists(s.Dir(id)) }

// Free is a NameInUseError if a container has the name.
func (s *Store) Free(name string) error {
	if id := s.owner(name); s.has(id) {
		return &NameInUseError{name, id}
	}
	return nil
}

// claim gives the name to the container in the directory entry, whose lock the
// caller holds. The link appears complete and already locked, so nobody takes it
// for a dead creator's; and like open with O_EXCL, link(2) fails if the name is there.
func (s *Store) claim(name, entry string) error {
	for {
		err := os.Link(s.LockPath(entry), s.namePath(name))
		if !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := s.evict(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}

// free gives a name up, if it is this container's. The caller holds the
// container's lock, so nobody else can take the name away from it.
func (s *Store) free(name, id string) error {
	if s.owner(name) != id {
		return nil
	}
	return os.Remove(s.namePath(name))
}

// evict takes a name away from a dead claimant; from a living one it is a NameInUseError.
func (s *Store) evict(name string) error {
	lock, err := s.lockDead(name)
	if err != nil {
		return err
	}
	defer lock.Release()
	return os.Remove(s.namePath(name))
}

// lockDead locks a name whose claimant died before its container came into being, or
// whose container is gone. Only with this lock is a name taken away from its owner.
func (s *Store) lockDead(name string) (*disk.Lock, error) {
	if err := s.Free(name); err != nil { // first, because the lock would be the container's
		return nil, err
	}
	lock, err := disk.TryAcquire(s.namePath(name), disk.Exclusive|disk.Existing)
	if errors.Is(err, disk.ErrLocked) {
		return nil, &NameInUseError{name, s.owner(name)}
	}
	if err != nil {
		return nil, err
	}
	id, err := io.ReadAll(lock.File()) // with an error nobody knows whose it is
	if err == nil && s.has(string(id)) {
		err = &NameInUseError{name, string(id)} // its creator has just finished
	}
	if err != nil {
		lock.Release()
		return nil, err
	}
	return lock, nil
}

// Rename gives the container another name and returns its new record. The caller
// holds its lock. After a crash on the way it has the old or the new name, and
// Sweep frees the other.
func (s *Store) Rename(r *Record, name string) (*Record, error) {
	name = strings.TrimPrefix(name, "/")
	err := ValidName(name)
	if name == r.Name {
		return nil, errors.New("Renaming a container with the same name as its current name")
	}
	if err == nil {
		err = s.claim(name, r.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("Error when allocating new name: %w", err)
	}
	renamed := *r
	renamed.Name = name
	if err := s.SaveRecord(&renamed); err != nil {
		return nil, errors.Join(err, s.free(name, r.ID))
	}
	return &renamed, s.free(r.Name, r.ID)
}
