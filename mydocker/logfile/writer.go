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
	"time"
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
}

// Writer writes one container's log. Its methods may be called from several
// goroutines. It never reports that the disk is full: the container goes on,
// entries are dropped and counted, and the log says how many as soon as it can
// be written again.
type Writer struct {
	path    string
	options Options

	mu      sync.Mutex
	file    *os.File // nil: not opened yet, or that did not succeed
	size    int64
	pending [2][]byte // the beginning of a line, per stream
	out     []byte    // encoded entries not written yet
	lost    int       // entries since the log could last be written
	cause   error     // of the last loss
	idle    *time.Timer
}

// New returns a Writer that appends to path. The file is opened, and half an
// entry a crash left at its end cut off, when there is something to write.
func New(path string, o Options) *Writer {
	if o.MaxSize == 0 {
		o.MaxSize = 10 << 20
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = 3
	}
	return &Writer{path: path, options: o}
}

// Write records p, written by the container to stream ("stdout" or "stderr"). Whole lines
// are in the log when Write returns; the beginning of a line waits for its end,
// for 16 KiB, or for Flush.
func (w *Writer) Write(stream string, p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := ending(stream)
	pending := &w.pending[index(stream)]
	for len(p) > 0 {
		line := p[:min(len(p), maxLine-len(*pending))]
		newline := bytes.IndexByte(line, '\n')
		if newline >= 0 {
			line = line[:newline+1]
		}
		p = p[len(line):]
		if len(*pending) > 0 || newline < 0 && len(line) < maxLine {
			line = append(*pending, line...)
			*pending = line
		}
		whole := len(line)
		if newline < 0 {
			if whole < maxLine {
				break
			}
			whole = wholeRunes(line)
		}
		w.out = appendEntry(w.out, line[:whole], end)
		*pending = append((*pending)[:0], line[whole:]...)
		if len(w.out) >= batch || w.full(len(w.out)) {
			w.flush()
		}
	}
	w.flush()
	w.rest()
}

// wholeRunes is the length of p without the first bytes of a character whose rest is still to come.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= 0 && i >= len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return i
			}
			break
		}
	}
	return len(p)
}

func index(stream string) int {
	if stream == "stderr" {
		return 1
	}
	return 0
}

// Flush records lines whose end has not come: the streams have ended.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, stream := range []string{"stdout", "stderr"} {
		if len(w.pending[i]) > 0 {
			w.out = appendEntry(w.out, w.pending[i], ending(stream))
			w.pending[i] = nil
		}
	}
	w.flush()
}

// Close flushes and closes the file. Its error tells how many entries were lost at the end, and why.
func (w *Writer) Close() error {
	w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle != nil {
		w.idle.Stop()
	}
	var err error
	if w.lost > 0 {
		w.admit()
	}
	if w.lost > 0 {
		err = fmt.Errorf("%d log entries lost: %w", w.lost, w.cause)
	}
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
		w.file = nil
	}
	return err
}

// rest gives the buffers back when nothing has been written for a second: an
// idle monitor is to stay small.
func (w *Writer) rest() {
	if w.idle != nil {
		w.idle.Reset(time.Second)
		return
	}
	w.idle = time.AfterFunc(time.Second, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.out = nil
		for i, line := range w.pending {
			w.pending[i] = bytes.Clone(line)
			if len(line) == 0 {
				w.pending[i] = nil
			}
		}
	})
}

// full tells whether the file would be, with n bytes more, one to rotate.
func (w *Writer) full(n int) bool {
	return w.options.MaxSize > 0 && w.size+int64(n) >= w.options.MaxSize
}

// flush writes the encoded entries, by one write(2) if nothing goes wrong.
func (w *Writer) flush() {
	if len(w.out) == 0 {
		return
	}
	entries := w.out
	w.out = w.out[:0]
	err := w.ready()
	if err == nil && w.lost > 0 {
		err = w.admit()
	}
	if err == nil {
		entries, err = w.append(entries)
	}
	if err != nil {
		w.lost += bytes.Count(entries, []byte{'\n'}) // entries have no other newlines
		w.cause = err
	}
}

// admit writes how many entries are missing at this place.
func (w *Writer) admit() error {
	err := w.ready()
	if err == nil {
		text := fmt.Appendf(nil, "mydocker: %d log entries lost here: %v\n", w.lost, w.cause)
		_, err = w.append(appendEntry(nil, text, ending("stderr")))
	}
	if err == nil {
		w.lost, w.cause = 0, nil
	}
	return err
}

// append writes entries to the file, and returns those that are not in it.
func (w *Writer) append(entries []byte) ([]byte, error) {
	n, err := w.file.Write(entries)
	w.size += int64(n)
	if err == nil {
		return nil, nil
	}
	// Half an entry may have been written before the disk was full: cut it off.
	whole := bytes.LastIndexByte(entries[:n], '\n') + 1
	w.size -= int64(n - whole)
	if e := w.file.Truncate(w.size); e != nil {
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
	if err := os.Remove(numbered(w.path, w.options.MaxFiles-1)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for i := w.options.MaxFiles - 1; i > 0; i-- {
		if err := os.Rename(numbered(w.path, i-1), numbered(w.path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
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
	end, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		var whole int64
		if whole, _, err = lastLines(file, end, 0); err == nil && whole < end {
			err = file.Truncate(whole)
		}
		end = whole
	}
	if err != nil {
		file.Close()
		return err
	}
	w.file, w.size = file, end
	return nil
}
