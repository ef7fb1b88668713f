package logfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"
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
// it, in the order in which they were written. Entries that are damaged are left
// out. The rest is as with Lines.
func Read(ctx context.Context, path string, o ReadOptions, fn func(Entry) error) error {
	past := errors.New("past the end of the time asked for")
	err := Lines(ctx, path, o, func(line []byte) error {
		var e Entry
		// After a power cut some file systems show zeros where data had not been written.
		if json.Unmarshal(bytes.TrimLeft(line, "\x00"), &e) != nil {
			return nil
		}
		if !o.Until.IsZero() && e.Time.After(o.Until) {
			return past
		}
		wanted := e.Stream == "stdout" && o.Stdout || e.Stream == "stderr" && o.Stderr
		if !wanted || e.Time.Before(o.Since) {
			return nil
		}
		return fn(e)
	})
	if err == past {
		return nil
	}
	return err
}
