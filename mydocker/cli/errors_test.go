package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"minidocker/mydocker/engine"
)

type coded int

func (c coded) Error() string { return fmt.Sprintf("coded %d", int(c)) }
func (c coded) ExitCode() int { return int(c) }

func TestReport(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{status(0), 0, ""},
		{status(3), 3, ""},
		{errors.New("a"), 1, "Error: a\n"},
		{fmt.Errorf("x: %w", coded(127)), 127, "Error: x: coded 127\n"},
		{exit(64, "a %d", 1), 64, "a 1\n"},
		{errors.Join(errors.New("a"), exit(1, "b")), 1, "Error: a\nb\n"},
		{withHelp(errors.New("a"), "run"), 125, "mydocker: a\n\nRun 'mydocker run --help' for more information\n"},
		{withHelp(fmt.Errorf("x: %w", coded(126)), "run"), 126, "mydocker: x: coded 126\n\nRun 'mydocker run --help' for more information\n"},
	} {
		file, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		stderr := os.Stderr
		os.Stderr = file
		code := report(test.err)
		os.Stderr = stderr
		text, _ := os.ReadFile(file.Name())
		if code != test.code || string(text) != test.text {
			t.Errorf("%v: status %d, %q, want %d, %q", test.err, code, text, test.code, test.text)
		}
	}
}

func TestEach(t *testing.T) {
	var err error
	got := redirect(t, os.Stdin, func() {
		err = each(func(_ *engine.Engine, ref string) (string, error) {
			switch ref {
			case "x":
				return "", errors.New("no x")
			case "quiet":
				return "", nil
			}
			return strings.ToUpper(ref), nil
		})(nil, []string{"a", "x", "b", "quiet"})
	})
	if got != "A\nB\n" || err == nil || err.Error() != "no x" {
		t.Errorf("printed %q, error %v", got, err)
	}
}

func TestIDFile(t *testing.T) {
	path := t.TempDir() + "/id"
	create := func() *os.File {
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	if closeIDFile(create(), ""); exists(path) {
		t.Error("the file of a container that was not made is left")
	}
	closeIDFile(create(), "1f")
	if got, _ := os.ReadFile(path); string(got) != "1f" {
		t.Errorf("%q", got)
	}
	o := &containerOptions{}
	o.host.ContainerIDFile = path
	if _, err := o.create(nil); err == nil || !strings.HasPrefix(err.Error(), "container ID file found") {
		t.Errorf("second: %v", err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
