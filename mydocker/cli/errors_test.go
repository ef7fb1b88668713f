package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
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

func TestForEach(t *testing.T) {
	var err error
	got := redirect(t, os.Stdin, func() {
		err = forEach([]string{"a", "x", "b", "quiet"}, func(ref string) (string, error) {
			switch ref {
			case "x":
				return "", errors.New("no x")
			case "quiet":
				return "", nil
			}
			return strings.ToUpper(ref), nil
		})
	})
	if got != "A\nB\n" || err == nil || err.Error() != "no x" {
		t.Errorf("printed %q, error %v", got, err)
	}
}

func TestWithTag(t *testing.T) {
	for image, want := range map[string]string{
		"busybox": "busybox:latest", "busybox:1": "busybox:1", "host:5000/a": "host:5000/a:latest",
		"host:5000/a:v1": "host:5000/a:v1", "a@sha256:00": "a@sha256:00",
	} {
		if got := withTag(image); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

func TestIDFile(t *testing.T) {
	path := t.TempDir() + "/id"
	file, err := newIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newIDFile(path); err == nil || !strings.HasPrefix(err.Error(), "container ID file found") {
		t.Errorf("second: %v", err)
	}
	closeIDFile(file, "")
	if file, err = newIDFile(path); err != nil {
		t.Fatal("the file of a container that was not made is left:", err)
	}
	closeIDFile(file, "1f")
	if got, _ := os.ReadFile(path); string(got) != "1f" {
		t.Errorf("%q", got)
	}
}
