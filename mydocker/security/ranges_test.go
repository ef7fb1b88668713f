package security

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func newRanges(t *testing.T) Ranges {
	return Ranges{filepath.Join(t.TempDir(), "ids"), "/r", func(id string) bool { return true }}
}

func (s Ranges) left(t *testing.T) (names []string) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Error(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestSubIDsEnd(t *testing.T) {
	for text, want := range map[string]uint64{
		"": 0, "a:100000:65536\n": 165536, "a:100000:65536\n1000:231072:65536\nb:165536:65536": 296608,
		"# comment\n\na:1:2:3\na:x:1\na:1:-1\na:99999999999:1\nb:5:5\n": 10,
	} {
		if got := subIDsEnd(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestCheckPool(t *testing.T) {
	for _, good := range []IDRange{{}, {RangeSize, RangeSize}, {1 << 20, 1 << 26}, {1<<31 - RangeSize, RangeSize}} {
		if err := CheckPool(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []IDRange{{0, RangeSize}, {1, RangeSize}, {RangeSize, 1}, {RangeSize, 0}, {1<<31 - RangeSize, 2 * RangeSize}, {1 << 31, RangeSize}} {
		if CheckPool(bad) == nil {
			t.Error(bad)
		}
	}
}

// No two containers have one range, however many come at once; and all of a pool can be had.
func TestRangesUsedUp(t *testing.T) {
	const count = 40
	s, pool := newRanges(t), IDRange{1 << 20, count * RangeSize}
	var wg sync.WaitGroup
	var all sync.Map
	for i := range count {
		wg.Go(func() {
			r, err := s.Lease(pool, fmt.Sprint("c", i))
			if other, taken := all.LoadOrStore(r, i); err != nil || taken || r.Size != RangeSize || r.First < pool.First || r.First-pool.First >= pool.Size {
				t.Error(i, r, err, other)
			}
		})
	}
	wg.Wait()
	if r, err := s.Lease(pool, "more"); !errors.Is(err, ErrNoRange) {
		t.Error(r, err)
	}
	s.Exists = func(id string) bool { return id != "c7" } // whose remover was killed
	if gone, err := s.Sweep(false); err != nil || !slices.Equal(gone, []string{"c7"}) {
		t.Error(gone, err)
	}
	r, err := s.Lease(pool, "more")
	if of, _ := all.Load(r); err != nil || of != 7 {
		t.Error(of, err)
	}
	for i := range count {
		if err := s.Release(IDRange{}, fmt.Sprint("c", i)); err != nil {
			t.Error(err)
		}
	}
	if left := s.left(t); len(left) != 2 {
		t.Error(left)
	}
	if err := s.Release(r, "more"); err != nil || len(s.left(t)) > 0 {
		t.Error(err, s.left(t))
	}
}

// A range is free when the last that shares it has gone, in whatever order they go.
func TestRangesShared(t *testing.T) {
	s, pool := newRanges(t), IDRange{1 << 20, RangeSize}
	for _, order := range [][]string{{"donor", "guest", "third"}, {"guest", "third", "donor"}, {"third", "donor", "guest"}} {
		there := map[string]bool{"donor": true, "guest": true, "third": true}
		s.Exists = func(id string) bool { return there[id] }
		r, err := s.Lease(pool, "donor")
		if err != nil || r != pool {
			t.Fatal(r, err)
		}
		for range 2 {
			if err := errors.Join(s.Renew(r, "guest"), s.Renew(r, "third"), s.Renew(r, "donor")); err != nil {
				t.Error(err)
			}
		}
		for _, id := range order {
			if _, err := s.Lease(pool, "other"); !errors.Is(err, ErrNoRange) {
				t.Error(err)
			}
			delete(there, id)
			if err := s.Release(r, id); err != nil {
				t.Error(err)
			}
		}
		if left := s.left(t); len(left) > 0 {
			t.Error(order, left)
		}
	}
}

// Whoever is the last of several that go at once takes the lease along.
func TestRangesAtOnce(t *testing.T) {
	s, pool := newRanges(t), IDRange{1 << 20, RangeSize}
	for range 300 {
		r, err := s.Lease(pool, "c0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			if err := s.Renew(r, fmt.Sprint("c", i)); err != nil {
				t.Error(err)
			}
		}
		for i := range 4 {
			wg.Go(func() {
				if err := s.Release(r, fmt.Sprint("c", i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if left := s.left(t); len(left) > 0 {
			t.Fatal(left)
		}
	}
}

// Who gets a range while the last that shared it go has it to himself.
func TestRangesHandedOn(t *testing.T) {
	s, pool := newRanges(t), IDRange{1 << 20, RangeSize}
	for i := range 200 {
		r, err := s.Lease(pool, "c0")
		if err = errors.Join(err, s.Renew(r, "c1"), s.Renew(r, "c2")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if err := s.Release(r, fmt.Sprint("c", i)); err != nil {
					t.Error(err)
				}
			})
		}
		for err = ErrNoRange; errors.Is(err, ErrNoRange); {
			_, err = s.Lease(pool, "next")
		}
		wg.Wait()
		if left := s.left(t); err != nil || len(left) != 2 {
			t.Fatal(i, err, left)
		}
		if err := s.Release(r, "next"); err != nil {
			t.Error(err)
		}
	}
}

// What another engine has it keeps, and its leases are none of ours.
func TestRangesOfOthers(t *testing.T) {
	s, pool := newRanges(t), IDRange{1 << 20, RangeSize}
	other := s
	other.Root = "/other"
	r, err := other.Lease(pool, "0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	s.Exists = func(id string) bool { return false }
	if gone, err := s.Sweep(true); err != nil || gone != nil {
		t.Error(gone, err)
	}
	want := "user ids 1048576-1114111 are in use by container 0123456789ab of another root: remove one of the two"
	if err := s.Renew(r, "mine"); err == nil || err.Error() != want {
		t.Error(err)
	}
	if err := errors.Join(s.Release(r, "mine"), s.Release(r, "0123456789abcdef")); err != nil || len(s.left(t)) != 2 {
		t.Error(err, s.left(t))
	}
	if err := errors.Join(other.Release(r, "0123456789abcdef"), s.Renew(r, "mine"), s.Release(r, "mine")); err != nil || len(s.left(t)) > 0 {
		t.Error(err, s.left(t))
	}
}
