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
// log containerd makes its own. The zero value is standard error, as text.
type log struct {
	debug        bool
	path, format string
	file         *os.File      // nil: standard error
	steps        *os.File      // of --debug: each line becomes a message; nil without
	done         chan struct{} // closed when they have
}

func (l *log) open() (err error) {
	if l.format != "text" && l.format != "json" {
		err, l.format = fmt.Errorf("invalid log-format: %s", l.format), "text"
		return err
	}
	if l.path != "" {
		if l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o644); err != nil {
			return err
		}
	}
	if l.debug {
		return l.trace()
	}
	return nil
}

// trace turns the lines of package trace, also those of init, into messages.
func (l *log) trace() error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	trace.To(writer, "oci")
	l.steps, l.done = writer, make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			l.write("debug", lines.Text())
		}
		close(l.done)
	}()
	return nil
}

// close waits for the last lines. An init that waits to be started has the pipe
// open too: what it tells after that is lost.
func (l *log) close() {
	if l.steps != nil {
		trace.Stop()
		l.steps.Close()
		select {
		case <-l.done:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// write writes a message in the log's format, which is that of logrus.
func (l *log) write(level, message string) {
	now := time.Now().UTC().Format(time.RFC3339)
	line := fmt.Sprintf("time=%q level=%s msg=%q\n", now, level, message)
	if l.format == "json" {
		data, _ := json.Marshal(map[string]string{"level": level, "msg": message, "time": now})
		line = string(data) + "\n"
	}
	file := l.file
	if file == nil {
		file = os.Stderr
	}
	file.WriteString(line)
}

func (l *log) warn(err error) {
	if err != nil {
		l.write("warning", err.Error())
	}
}

// exitError ends the program with a status of its own.
type exitError struct {
	code int
	err  error // nil: there is nothing to say
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// report logs an error and gives the exit status it stands for.
func (l *log) report(err error) int {
	defer l.close()
	code, own := 1, (*exitError)(nil)
	if errors.As(err, &own) {
		code = own.code
		if own.err == nil {
			return code
		}
	}
	if err == nil {
		return 0
	}
	l.write("error", err.Error())
	if l.file != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}
