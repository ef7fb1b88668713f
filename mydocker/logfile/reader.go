package logfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"minidocker/mydocker/disk"
)

// Entry is one line of a log. Log ends with a newline, unless the line was cut
// at 16 KiB, and goes on in the next entry of the stream, or ended with the stream.
type Entry struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// ReadOptions select what Read reads.
type ReadOptions struct {
	Stdout, Stderr bool
	Since, Until   time.Time // both included; zero: no limit
	Tail           int       // only the last so many entries, whatever their stream and time; negative: all
	Follow         bool      // wait for more, until Until, the end of the context, or Done
	// Done is closed when nothing will be written any more: what is there is read, then Read returns. nil: never.
	Done <-chan struct{}
}

// Read calls fn for the entries of the log at path and the rotated files beside
// it, in the order in which they were written. A log that does not exist (yet)
// is empty. Entries that are damaged are left out. The result is nil at the end, fn's error, or the
// context's.
//
// A follower neither loses nor repeats entries when the log is rotated, unless
// fn dawdles until the file it is at has been rotated away.
func Read(ctx context.Context, path string, o ReadOptions, fn func(Entry) error) error {
	r := &reader{path: path, options: o, fn: fn}
	defer func() { closeAll(r.files) }()
	var watch *disk.Watcher
	if o.Follow {
		var err error
		if watch, err = disk.Watch(filepath.Dir(path)); err != nil {
			return err
		}
		defer watch.Close()
	}
	files, err := r.open()
	if err != nil {
		return err
	}
	r.files = files
	if o.Tail >= 0 {
		if err := r.tail(o.Tail); err != nil {
			return err
		}
	}
	if o.Follow {
		err = r.follow(ctx, watch)
	} else {
		err = r.advance(ctx)
	}
	if err == errPastUntil {
		err = nil
	}
	return err
}

var errPastUntil = errors.New("past the end of the time asked for")

type reader struct {
	path    string
	options ReadOptions
	fn      func(Entry) error
	files   []*cursor // what is to be read, the oldest first; the last is kept when it is read
	buf     []byte
}

// cursor is a place in a file: the beginning of the first line not yet read. There
// reading begins again when more is written: half an entry may have been seen that the
// writer has cut off since.
type cursor struct {
	file *os.File
	info os.FileInfo
	at   int64
}

// open opens the log's files as they are at one moment.
func (r *reader) open() ([]*cursor, error) {
	for {
		files, newest, err := r.list()
		if err == nil {
			info, statErr := os.Stat(r.path)
			if newest == nil && statErr != nil || newest != nil && statErr == nil && os.SameFile(newest.info, info) {
				return files, nil
			}
		}
		closeAll(files)
		if err != nil {
			return nil, err
		}
		// Rotated while it was being listed: list again.
	}
}

// list opens the newest file first: one that moves on meanwhile is met twice, never
// missed. One number may be missing, see Writer.ready.
func (r *reader) list() (files []*cursor, newest *cursor, err error) {
	for i, missing := 0, 0; missing < 2; i++ {
		c, err := openCursor(numbered(r.path, i))
		if err != nil {
			return files, nil, err
		}
		if i == 0 {
			newest = c
		}
		switch {
		case c == nil:
			missing++
		case len(files) > 0 && os.SameFile(files[0].info, c.info):
			c.file.Close()
		default:
			files = append([]*cursor{c}, files...)
		}
	}
	return files, newest, nil
}

func closeAll(files []*cursor) {
	for _, c := range files {
		c.file.Close()
	}
}

func openCursor(path string) (*cursor, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &cursor{file: file, info: info}, nil
}

// tail skips all but the last n entries.
func (r *reader) tail(n int) error {
	for i := len(r.files) - 1; i >= 0; i-- {
		c := r.files[i]
		at, found, err := lastLines(c.file, c.info.Size(), n)
		if err != nil {
			return err
		}
		c.at = at
		n -= found
	}
	return nil
}

// lastLines finds where the last n whole lines of the first size bytes of a file begin, and how many
// there are. What follows the last newline is no line.
func lastLines(file io.ReaderAt, size int64, n int) (at int64, found int, err error) {
	buf := make([]byte, min(size, 32<<10))
	newlines := 0
	for end := size; end > 0; {
		block := buf[:min(end, int64(len(buf)))]
		if _, err := file.ReadAt(block, end-int64(len(block))); err != nil {
			return 0, 0, err
		}
		for i := bytes.LastIndexByte(block, '\n'); i >= 0; i = bytes.LastIndexByte(block[:i], '\n') {
			if newlines++; newlines > n {
				return end - int64(len(block)) + int64(i) + 1, n, nil
			}
		}
		end -= int64(len(block))
	}
	return 0, newlines, nil
}

// advance reads the files to their ends.
func (r *reader) advance(ctx context.Context) error {
	for len(r.files) > 0 {
		if err := r.read(ctx, r.files[0]); err != nil {
			return err
		}
		if len(r.files) == 1 {
			return nil
		}
		r.files[0].file.Close()
		r.files = r.files[1:]
	}
	return nil
}

func (r *reader) read(ctx context.Context, c *cursor) error {
	if r.buf == nil {
		r.buf = make([]byte, 64<<10)
	}
	for have := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, readErr := c.file.ReadAt(r.buf[have:], c.at+int64(have))
		data := r.buf[:have+n]
		for {
			line, rest, whole := bytes.Cut(data, []byte{'\n'})
			if !whole {
				break
			}
			c.at += int64(len(line)) + 1
			data = rest
			if err := r.deliver(line); err != nil {
				return err
			}
		}
		if readErr == io.EOF {
			return nil
		}
		if readErr != nil {
			return readErr
		}
		if len(data) == len(r.buf) {
			r.buf = append(r.buf, make([]byte, len(r.buf))...)
			data = r.buf[:len(data)]
		}
		have = copy(r.buf, data)
	}
}

func (r *reader) deliver(line []byte) error {
	var e Entry
	// After a power cut some file systems show zeros where data had not been written.
	if json.Unmarshal(bytes.TrimLeft(line, "\x00"), &e) != nil {
		return nil
	}
	o := &r.options
	if !o.Until.IsZero() && e.Time.After(o.Until) {
		return errPastUntil
	}
	wanted := e.Stream == "stdout" && o.Stdout || e.Stream == "stderr" && o.Stderr
	if !wanted || e.Time.Before(o.Since) {
		return nil
	}
	return r.fn(e)
}
