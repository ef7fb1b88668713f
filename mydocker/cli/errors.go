package cli

import (
	"errors"
	"fmt"
	"os"

	"minidocker/mydocker/container"
	"minidocker/mydocker/engine"
	"minidocker/mydocker/image"
)

// exitError ends the program with a status of its own.
type exitError struct {
	code int
	err  error // nil: there is nothing to say
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) } // <nil> is never shown
func (e *exitError) Unwrap() error { return e.err }
func (e *exitError) ExitCode() int { return e.code }

// exit is an error that is shown as it is, without "Error: ".
func exit(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// status is the exit status of what ran in a container; nil if it was 0.
func status(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// exitCode is the exit status that err stands for.
func exitCode(err error, otherwise int) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return otherwise
}

// report shows an error on standard error and returns the exit status it stands for.
func report(err error) int {
	if err == nil {
		return 0
	}
	show(err)
	return exitCode(err, 1)
}

func show(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			show(err)
		}
		return
	}
	switch own, ok := err.(*exitError); {
	case !ok:
		fmt.Fprintln(os.Stderr, "Error:", err)
	case own.err != nil:
		fmt.Fprintln(os.Stderr, own.err)
	}
}

// withHelp is an error of run or create: Docker exits with 125 unless the error
// knows better.
func withHelp(err error, command string) error {
	return exit(exitCode(err, 125), "%s: %w\n\nRun '%s %s --help' for more information", name, err, name, command)
}

// isNotFound, isNoImage and isNoNetwork tell whether err says that there is no such container, image or network.
func isNotFound(err error) bool  { return errors.As(err, new(*container.NotFoundError)) }
func isNoImage(err error) bool   { return errors.Is(err, image.ErrNotFound) }
func isNoNetwork(err error) bool { return errors.As(err, new(*engine.NetworkNotFoundError)) }

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
