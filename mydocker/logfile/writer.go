// Package logfile records what a container writes to stdout and stderr, in
// Docker's json-file format: one JSON object a line,
//
//	{"log":"hello\n","stream":"stdout","time":"2024-05-06T07:08:09.123456789Z"}
//
// On the host it owns the log file it is given, <ID>-json.log, and the older
// ones beside it: .1, .2, the highest the oldest. A Writer is the only
// one to write; any number of readers need no lock.
//
// A kill -9 loses a line whose end the container had not written yet, and may
// leave half an entry at the end of the file, which readers ignore and the next
// Writer cuts off. In the middle of a rotation it leaves a gap in the numbers,
// or no file without number; readers take what is there.
package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"
)

const (
	maxLine = 16 << 10 // bytes, its newline included, after which Docker begins another entry
	batch   = 64 << 10 // bytes of encoded entries, about, to a write(2)
)

// Options bound what a log takes of the disk.
type Options struct {
	MaxSize  int64 // bytes after which a file is rotated; 0: 10 MB, negative: no limit
	MaxFiles int   // how many files are kept, the current one included; 0: 3
	// Attributes are written with each entry, as "attrs"; none: not at all.
	Attributes map[string]string
}

// Writer writes one container's log. Its methods may be called from several
// goroutines. It never reports that the disk is full: the container goes on,
// entries are dropped and counted, and the log says how many as soon as it can
// be written again.
type Writer struct {
	path    string
	options Options
	attrs   string // of each entry, see attributes

	mu      sync.Mutex
	file    *os.File // nil: not opened yet, or that did not succeed
	size    int64
	pending map[string]pending // per stream
	lost    int                // entries since the log could last be written
	cause   error              // of the last loss
	buffers sync.Pool          // of *buffers; emptied by the garbage collector: an idle monitor stays small
}

// pending is a line whose end is to come.
type pending struct {
	text   []byte // of it, what is not in the log yet
	ending string // of its first entry, if there is one: all share its time, as in Docker
}

type buffers struct{ in, out []byte }

// New returns a Writer that appends to path. The file is opened, and half an
// entry a crash left at its end cut off, when there is something to write.
func New(path string, o Options) *Writer {
	if o.MaxSize == 0 {
		o.MaxSize = 10 << 20
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 3
	}
	return &Writer{path: path, options: o, attrs: attributes(o.Attributes), pending: map[string]pending{}}
}

// Write records p, written by the container to stream ("stdout" or "stderr"). Whole lines
// are in the log when Write returns; the beginning of a line waits for its end,
// for 16 KiB, or for Flush.
func (w *Writer) Write(stream string, p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.buffers.Get().(*buffers)
	if !ok {
		b = new(buffers)
	}
	defer w.buffers.Put(b)
	line := w.pending[stream]
	if len(line.text) > 0 {
		b.in = append(append(b.in[:0], line.text...), p...)
		p = b.in
	}
	now, out := ending(stream, w.attrs), b.out[:0]
	for n := entryLen(p); n > 0; n = entryLen(p) {
		if line.ending == "" {
			line.ending = now
		}
		out = appendEntry(out, p[:n], line.ending)
		if p[n-1] == '\n' {
			line.ending = ""
		}
		p = p[n:]
		if len(out) >= batch || w.full(len(out)) {
			w.flush(out)
			out = out[:0]
		}
	}
	w.flush(out)
	b.out = out
	w.pending[stream] = pending{bytes.Clone(p), line.ending}
}

// entryLen is the length of the first entry in p: a line, or the first 16 KiB of a
// longer one, but no part of a character. 0: the end of the line is to come.
func entryLen(p []byte) int {
	p = p[:min(len(p), maxLine)]
	if newline := bytes.IndexByte(p, '\n'); newline >= 0 {
		return newline + 1
	}
	if len(p) < maxLine {
		return 0
	}
	for i := maxLine - 1; i >= maxLine-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) && !utf8.FullRune(p[i:]) {
			return i
		}
	}
	return maxLine
}

// Flush records lines whose end has not come: the streams have ended.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, stream := range []string{"stdout", "stderr"} {
		line := w.pending[stream]
		if line.ending == "" {
			line.ending = ending(stream, w.attrs)
		}
		if len(line.text) > 0 {
			w.flush(appendEntry(nil, line.text, line.ending))
		}
		delete(w.pending, stream)
	}
}

// Close flushes and closes the file. Its error tells how many entries were lost at the end, and why.
func (w *Writer) Close() error {
	w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush(nil)
	w.file.Close() // nil is an error, no crash
	w.file = nil
	if w.lost > 0 {
		return fmt.Errorf("%d log entries lost: %w", w.lost, w.cause)
	}
	return nil
}

// full tells whether the file would be, with n bytes more, one to rotate.
func (w *Writer) full(n int) bool {
	return w.options.MaxSize > 0 && w.size+int64(n) >= w.options.MaxSize
}

// flush writes entries, by one write(2) if nothing goes wrong, after a note of
// how many are missing at this place. It counts those it cannot write.
func (w *Writer) flush(entries []byte) {
	if len(entries) == 0 && w.lost == 0 {
		return
	}
	err := w.ready()
	if err == nil && w.lost > 0 {
		note := fmt.Appendf(nil, "mydocker: %d log entries lost here: %v\n", w.lost, w.cause)
		if _, err = w.append(appendEntry(nil, note, ending("stderr", w.attrs))); err == nil {
			w.lost = 0
		}
	}
	if err == nil {
		entries, err = w.append(entries)
	}
	if err != nil {
		w.lost += bytes.Count(entries, []byte{'\n'}) // entries have no other newlines
		w.cause = err
	}
}

// append writes entries to the file, and returns those that are not in it.
func (w *Writer) append(entries []byte) ([]byte, error) {
	n, err := w.file.Write(entries)
	if err == nil {
		w.size += int64(n)
		return nil, nil
	}
	// Half an entry may have been written before the disk was full: cut it off.
	whole := bytes.LastIndexByte(entries[:n], '\n') + 1
	w.size += int64(whole)
	if w.file.Truncate(w.size) != nil {
		w.file.Close() // look again, later, how much of it there is
		w.file = nil
	}
	return entries[whole:], err
}

// ready opens the file, and rotates it when it has reached its size.
func (w *Writer) ready() error {
	if w.file == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	if !w.full(0) {
		return nil
	}
	// The oldest first: a crash between two steps loses nothing that was to stay. It
	// is unlinked and not renamed over, which on ext4 would write all of the file that
	// replaces it to the device (ext4(5), auto_da_alloc): 10 MB of log at a third of the speed.
	last := w.options.MaxFiles - 1
	err := os.Remove(numbered(w.path, last))
	for i := last; i > 0 && (err == nil || errors.Is(err, os.ErrNotExist)); i-- {
		err = os.Rename(numbered(w.path, i-1), numbered(w.path, i))
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	w.file.Close()
	w.file = nil
	return w.open()
}

// numbered names a log's file: 0 is the one being written.
func numbered(path string, i int) string {
	if i == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, i)
}

func (w *Writer) open() error {
	file, err := os.OpenFile(w.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	whole, _, err := lastLines(file, 0)
	// Only when needed: what was truncated to 0 ext4, too, writes to the device on close.
	if size, _ := file.Seek(0, io.SeekEnd); err == nil && whole < size {
		err = file.Truncate(whole)
	}
	if err != nil {
		file.Close()
		return err
	}
	w.file, w.size = file, whole
	return nil
}
