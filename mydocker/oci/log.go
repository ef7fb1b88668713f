package oci

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"minidocker/mydocker/trace"
)

// log is where messages go that runc's callers read: of the last error in a JSON
// log containerd makes its own.
type log struct {
	path, format string
	file         *os.File // standard error without a path
	endTrace     func()   // of --debug; nil without
}

func (l *log) open() (err error) {
	l.file = os.Stderr
	if l.format != "text" && l.format != "json" {
		return fmt.Errorf("invalid log-format: %s", l.format)
	}
	if l.path != "" {
		l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o644)
	}
	return err
}

// trace makes messages of the lines of package trace, also of init's. An init that waits
// for start has the pipe open too: what it tells after that is lost.
func (l *log) trace() error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	trace.To(writer, "oci")
	done := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			l.write("debug", lines.Text())
		}
		close(done)
	}()
	l.endTrace = func() {
		trace.Stop()
		writer.Close()
		select {
		case <-done:
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// write writes a message in the log's format, which is that of logrus.
func (l *log) write(level, message string) {
	now := time.Now().UTC().Format(time.RFC3339)
	if l.format == "json" {
		json.NewEncoder(l.file).Encode(map[string]string{"level": level, "msg": message, "time": now})
	} else {
		fmt.Fprintf(l.file, "time=%q level=%s msg=%q\n", now, level, message)
	}
}

func (l *log) warn(err error) {
	if err != nil {
		l.write("warning", err.Error())
	}
}

// exitError ends the program with a status of its own.
type exitError struct {
	code int
	err  error // nil: there is nothing to say; it may be no error at all
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// report logs an error and gives the exit status it stands for.
func (l *log) report(err error) int {
	if l.endTrace != nil {
		l.endTrace()
	}
	code, own := 1, (*exitError)(nil)
	if errors.As(err, &own) {
		code, err = own.code, own.err
	}
	if err == nil {
		if own == nil {
			code = 0
		}
		return code
	}
	if l.file == nil { // the flags were wrong, or the log's own
		l.file = os.Stderr
	}
	if l.write("error", err.Error()); l.path != "" {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}
