package security

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func newRanges(t *testing.T) Ranges {
	return Ranges{filepath.Join(t.TempDir(), "ids"), func(root, id string) bool { return false }}
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
	s.Exists = func(root, id string) bool { return true }
	var wg sync.WaitGroup
	var all sync.Map
	for i := range count {
		wg.Go(func() {
			r, err := s.Lease(pool, "/r", fmt.Sprint("c", i))
			if other, taken := all.LoadOrStore(r, i); err != nil || taken || r.Size != RangeSize || r.First < pool.First || r.First-pool.First >= pool.Size {
				t.Error(i, r, err, other)
			}
		})
	}
	wg.Wait()
	if r, err := s.Lease(pool, "/r", "more"); !errors.Is(err, ErrNoRange) {
		t.Error(r, err)
	}
	s.Exists = func(root, id string) bool { return id != "c7" } // whose remover was killed
	want, _ := filepath.Glob(s.Dir + "/*/c7")
	r, err := s.Lease(pool, "/r", "more")
	if got := s.dir(r); err != nil || got != filepath.Dir(want[0]) {
		t.Error(got, err)
	}
	for i := range count {
		if err := s.Release(IDRange{}, fmt.Sprint("c", i)); err != nil {
			t.Error(err)
		}
	}
	if err := s.Release(r, "more"); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(s.Dir); len(left) > 0 {
		t.Error(left)
	}
}

// A range is free when the last that shares it has gone, or was killed before it was leased.
func TestRangesShared(t *testing.T) {
	s, pool := newRanges(t), IDRange{1 << 20, RangeSize}
	if err := os.MkdirAll(s.dir(pool), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := s.Lease(pool, "/r", "donor")
	if err != nil || r != pool {
		t.Fatal(r, err)
	}
	s.Exists = func(root, id string) bool { return true }
	for range 2 {
		if err := errors.Join(s.Renew(r, "/r", "guest"), s.Release(r, "donor")); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Lease(pool, "/r", "other"); !errors.Is(err, ErrNoRange) {
		t.Error(err)
	}
	if err := s.Renew(r, "/other", "other"); err == nil {
		t.Error("another root has the range too")
	} else if want := "user ids 1048576-1114111 are in use by container guest of /r: remove one of the two"; err.Error() != want {
		t.Error(err)
	}
	s.Exists = func(root, id string) bool { return false }
	if err := errors.Join(s.Renew(r, "/other", "other"), s.Release(r, "other")); err != nil { // its root is gone
		t.Error(err)
	}
	if left, _ := os.ReadDir(s.Dir); len(left) > 0 {
		t.Error(left)
	}
}
