package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/events"
)

func message(id string) events.Message {
	return events.Message{Type: events.ContainerEventType, Action: events.ActionStart,
		Actor: events.Actor{ID: id, Attributes: map[string]string{"name": "web", "image": "busybox"}}}
}

func appendAll(t *testing.T, j *Journal, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := j.Append(message(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// history reads what is recorded from since until now.
func history(t *testing.T, j *Journal, since, until time.Time) []string {
	t.Helper()
	ids := []string{}
	err := j.Follow(context.Background(), since, until, func(m events.Message) error {
		ids = append(ids, m.Actor.ID)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestAppendFills(t *testing.T) {
	j := Open(filepath.Join(t.TempDir(), "run", "events"))
	begin := time.Now()
	appendAll(t, j, "a")
	given := message("b")
	given.Time, given.TimeNano, given.Scope = 5, 5e9+1, "swarm"
	if err := j.Append(given); err != nil {
		t.Fatal(err)
	}
	var got []events.Message
	j.Follow(context.Background(), time.Time{}, time.Now(), func(m events.Message) error {
		got = append(got, m)
		return nil
	})
	if len(got) != 2 {
		t.Fatal(got)
	}
	at := time.Unix(0, got[0].TimeNano)
	if at.Before(begin) || at.After(time.Now()) || got[0].Time != at.Unix() {
		t.Errorf("time %v", at)
	}
	want := message("a")
	want.Scope, want.Time, want.TimeNano = "local", got[0].Time, got[0].TimeNano
	if diff := cmp.Diff([]events.Message{want, given}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSinceUntil(t *testing.T) {
	j := Open(t.TempDir())
	var times []time.Time
	for i, id := range []string{"a", "b", "c"} {
		m := message(id)
		times = append(times, time.Unix(int64(1000+i), 7))
		m.Time, m.TimeNano = times[i].Unix(), times[i].UnixNano()
		if err := j.Append(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		since, until time.Time
		want         []string
	}{
		{time.Time{}, times[1], []string{"a", "b"}},
		{times[1], times[2], []string{"b", "c"}},
		{times[1], times[1], []string{"b"}},
		{times[0].Add(1), times[2].Add(-1), []string{"b"}},
		{times[2].Add(1), time.Now(), []string{}},
	} {
		if diff := cmp.Diff(test.want, history(t, j, test.since, test.until)); diff != "" {
			t.Errorf("%v to %v:\n%s", test.since, test.until, diff)
		}
	}
	// A since alone: what is recorded, then what comes.
	next := following(t, j, times[1], time.Time{})
	appendAll(t, j, "d")
	for _, want := range []string{"b", "c", "d"} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// following starts to follow and returns a function that waits for the next event.
func following(t *testing.T, j *Journal, since, until time.Time) func() string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ids, ended := make(chan string, 100), make(chan error)
	go func() {
		ended <- j.Follow(ctx, since, until, func(m events.Message) error {
			if m.Actor.ID != "probe" {
				ids <- m.Actor.ID
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow returned %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond) // it is at the end by now
	return func() string {
		select {
		case id := <-ids:
			return id
		case <-time.After(2 * time.Second):
			return "nothing"
		}
	}
}

func TestFollowOnlyNew(t *testing.T) {
	j := Open(t.TempDir())
	appendAll(t, j, "old")
	first := following(t, j, time.Time{}, time.Time{})
	second := following(t, j, time.Time{}, time.Time{})
	appendAll(t, j, "new")
	if a, b := first(), second(); a != "new" || b != "new" {
		t.Errorf("followers got %s and %s", a, b)
	}
}

func TestFollowUntil(t *testing.T) {
	j := Open(t.TempDir())
	begin := time.Now()
	time.AfterFunc(30*time.Millisecond, func() { appendAll(t, j, "in time") })
	got := history(t, j, begin, begin.Add(100*time.Millisecond))
	if took := time.Since(begin); took < 100*time.Millisecond || took > time.Second {
		t.Errorf("ended after %v", took)
	}
	if diff := cmp.Diff([]string{"in time"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFollowEnds(t *testing.T) {
	j := Open(t.TempDir())
	stop := errors.New("enough")
	appendAll(t, j, "a")
	if err := j.Follow(context.Background(), time.Unix(1, 0), time.Time{}, func(events.Message) error { return stop }); err != stop {
		t.Errorf("fn's error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := j.Follow(ctx, time.Time{}, time.Time{}, func(events.Message) error { return nil }); err != context.Canceled {
		t.Errorf("a cancelled Follow returned %v", err)
	}
}

// TestTornLine: a process was killed in the middle of a write.
func TestTornLine(t *testing.T) {
	j := Open(t.TempDir())
	appendAll(t, j, "a")
	next := following(t, j, time.Unix(1, 0), time.Time{})
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString(`{"Type":"container","Action":"die","Actor":{"ID":"torn`)
	file.Close()
	time.Sleep(20 * time.Millisecond) // the follower has seen the torn part
	appendAll(t, j, "b", "c")
	for _, want := range []string{"a", "b", "c"} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, history(t, j, time.Time{}, time.Now())); diff != "" {
		t.Error(diff)
	}
}

// TestAppendAcrossRotation: who waited for a journal that is renamed meanwhile
// appends to the new one.
func TestAppendAcrossRotation(t *testing.T) {
	j := Open(t.TempDir())
	appendAll(t, j, "a")
	lock, _, err := j.lock()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- j.Append(message("b")) }()
	time.Sleep(20 * time.Millisecond) // it has the journal open and waits
	if err := os.Rename(j.path, j.path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lock.Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(j.path); !strings.Contains(string(data), `"ID":"b"`) {
		t.Errorf("the new journal holds %q, %v", data, err)
	}
}

// TestSlowFollower is at a file that is rotated twice: the one between is read, too.
func TestSlowFollower(t *testing.T) {
	j := Open(t.TempDir())
	appendAll(t, j, "a")
	busy, rest := make(chan bool), make(chan bool)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen, ended := 0, make(chan error)
	const count = 5000 // about 1.6 files
	go func() {
		ended <- j.Follow(ctx, time.Unix(1, 0), time.Time{}, func(m events.Message) error {
			if m.Actor.ID == "a" {
				busy <- true
				<-rest
				return nil
			}
			if m.Actor.ID != fmt.Sprint(seen) {
				return fmt.Errorf("%s comes where %d was due", m.Actor.ID, seen)
			}
			if seen++; seen == count {
				return errDone
			}
			return nil
		})
	}()
	<-busy
	first, _ := os.Stat(j.path)
	for i := range count {
		m := message(fmt.Sprint(i))
		m.Actor.Attributes["label"] = strings.Repeat("x", 300)
		if err := j.Append(m); err != nil {
			t.Fatal(err)
		}
	}
	if now, _ := os.Stat(j.path + ".1"); os.SameFile(first, now) {
		t.Fatal("not rotated twice")
	}
	rest <- true
	time.AfterFunc(5*time.Second, cancel)
	if err := <-ended; err != errDone {
		t.Errorf("after %d of %d: %v", seen, count, err)
	}
}

const writers, each = 4, 1500

// TestRotation: several processes append three megabytes while followers, one of
// them slow, read. Each follower sees each event once, and in the writer's order.
func TestRotation(t *testing.T) {
	if dir := os.Getenv("JOURNAL_TEST_DIR"); dir != "" {
		j := Open(dir)
		for i := range each {
			m := message(fmt.Sprintf("%s-%d", os.Getenv("JOURNAL_TEST_WRITER"), i))
			m.Actor.Attributes["label"] = strings.Repeat("x", 200+i%7*50)
			if i%100 == 50 {
				m.Actor.Attributes["long"] = strings.Repeat("y", 6000) // longer than PIPE_BUF
			}
			if err := j.Append(m); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Microsecond) // or no reader could keep up with four writers on two processors
		}
		return
	}
	dir := t.TempDir()
	j := Open(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Add(1)
		ready := make(chan bool)
		go func() {
			defer readers.Done()
			next, seen := map[string]int{}, 0
			err := j.Follow(ctx, time.Time{}, time.Time{}, func(m events.Message) error {
				if m.Actor.ID == "ready" {
					select {
					case ready <- true:
					default:
					}
					return nil
				}
				writer, number, _ := strings.Cut(m.Actor.ID, "-")
				if want := fmt.Sprint(next[writer]); number != want {
					t.Errorf("reader %d: %s-%s came instead of %s", r, writer, number, want)
					return errors.New("wrong order")
				}
				next[writer]++
				if seen++; r == 2 && seen == 2000 {
					time.Sleep(100 * time.Millisecond)
				}
				if seen == writers*each {
					return errDone
				}
				return nil
			})
			if err != errDone {
				t.Errorf("reader %d saw %d events: %v", r, seen, err)
			}
		}()
		for waiting := true; waiting; {
			appendAll(t, j, "ready")
			select {
			case <-ready:
				waiting = false
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	var procs []*exec.Cmd
	for w := range writers {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestRotation$")
		cmd.Env = append(os.Environ(), "JOURNAL_TEST_DIR="+dir, fmt.Sprint("JOURNAL_TEST_WRITER=", w))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		procs = append(procs, cmd)
	}
	for _, cmd := range procs {
		if err := cmd.Wait(); err != nil {
			t.Errorf("writer: %v", err)
		}
	}
	time.AfterFunc(5*time.Second, cancel)
	readers.Wait()
	for _, path := range []string{j.path, j.path + ".1"} {
		info, err := os.Stat(path)
		if err != nil || info.Size() > maxSize+8<<10 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("the directory holds %v", entries)
	}
	// What is recorded is the end of what was appended, without a gap at the seam.
	got := history(t, j, time.Time{}, time.Now())
	last := map[string]string{}
	for _, id := range got {
		writer, number, _ := strings.Cut(id, "-")
		if before, ok := last[writer]; ok && fmt.Sprint(atoi(before)+1) != number {
			t.Errorf("%s follows %s-%s", id, writer, before)
		}
		last[writer] = number
	}
	if len(got) < 1000 || last["0"] != fmt.Sprint(each-1) {
		t.Errorf("%d events recorded, the last %v", len(got), last)
	}
}

var errDone = errors.New("done")

func atoi(s string) (n int) {
	fmt.Sscan(s, &n)
	return n
}

func BenchmarkAppend(b *testing.B) {
	j := Open(b.TempDir())
	m := message(strings.Repeat("a", 64))
	for b.Loop() {
		if err := j.Append(m); err != nil {
			b.Fatal(err)
		}
	}
}
