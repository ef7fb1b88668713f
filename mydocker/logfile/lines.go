package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"minidocker/mydocker/disk"
)

// Lines calls fn for the whole lines of a file that is only appended to and
// rotated, and of the older files beside it (.1, .2, the highest the oldest), in
// the order in which they were written. Of the options it heeds those that need no
// look into a line. A file that does not exist (yet) is empty. The result is nil
// at the end, fn's error, or the context's.
//
// A follower neither loses nor repeats lines when the file is rotated, unless
// fn dawdles until the file it is at has been rotated away.
func Lines(ctx context.Context, path string, o ReadOptions, fn func(line []byte) error) (err error) {
	r := &reader{path: path, fn: fn, in: bufio.NewReaderSize(nil, 64<<10)}
	var watch *disk.Watcher
	if o.Follow { // from before the first look
		watch, err = disk.Watch(filepath.Dir(path))
		if errors.Is(err, os.ErrNotExist) { // the container was removed
			return nil
		}
		if err != nil {
			return err
		}
		defer watch.Close()
	}
	if r.files, err = r.open(); err != nil {
		return err
	}
	defer func() { closeAll(r.files) }()
	if o.Tail >= 0 {
		err = r.tail(o.Tail)
	}
	switch {
	case err != nil:
		return err
	case o.Follow:
		return r.follow(ctx, o, watch)
	}
	return r.advance(ctx)
}

type reader struct {
	path  string
	fn    func(line []byte) error
	files []*os.File // what is to be read, the oldest first; the last is kept when it is read
	in    *bufio.Reader
	// at is where in the first file the first line begins that is not yet read. There
	// reading begins again when more is written: half a line may have been seen that
	// the writer has cut off since.
	at int64
}

// open opens the files as they are at one moment, the oldest first.
func (r *reader) open() (files []*os.File, err error) {
	var newest *os.File
	// The newest first: one that moves on meanwhile is met twice, never missed. One
	// number may be missing, see Writer.ready.
	for i, missing := 0, 0; missing < 2; i++ {
		file, err := os.Open(numbered(r.path, i))
		switch {
		case errors.Is(err, os.ErrNotExist):
			missing++
			continue
		case err != nil:
			closeAll(files)
			return nil, err
		case i == 0:
			newest = file
		case len(files) > 0 && same(files[0], file):
			file.Close()
			continue
		}
		files = append([]*os.File{file}, files...)
	}
	if !r.current(newest) { // rotated while it was being listed
		closeAll(files)
		return r.open()
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

func same(a, b *os.File) bool {
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// current tells whether a file is the one that is written to; with nil, whether there is none.
func (r *reader) current(file *os.File) bool {
	named, err := os.Stat(r.path)
	if file == nil || err != nil {
		return file == nil && err != nil
	}
	held, err := file.Stat()
	return err == nil && os.SameFile(held, named)
}

// tail skips all but the last n lines.
func (r *reader) tail(n int) error {
	for i := len(r.files) - 1; i >= 0; i-- {
		at, found, err := lastLines(r.files[i], n)
		if err != nil {
			return err
		}
		if n -= found; n == 0 {
			closeAll(r.files[:i])
			r.files, r.at = r.files[i:], at
			return nil
		}
	}
	return nil
}

// lastLines finds where the last n whole lines of a file begin, and how many
// there are. What follows the last newline is no line.
func lastLines(file *os.File, n int) (at int64, found int, err error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	buf := make([]byte, min(size, 32<<10))
	for end := size; end > 0; {
		block := buf[:min(end, int64(len(buf)))]
		end -= int64(len(block))
		if _, err := file.ReadAt(block, end); err != nil {
			return 0, 0, err
		}
		for i := bytes.LastIndexByte(block, '\n'); i >= 0; i = bytes.LastIndexByte(block[:i], '\n') {
			if found == n {
				return end + int64(i) + 1, n, nil
			}
			found++
		}
	}
	return 0, found, nil
}

// advance reads the files to their ends.
func (r *reader) advance(ctx context.Context) error {
	for len(r.files) > 0 {
		r.in.Reset(io.NewSectionReader(r.files[0], r.at, math.MaxInt64-r.at))
		for {
			line, err := r.in.ReadBytes('\n')
			if err == io.EOF {
				break
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			r.at += int64(len(line))
			if err := r.fn(line); err != nil {
				return err
			}
		}
		if len(r.files) == 1 {
			break
		}
		r.files[0].Close()
		r.files, r.at = r.files[1:], 0
	}
	return nil
}

// follow reads the lines as they come, woken by watch, until there is a reason to end.
func (r *reader) follow(ctx context.Context, o ReadOptions, watch *disk.Watcher) error {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	if !o.Until.IsZero() {
		defer time.AfterFunc(time.Until(o.Until), cancel).Stop()
	}
	go func() {
		select {
		case <-o.Done: // nil: never
			cancel()
		case <-wait.Done():
		}
	}()
	for {
		last := wait.Err() != nil // looked at first: what was written before Done is read below
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		if last {
			return ctx.Err()
		}
		err := watch.Wait(wait)
		if errors.Is(err, os.ErrNotExist) { // the directory is being removed
			return r.catchUp(ctx)
		}
		if err != nil && wait.Err() == nil {
			return err
		}
	}
}

// catchUp reads to the end of what is written, through rotations.
func (r *reader) catchUp(ctx context.Context) error {
	for {
		// Look for a rotation before reading: what has been renamed away is
		// written to no more, so this reading finds its true end.
		var newest *os.File
		if len(r.files) > 0 {
			newest = r.files[len(r.files)-1]
		}
		rotated := !r.current(newest)
		if err := r.advance(ctx); err != nil || !rotated {
			return err
		}
		files, err := r.open()
		if err != nil {
			return err
		}
		next := 0
		for i, file := range files {
			if newest != nil && same(file, newest) { // go on with the one after it
				next = i + 1
			}
		}
		closeAll(files[:next])
		if next == len(files) {
			return nil // the next file is not made yet; its making wakes the watch
		}
		closeAll(r.files)
		r.files, r.at = files[next:], 0
	}
}
