package check

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		`./step1`:               {"./step1"},
		`  a  b	c `:             {"a", "b", "c"},
		`sudo './my engine' -x`: {"sudo", "./my engine", "-x"},
		`a "b 'c' \" \x" d\ e`:  {"a", `b 'c' " \x`, "d e"},
		`a '' ""b`:              {"a", "", "b"},
		`'a\b' "\$HOME"`:        {`a\b`, "$HOME"},
		``:                      nil,
	} {
		if got, err := split(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("split(%q): %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`'a`, `"a`, `a\`} {
		if got, err := split(line); err == nil {
			t.Errorf("split(%q): %q, no error", line, got)
		}
	}
}

// TestQuote has a shell read what Quote wrote.
func TestQuote(t *testing.T) {
	words := []string{"plain", "", "two words", "it's", "line\nbreak 'x' \\n", `$HOME "*" \`, Probe}
	out, err := exec.Command("bash", "-c", `printf '%s\0' `+Quote(words...)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
		t.Errorf("%q, want %q", got, words)
	}
}

func TestGoRun(t *testing.T) {
	for _, command := range []string{"go run .", "/usr/local/go/bin/go run ./chapters/01-namespaces", "sudo go run ."} {
		if _, err := NewEngine(command); err == nil || !strings.Contains(err.Error(), "go build") {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := NewEngine("bash -c 'go run'"); err != nil {
		t.Error(err)
	}
}

// TestSeed: the same values by the same seed, others by another.
func TestSeed(t *testing.T) {
	lab := &Lab{Number: 1}
	draw := func(seed, check string) string {
		t := &Trial{random: seeded(seed, lab, check)}
		return t.Name() + Quote(string(rune(t.Status())), string(rune(t.Number(1, 9999))))
	}
	if a, b := draw("one", "pid"), draw("one", "pid"); a != b {
		t.Errorf("by one seed %q and %q", a, b)
	}
	for _, other := range []string{draw("two", "pid"), draw("one", "proc")} {
		if other == draw("one", "pid") {
			t.Errorf("%q by other seeds, too", other)
		}
	}
	trial := &Trial{random: seeded("x", lab, "y")}
	seen := map[int]bool{}
	for range 12 {
		n := trial.Status()
		if n < 3 || n > 99 || seen[n] {
			t.Errorf("status %d: out of range, or twice", n)
		}
		seen[n] = true
	}
}
