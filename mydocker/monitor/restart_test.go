package monitor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The pauses are Docker's: they double up to a minute, and a life that lasted
// makes them short again.
func TestNextDelay(t *testing.T) {
	var got []time.Duration
	delay := time.Duration(0)
	for _, lived := range []time.Duration{time.Second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, lasted - 1, lasted, 0} {
		delay = nextDelay(delay, lived)
		got = append(got, delay)
	}
	var want []time.Duration
	for _, ms := range []int{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 100, 200} {
		want = append(want, time.Duration(ms)*time.Millisecond)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
