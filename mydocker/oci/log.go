package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// log is where messages go that runc's callers read: of the last error in a JSON
// log containerd makes its own.
type log struct {
	path, format string
	file         *os.File // standard error without a path
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
