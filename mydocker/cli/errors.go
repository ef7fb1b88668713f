package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"minidocker/mydocker/container"
	"minidocker/mydocker/image"
)

// exitError ends the program with a status of its own.
type exitError struct {
	code int
	err  error // nil: there is nothing to say
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
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

// report shows an error on standard error and returns the exit status it stands for.
func report(err error) int {
	if err == nil {
		return 0
	}
	show(err)
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
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
	code := 125
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		code = coded.ExitCode()
	}
	return exit(code, "%s: %w\n\nRun '%s %s --help' for more information", name, err, name, command)
}

// isNotFound tells whether err says that there is no such container.
func isNotFound(err error) bool {
	var noContainer *container.NotFoundError
	return errors.As(err, &noContainer)
}

// many as a command's maximum of arguments: no limit.
const many = -1

// takes checks a command's number of arguments.
func takes(least, most int) cli.BeforeFunc {
	return func(c *cli.Context) error {
		n, demand, see := c.NArg(), "", "Run"
		switch {
		case least <= n && (n <= most || most == many):
			return nil
		case most == 0:
			demand = "accepts no arguments"
		case least == most:
			demand = fmt.Sprintf("requires %d %s", least, plural("argument", least))
		case n < least:
			demand, see = fmt.Sprintf("requires at least %d %s", least, plural("argument", least)), "See"
		default:
			demand = fmt.Sprintf("requires at most %d %s", most, plural("argument", most))
		}
		path := c.Command.HelpName
		return exit(1, "%s: '%s' %s\n\nUsage:  %s\n\n%s '%s --help' for more information",
			name, path, demand, usageLine(path, c.Command), see, path)
	}
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// isNoImage tells whether err says that there is no such image.
func isNoImage(err error) bool {
	return errors.Is(err, image.ErrNotFound)
}
