package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Report is a run of a lab on an engine.
type Report struct {
	Lab     int      `json:"lab"`
	Title   string   `json:"title"`
	Engine  *Engine  `json:"engine"`
	Seed    string   `json:"seed"`
	Results []Result `json:"results"`
}

// Status is the exit status that goes with the report: 0 if all pass, or are held as was
// asked for, 1 if something failed, 2 if that cannot be said.
func (r *Report) Status() int {
	status := 0
	for _, result := range r.Results {
		switch result.Verdict {
		case Failed:
			return 1
		case Passed, Held:
		default:
			status = 2 // something blocked comes with what failed, or with what could not be checked
		}
	}
	return status
}

// JSON writes the report as one object.
func (r *Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // the commands are to be copied
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Text writes a report for people, each result when it is there.
type Text struct {
	Writer  io.Writer
	Explain bool // with the commands by which one looks oneself

	engine string
}

// Begin says what is checked: the files, so that nobody takes one for another.
func (t *Text) Begin(r *Report) {
	t.engine = r.Engine.Command
	fmt.Fprintf(t.Writer, "lab %d, %s: %s\n", r.Lab, r.Title, r.Engine.Command)
	for _, file := range r.Engine.Files {
		fmt.Fprintf(t.Writer, "%s  %s\n", file.SHA256, file.Path)
	}
	fmt.Fprintf(t.Writer, "seed %s\n\n", r.Seed)
}

// Result writes one result.
func (t *Text) Result(r Result) {
	fmt.Fprintf(t.Writer, "%-13s  %-16s %s\n", r.Verdict, r.Check, r.Title)
	t.line("because", r.Reason)
	if r.Verdict == Failed {
		t.line("expected", r.Expected)
		t.line("seen", r.Seen)
		t.line("likely cause", r.Cause)
		t.line("reproduce", r.Reproduce)
		t.line("read", r.Section)
		t.line("help", fmt.Sprintf("%s hint %d %s", self(), r.Lab, r.Check))
	}
	strange := map[string]int{}
	for _, f := range r.Left {
		if f.Ours {
			t.line("left", f.String()+"; it is removed")
		} else {
			strange[f.Kind]++
		}
	}
	for kind, n := range strange {
		t.line("note", fmt.Sprintf("new on the host since this check began, and without its mark, so not counted and not removed: %d %s(s); --format json lists them", n, kind))
	}
	if t.Explain || len(r.Held) > 0 {
		t.explain(r)
	}
}

func (t *Text) line(name, text string) {
	for i, part := range strings.Split(text, "\n") {
		if i > 0 {
			name = ""
		}
		if part != "" {
			fmt.Fprintf(t.Writer, "    %-12s %s\n", name, part)
		}
	}
}

// explain writes commands. $PID in them is the container's first process.
func (t *Text) explain(r Result) {
	for _, pid := range r.Held {
		t.line("held", fmt.Sprintf("PID=%d", pid))
	}
	if len(r.Held) == 0 && r.container {
		t.line("by hand", r.Reproduce+"\nPID=$(pgrep -f '^"+busybox+".*"+r.nonce+"')     # as root in another terminal, as what follows")
	}
	for i, line := range r.Explain {
		name := ""
		if t.engine != "" {
			line = strings.ReplaceAll(line, "ENGINE", t.engine)
		}
		if i == 0 && len(r.Held) == 0 && !r.container {
			name = "by hand"
		}
		t.line(name, line)
	}
	switch {
	case len(r.Held) > 0:
		t.line("", "kill -USR1 $PID      # ends it; so does the next labs check")
	case r.container:
		t.line("", "kill -USR1 $PID      # ends it")
	}
}

// End counts.
func (t *Text) End(r *Report) {
	count := map[Verdict]int{}
	for _, result := range r.Results {
		count[result.Verdict]++
	}
	fmt.Fprintf(t.Writer, "\n%d of %d pass", count[Passed], len(r.Results))
	for _, v := range []Verdict{Failed, Blocked, Unchecked, Broken, Held} {
		if count[v] > 0 {
			fmt.Fprintf(t.Writer, ", %d %s", count[v], v)
		}
	}
	fmt.Fprintln(t.Writer)
}
