package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Every list has --format json: an object a line, with Docker's names.
func TestFormatJSON(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "done", "busybox", "true")
	h.write(h.root+"/layers/new-left", "") // a leak
	defer h.try("system", "check", "--repair")
	for line, fields := range map[string]string{
		"ps -a": "ID Names Status", "images": "Repository Tag Size", "system df": "Type TotalCount Reclaimable",
		"events --since 10m --until 0s": "Type Action Actor status id timeNano", "info": "Containers ServerVersion", "version": "Client Server",
		"doctor": "Name OK Fatal Detail Fix", "system check": "Kind Object Reason Repaired",
	} {
		r := h.try(append(strings.Fields(line), "--format", "json")...)
		if (r.code != 0) != (line == "system check") || r.out == "" {
			t.Errorf("%s", r)
		}
		for object := range strings.Lines(r.out) {
			var found map[string]any
			if err := json.Unmarshal([]byte(object), &found); err != nil {
				t.Errorf("%s: %v in %s", line, err, object)
			}
			for field := range strings.FieldsSeq(fields) {
				if _, ok := found[field]; !ok {
					t.Errorf("%s: no %s in %s", line, field, object)
				}
			}
		}
	}
}

// Colours are for eyes only.
func TestColours(t *testing.T) {
	h := newHost(t)
	if out := h.ok("doctor"); strings.Contains(out, "\x1b") {
		t.Errorf("colours in a pipe: %q", out)
	}
	for variable, coloured := range map[string]bool{"TERM=xterm": true, "TERM=dumb": false, "NO_COLOR=1": false, "NO_COLOR=": true} {
		cmd := h.command("doctor")
		cmd.Env = append(cmd.Env, "TERM=xterm", variable)
		term := h.onTerminalOf(cmd)
		term.wait()
		term.shows("disk")
		if got := strings.Contains(term.screen.String(), "\x1b[32mok\x1b[0m"); got != coloured {
			t.Errorf("%s: %q", variable, term.screen)
		}
	}
	if os.Getenv("NO_COLOR") != "" {
		t.Error("NO_COLOR is set: the test proves nothing")
	}
}

func TestNearestCommand(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	for line, want := range map[string]string{
		"contaner ls": `Did you mean "container"?`, "container lst": `Did you mean "ls"?`, "sytem df": `Did you mean "system"?`, "run --memry 1g x": "Did you mean --memory?",
	} {
		if r := h.try(strings.Fields(line)...); r.code == 0 || !strings.Contains(r.err, want) {
			t.Errorf("want %s: %s", want, r)
		}
	}
	if r := h.fails(1, []string{"unknown command: mydocker zzz\n\nRun"}, "zzz"); strings.Contains(r.err, "Did you mean") {
		t.Errorf("%s", r)
	}
	help := h.ok("container", "--help")
	r := h.try("container") // not asked for: standard output is a script's
	equal(t, "without a command", fmt.Sprintf("%d %s%s", r.code, r.out, r.err), "0 "+help+"\n")
	if strings.Index(help, "\n  attach ") > strings.Index(help, "\n  run ") {
		t.Errorf("not by name:\n%s", help)
	}
	equal(t, "help run", h.ok("help", "run"), h.ok("run", "--help"))
}
