package logfile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// readAll reads the whole log, rotated files included.
func readAll(t *testing.T, path string) []Entry {
	t.Helper()
	var entries []Entry
	err := Read(context.Background(), path, ReadOptions{Stdout: true, Stderr: true, Tail: -1}, func(e Entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func texts(entries []Entry) []string {
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Log)
	}
	return list
}

// TestEncodingIsDockers: the outputs are what dockerd 20.10 wrote for these inputs.
func TestEncodingIsDockers(t *testing.T) {
	ascii := []byte{}
	for i := range 128 {
		ascii = append(ascii, byte(i))
	}
	for _, test := range []struct{ in, want string }{
		{string(ascii), `\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\u0009\n\u000b\u000c\r\u000e\u000f\u0010\u0011\u0012` +
			`\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f !\"#$%\u0026'()*+,-./0123456789:;` +
			"\\u003c=\\u003e?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f"},
		{"\x80\x81\xfe\xff", `\ufffd\ufffd\ufffd\ufffd`},
		{"plain <a href=\"x\">&amp; \\ tab\there\r\n", `plain \u003ca href=\"x\"\u003e\u0026amp; \\ tab\u0009here\r\n`},
		{"üñí €  😀 \u2028\u2029\ufffd\n", `üñí €  😀 \u2028\u2029` + "\ufffd" + `\n`},
		{"trunc \xe2\x82\n", `trunc \ufffd\ufffd\n`},
		{"next \xf0\x9f\x98 \xc0\x80 \xed\xa0\x80\n", `next \ufffd\ufffd\ufffd \ufffd\ufffd \ufffd\ufffd\ufffd\n`},
		{"", ""},
	} {
		if diff := cmp.Diff(test.want, string(appendText(nil, []byte(test.in)))); diff != "" {
			t.Errorf("%q:\n%s", test.in, diff)
		}
	}
}

func TestEntryForm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := New(path, Options{})
	begin := time.Now()
	w.Write("stdout", []byte("a\nb"))
	w.Write("stderr", []byte("oops\n"))
	w.Write("stdout", []byte("c\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	want := []string{`{"log":"a\n","stream":"stdout"`, `{"log":"oops\n","stream":"stderr"`, `{"log":"bc\n","stream":"stdout"`, ``}
	if len(lines) != len(want) {
		t.Fatalf("%q", data)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("got %s, want %s", line, want[i])
		}
		if line == "" {
			continue
		}
		var fields map[string]string
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339Nano, fields["time"])
		if err != nil || at.Before(begin) || at.After(time.Now()) || at.Location() != time.UTC || len(fields) != 3 {
			t.Errorf("fields %v, %v", fields, err)
		}
	}
}

// TestLongLines: cut where dockerd cuts them.
func TestLongLines(t *testing.T) {
	x, y, z := strings.Repeat("x", 16383), strings.Repeat("y", 16384), strings.Repeat("z", 40000)
	input := x + "\n" + y + "\n" + z + "\nno newline at end"
	want := []string{x + "\n", y, "\n", z[:16384], z[:16384], z[:7232] + "\n", "no newline at end"}
	for _, chunk := range []int{1, 7, 4096, 16384, 65536, len(input)} {
		path := filepath.Join(t.TempDir(), "log")
		w := New(path, Options{MaxSize: -1})
		for p := []byte(input); len(p) > 0; {
			n := min(chunk, len(p))
			w.Write("stdout", p[:n])
			p = p[n:]
		}
		w.Flush()
		w.Flush() // the second finds nothing
		entries := readAll(t, path)
		if diff := cmp.Diff(want, texts(entries)); diff != "" {
			t.Fatalf("in chunks of %d:\n%s", chunk, diff)
		}
		if one := entries[3].Time; !entries[4].Time.Equal(one) || !entries[5].Time.Equal(one) || chunk == 1 && !entries[6].Time.After(one) {
			t.Errorf("in chunks of %d: the entries of a line have the times %v", chunk, entries[3:])
		}
		w.Close()
	}
}

// TestCharactersAreNotCut, neither between two writes nor between two entries of a long line.
func TestCharactersAreNotCut(t *testing.T) {
	input := strings.Repeat("€😀é", 9000) + "\n"
	for chunk := range 20 {
		path := filepath.Join(t.TempDir(), "log")
		w := New(path, Options{MaxSize: -1})
		for p := []byte(input); len(p) > 0; {
			n := min(chunk*chunk*40+1, len(p))
			w.Write("stdout", p[:n])
			p = p[n:]
		}
		w.Close()
		parts := texts(readAll(t, path))
		for _, part := range parts {
			if !utf8.ValidString(part) || strings.ContainsRune(part, utf8.RuneError) {
				t.Error("a character is damaged")
			}
		}
		if strings.Join(parts, "") != input || len(parts) != 5 {
			t.Errorf("chunk %d: %d entries do not give the line back", chunk*chunk*40+1, len(parts))
		}
	}
}

func TestBinary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := New(path, Options{MaxSize: -1})
	random := rand.New(rand.NewPCG(1, 2))
	input := make([]byte, 1<<20)
	for i := range input {
		input[i] = byte(random.Uint32())
	}
	for p := input; len(p) > 0; {
		n := min(1+random.IntN(70000), len(p))
		w.Write("stdout", p[:n])
		p = p[n:]
	}
	w.Close()
	// JSON cannot hold what is no UTF-8: each such byte is one U+FFFD.
	if got, want := strings.Join(texts(readAll(t, path)), ""), strings.ToValidUTF8(string(input), "\ufffd"); collapse(got) != collapse(want) {
		t.Error("binary data came back otherwise")
	}
}

// collapse makes one of several U+FFFD, as ToValidUTF8 does.
func collapse(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\ufffd", "\xff"), "\ufffd")
}

func TestRotation(t *testing.T) {
	for files, want := range map[int][]int{1: {1}, 2: {2}, 3: {3}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "log")
		w := New(path, Options{MaxSize: 1000, MaxFiles: files})
		var chunk []byte
		for i := range 1000 {
			chunk = fmt.Appendf(chunk, "line %d\n", i)
			if i%100 == 99 { // many rotations in one Write
				w.Write("stdout", chunk)
				chunk = nil
			}
		}
		w.Close()
		entries, _ := os.ReadDir(dir)
		if len(entries) != want[0] {
			t.Errorf("%d files kept: %v", files, entries)
		}
		for _, e := range entries {
			if info, _ := e.Info(); info.Size() > 1100 {
				t.Errorf("%s has %d bytes", e.Name(), info.Size())
			}
		}
		got := texts(readAll(t, path))
		if len(got) < files*10-9 || got[len(got)-1] != "line 999\n" {
			t.Fatalf("%d files: %q", files, got)
		}
		for i, text := range got {
			if text != fmt.Sprintf("line %d\n", 1000-len(got)+i) {
				t.Errorf("entry %d of %d is %q", i, len(got), text)
			}
		}
	}
}

// TestRotationCrash: a kill between two steps of a rotation.
func TestRotationCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	line := func(text string) []byte { return appendEntry(nil, []byte(text+"\n"), ending("stdout", "")) }
	for name, files := range map[string]map[int]string{
		"the older one moved": {0: "c", 2: "b"},
		"both moved":          {1: "c", 2: "b"},
	} {
		for i := range 3 {
			os.Remove(numbered(path, i))
			if text, ok := files[i]; ok {
				os.WriteFile(numbered(path, i), line(text), 0o600)
			}
		}
		if diff := cmp.Diff([]string{"b\n", "c\n"}, texts(readAll(t, path))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		w := New(path, Options{MaxSize: 1 << 20})
		w.Write("stdout", []byte("d\n"))
		w.Close()
		if diff := cmp.Diff([]string{"b\n", "c\n", "d\n"}, texts(readAll(t, path))); diff != "" {
			t.Errorf("%s, gone on: %s", name, diff)
		}
	}
}

// TestTornEntry: the monitor was killed in the middle of a write.
func TestTornEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := New(path, Options{})
	w.Write("stdout", []byte("a\n"))
	w.Close()
	whole, _ := os.ReadFile(path)
	for _, torn := range []string{`{"log":"half`, strings.Repeat("\x00", 70000)} {
		os.WriteFile(path, append(bytes.Clone(whole), torn...), 0o600)
		if diff := cmp.Diff([]string{"a\n"}, texts(readAll(t, path))); diff != "" {
			t.Error(diff)
		}
		w := New(path, Options{})
		w.Write("stdout", []byte("b\n"))
		w.Close()
		after, _ := os.ReadFile(path)
		if !bytes.HasPrefix(after, append(bytes.Clone(whole), `{"log":"b\n"`...)) {
			t.Errorf("the torn entry stays: %q", after)
		}
	}
}

// TestFullDisk: entries are dropped and counted, the rest stays whole.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log")
	w := New(path, Options{MaxSize: -1})
	written := 0
	write := func(lines int) {
		var chunk []byte
		for range lines {
			chunk = fmt.Appendf(chunk, "line %d %s\n", written, strings.Repeat("x", 100))
			written++
		}
		w.Write("stdout", chunk)
	}
	for range 50 {
		write(100)
	}
	if data, _ := os.ReadFile(path); len(data) < 100<<10 || data[len(data)-1] != '\n' {
		t.Errorf("%d bytes logged, the last %q", len(data), data[len(data)-20:])
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	write(3)
	write(2)
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	raw, _ := os.ReadFile(path)
	for _, line := range bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n")) {
		if !json.Valid(line) {
			t.Errorf("damaged: %q", line)
		}
	}
	next, lost := 0, 0
	for _, e := range readAll(t, path) {
		var n int
		if e.Stream == "stderr" {
			if _, err := fmt.Sscanf(e.Log, "mydocker: %d log entries lost here: ", &n); err != nil || !strings.Contains(e.Log, "no space left") {
				t.Errorf("%q: %v", e.Log, err)
			}
			next += n
			lost += n
			continue
		}
		if fmt.Sscanf(e.Log, "line %d", &n); n != next {
			t.Fatalf("%q comes where line %d was due", e.Log, next)
		}
		next++
	}
	if next != written || lost < 3000 {
		t.Errorf("%d of %d lines recorded or told as lost, %d lost", next, written, lost)
	}
}

// TestLostAtTheEnd: what could not be told in the log, Close tells.
func TestLostAtTheEnd(t *testing.T) {
	w := New(filepath.Join(t.TempDir(), "missing", "log"), Options{})
	w.Write("stdout", []byte("a\nb\nc"))
	if err := w.Close(); err == nil || !strings.HasPrefix(err.Error(), "3 log entries lost: open ") {
		t.Errorf("Close: %v", err)
	}
}

func TestIdleWriterIsSmall(t *testing.T) {
	w := New(filepath.Join(t.TempDir(), "log"), Options{})
	defer w.Close()
	w.Write("stdout", bytes.Repeat([]byte("0123456\n"), 20000))
	w.Write("stderr", []byte("prompt> "))
	deadline := time.Now().Add(5 * time.Second)
	for {
		w.mu.Lock()
		held := cap(w.pending["stdout"].text) + cap(w.pending["stderr"].text)
		w.mu.Unlock()
		if held < 100 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes still held", held)
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.Flush()
	if got := readAll(t, w.path); got[len(got)-1].Log != "prompt> " {
		t.Error("the pending line was lost with the buffers")
	}
}

// TestTwoStreams: lines of both streams, written at once in pieces, stay whole.
func TestTwoStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := New(path, Options{MaxSize: -1})
	var wg sync.WaitGroup
	for _, stream := range []string{"stdout", "stderr"} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				line := fmt.Appendf(nil, "%s %d\n", stream, i)
				w.Write(stream, line[:4])
				w.Write(stream, line[4:])
			}
		}()
	}
	wg.Wait()
	w.Close()
	next := map[string]int{}
	for _, e := range readAll(t, path) {
		if want := fmt.Sprintf("%s %d\n", e.Stream, next[e.Stream]); e.Log != want {
			t.Fatalf("got %q, want %q", e.Log, want)
		}
		next[e.Stream]++
	}
	if next["stdout"] != 2000 || next["stderr"] != 2000 {
		t.Error(next)
	}
}

func BenchmarkWrite(b *testing.B) {
	for name, line := range map[string]string{
		"short":  "y\n",
		"80":     strings.Repeat("abcdefgh ", 9)[:79] + "\n",
		"long":   strings.Repeat("x", 1000) + "\n",
		"binary": strings.Repeat("\xff\x00", 40) + "\n",
	} {
		b.Run(name, func(b *testing.B) {
			w := New(filepath.Join(b.TempDir(), "log"), Options{})
			defer w.Close()
			chunk := []byte(strings.Repeat(line, 64<<10/len(line)))
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				w.Write("stdout", chunk)
			}
		})
	}
}
