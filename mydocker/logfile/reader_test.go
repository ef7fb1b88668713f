package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// makeLog writes n entries over several files: "line <i>" at second i, every third to stderr.
func makeLog(t *testing.T, n, perFile int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	for file, last := 0, n; last > 0; file++ {
		first := max(0, (last-1)/perFile*perFile)
		var data []byte
		for i := first; i < last; i++ {
			stream := "stdout"
			if i%3 == 2 {
				stream = "stderr"
			}
			data = fmt.Appendf(data, "{\"log\":\"line %d\\n\",\"stream\":%q,\"time\":%q}\n", i, stream, second(i).Format(time.RFC3339Nano))
		}
		if err := os.WriteFile(numbered(path, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
		last = first
	}
	return path
}

func second(i int) time.Time { return time.Date(2024, 1, 1, 0, 0, i, 0, time.UTC) }

func TestRead(t *testing.T) {
	all := ReadOptions{Stdout: true, Stderr: true, Tail: -1}
	with := func(change func(*ReadOptions)) ReadOptions {
		o := all
		change(&o)
		return o
	}
	span := func(from, to int) (list []int) {
		for i := from; i < to; i++ {
			list = append(list, i)
		}
		return list
	}
	path := makeLog(t, 25, 10)
	for name, test := range map[string]struct {
		o    ReadOptions
		want []int
	}{
		"all":                         {all, span(0, 25)},
		"tail":                        {with(func(o *ReadOptions) { o.Tail = 3 }), span(22, 25)},
		"tail, a whole file":          {with(func(o *ReadOptions) { o.Tail = 5 }), span(20, 25)},
		"tail over files":             {with(func(o *ReadOptions) { o.Tail = 17 }), span(8, 25)},
		"tail, more than there is":    {with(func(o *ReadOptions) { o.Tail = 100 }), span(0, 25)},
		"tail 0":                      {with(func(o *ReadOptions) { o.Tail = 0 }), nil},
		"since":                       {with(func(o *ReadOptions) { o.Since = second(21) }), span(21, 25)},
		"until":                       {with(func(o *ReadOptions) { o.Until = second(12) }), span(0, 13)},
		"since and until":             {with(func(o *ReadOptions) { o.Since, o.Until = second(3), second(5) }), span(3, 6)},
		"of the tail, since":          {with(func(o *ReadOptions) { o.Tail, o.Since = 5, second(23) }), span(23, 25)},
		"of the tail, stderr":         {with(func(o *ReadOptions) { o.Tail, o.Stdout = 6, false }), []int{20, 23}},
		"stderr":                      {with(func(o *ReadOptions) { o.Stdout, o.Until = false, second(8) }), []int{2, 5, 8}},
		"stdout":                      {with(func(o *ReadOptions) { o.Stderr, o.Until = false, second(4) }), []int{0, 1, 3, 4}},
		"follow, until in the past":   {with(func(o *ReadOptions) { o.Follow, o.Until = true, second(2) }), span(0, 3)},
		"follow what is done":         {with(func(o *ReadOptions) { o.Follow, o.Done = true, closed() }), span(0, 25)},
		"follow the tail of the done": {with(func(o *ReadOptions) { o.Follow, o.Tail, o.Done = true, 2, closed() }), span(23, 25)},
	} {
		var got []int
		err := Read(context.Background(), path, test.o, func(e Entry) error {
			var i int
			fmt.Sscanf(e.Log, "line %d\n", &i)
			if !e.Time.Equal(second(i)) {
				t.Errorf("%s: %q has time %v", name, e.Log, e.Time)
			}
			got = append(got, i)
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestReadErrors(t *testing.T) {
	path := makeLog(t, 25, 10)
	o := ReadOptions{Stdout: true, Stderr: true, Tail: -1}
	stop := errors.New("enough")
	if err := Read(context.Background(), path, o, func(Entry) error { return stop }); err != stop {
		t.Errorf("fn's error came back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Read(ctx, path, o, func(Entry) error { return nil }); err != context.Canceled {
		t.Errorf("a cancelled Read returned %v", err)
	}
	if err := Read(context.Background(), path+"-none", o, func(Entry) error { return stop }); err != nil {
		t.Errorf("a log that does not exist: %v", err)
	}
	o.Follow = true
	if err := Read(context.Background(), path+"-none/log", o, func(Entry) error { return stop }); err != nil {
		t.Errorf("following the log of what is removed: %v", err)
	}
}

// TestDamagedEntry: what is around it is read.
func TestDamagedEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	entry := func(text string) string { return string(appendEntry(nil, []byte(text), ending("stdout", ""))) }
	data := entry("a\n") + "\n" + `{"log":"tor` + "\n" + "\x00\x00\x00" + entry("b\n") + strings.Repeat("x", 300<<10) + "\n" + entry("c\n") + `{"log":"half`
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a\n", "b\n", "c\n"}, texts(readAll(t, path))); diff != "" {
		t.Error(diff)
	}
}

// collector follows a log in the background.
type collector struct {
	entries chan Entry
	ended   chan error
}

func follow(ctx context.Context, path string, o ReadOptions) *collector {
	c := &collector{make(chan Entry, 1<<20), make(chan error, 1)}
	o.Stdout, o.Stderr, o.Follow = true, true, true
	go func() {
		c.ended <- Read(ctx, path, o, func(e Entry) error {
			c.entries <- e
			return nil
		})
	}()
	return c
}

func (c *collector) next(t *testing.T) string {
	t.Helper()
	select {
	case e := <-c.entries:
		return e.Log
	case <-time.After(2 * time.Second):
		return "nothing"
	}
}

func (c *collector) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(5 * time.Second):
		t.Fatal("Read does not end")
		return nil
	}
}

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	early := follow(ctx, path, ReadOptions{Tail: -1}) // before there is a log
	time.Sleep(20 * time.Millisecond)
	w := New(path, Options{MaxSize: 200, MaxFiles: 3})
	defer w.Close()
	w.Write("stdout", []byte("a\n"))
	if got := early.next(t); got != "a\n" {
		t.Fatalf("got %q", got)
	}
	done := make(chan struct{})
	late := follow(ctx, path, ReadOptions{Tail: 0, Done: done})
	time.Sleep(20 * time.Millisecond)
	var slowest time.Duration
	for i := range 20 { // every third write rotates
		text := fmt.Sprint("b", i, "\n")
		begin := time.Now()
		w.Write("stdout", []byte(text))
		for _, c := range []*collector{early, late} {
			if got := c.next(t); got != text {
				t.Fatalf("got %q, want %q", got, text)
			}
		}
		slowest = max(slowest, time.Since(begin))
	}
	if slowest > 50*time.Millisecond {
		t.Errorf("an entry took %v to be seen", slowest)
	}
	w.Write("stdout", []byte("last\n"))
	close(done)
	if err := late.end(t); err != nil {
		t.Error(err)
	}
	if got := late.next(t); got != "last\n" {
		t.Errorf("what was written before the end came back as %q", got)
	}
	cancel()
	if err := early.end(t); err != context.Canceled {
		t.Errorf("a cancelled Read returned %v", err)
	}
}

func TestFollowUntil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := New(path, Options{})
	defer w.Close()
	begin := time.Now()
	c := follow(context.Background(), path, ReadOptions{Tail: -1, Until: begin.Add(150 * time.Millisecond)})
	w.Write("stdout", []byte("in time\n"))
	if err := c.end(t); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < 150*time.Millisecond || took > time.Second {
		t.Errorf("ended after %v", took)
	}
	if got := c.next(t); got != "in time\n" {
		t.Errorf("got %q", got)
	}
}

// TestFollowRemoval: the container is removed while its log is followed.
func TestFollowRemoval(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "container")
	os.Mkdir(dir, 0o700)
	w := New(filepath.Join(dir, "log"), Options{})
	w.Write("stdout", []byte("a\n"))
	c := follow(context.Background(), filepath.Join(dir, "log"), ReadOptions{Tail: -1})
	if got := c.next(t); got != "a\n" {
		t.Fatalf("got %q", got)
	}
	w.Close()
	os.Rename(dir, dir+"-removing")
	os.RemoveAll(dir + "-removing")
	if err := c.end(t); err != nil {
		t.Error(err)
	}
}

// TestFollowTruncation: the disk was full in the middle of an entry, which a
// follower saw before the writer cut it off.
func TestFollowTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	entry := func(text string) []byte { return appendEntry(nil, []byte(text), ending("stdout", "")) }
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(context.Background())
	c := follow(ctx, path, ReadOptions{Tail: -1})
	first := entry("a\n")
	file.Write(first)
	if got := c.next(t); got != "a\n" {
		t.Fatalf("got %q", got)
	}
	half := entry(strings.Repeat("x", 300))
	file.Write(half[:200])
	time.Sleep(20 * time.Millisecond)
	file.Truncate(int64(len(first)))
	file.Write(entry("b" + strings.Repeat("b", 500) + "\n"))
	if got := c.next(t); !strings.HasPrefix(got, "bbb") {
		t.Errorf("got %q", got)
	}
	cancel()
	c.end(t)
}

// TestConcurrent: two streams written as fast as can be, many rotations, and
// followers that see each entry once and in order.
func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := New(path, Options{MaxSize: 1 << 20, MaxFiles: 40})
	done := make(chan struct{})
	var followers []*collector
	for range 3 {
		followers = append(followers, follow(context.Background(), path, ReadOptions{Tail: -1, Done: done}))
	}
	const lines = 60000
	var wg sync.WaitGroup
	for _, stream := range []string{"stdout", "stderr"} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var pipe bytes.Buffer
			for i := range lines {
				fmt.Fprintf(&pipe, "%d %s\n", i, strings.Repeat("x", i%200))
			}
			for size := 1; pipe.Len() > 0; size = size*7%40000 + 1 {
				w.Write(stream, pipe.Next(size))
			}
		}()
	}
	wg.Wait()
	w.Close()
	close(done)
	if _, err := os.Stat(numbered(path, 10)); err != nil {
		t.Errorf("too few rotations: %v", err)
	}
	for n, c := range followers {
		if err := c.end(t); err != nil {
			t.Error(err)
		}
		close(c.entries)
		next := map[string]int{}
		for e := range c.entries {
			if want := fmt.Sprintf("%d %s\n", next[e.Stream], strings.Repeat("x", next[e.Stream]%200)); e.Log != want {
				t.Fatalf("follower %d: %q comes where %q was due", n, e.Log, want)
			}
			next[e.Stream]++
		}
		if next["stdout"] != lines || next["stderr"] != lines {
			t.Errorf("follower %d saw %v of %d each", n, next, lines)
		}
	}
}

// TestThroughput reports how fast 100 MB are written, rotated and read back.
func TestThroughput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := New(path, Options{})
	chunk := []byte(strings.Repeat(strings.Repeat("abcdefgh ", 9)[:79]+"\n", 64<<10/80))
	begin := time.Now()
	total := 0
	for total < 100<<20 {
		w.Write("stdout", chunk)
		total += len(chunk)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wrote := time.Since(begin)
	begin = time.Now()
	entries := readAll(t, path)
	read, bytes := time.Since(begin), 0
	for i := range 3 {
		info, err := os.Stat(numbered(path, i))
		if err != nil || info.Size() > 10<<20+200 {
			t.Errorf("%v, %v", info, err)
		}
		bytes += int(info.Size())
	}
	if len(entries) < 20<<20/200 || entries[len(entries)-1].Log != string(chunk[:80]) {
		t.Errorf("%d entries", len(entries))
	}
	t.Logf("written %.0f MB/s, read %.0f MB/s", float64(total)/1e6/wrote.Seconds(), float64(bytes)/1e6/read.Seconds())
}

func BenchmarkTail(b *testing.B) {
	path := filepath.Join(b.TempDir(), "log")
	w := New(path, Options{})
	w.Write("stdout", bytes.Repeat([]byte("a line of the log\n"), 300000))
	w.Close()
	for b.Loop() {
		n := 0
		Read(context.Background(), path, ReadOptions{Stdout: true, Tail: 10}, func(Entry) error { n++; return nil })
		if n != 10 {
			b.Fatal(n)
		}
	}
}
