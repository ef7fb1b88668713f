// Package check is the framework of the labs: it runs an engine, any program that
// keeps to a step's command line, and looks in the kernel at what it made.
//
// On the host it owns a directory below /var/tmp/mydocker-labs for each run, a cgroup, the
// processes it starts and, for as long as a check lasts, a mount namespace. All of them
// carry the run's marker, or are in that cgroup. What a kill -9 leaves of them the next run
// removes. What may stay is the empty cgroup of an engine killed before any container was seen.
package check

import "errors"

// Verdict is what is known after a check.
type Verdict string

const (
	Passed    Verdict = "PASS"
	Failed    Verdict = "FAIL"
	Blocked   Verdict = "BLOCKED"       // a check that it needs did not pass
	Unchecked Verdict = "CANNOT-CHECK"  // this host lacks something
	Broken    Verdict = "HARNESS-ERROR" // the checker itself went wrong
	Held      Verdict = "HELD"          // stopped before its end, and the container left there (--hold)
)

// Lab is one lab: what a step of the book is checked by.
type Lab struct {
	Number  int
	Name    string // of its directory: "01-namespaces"
	Title   string
	Grammar []string // the command lines an engine must understand, without its name
	Rootfs  bool     // containers get a root file system: Start and Run add --rootfs DIR
	Checks  []Check
	Mutants []Mutant
	Before  map[string]Verdict // what the stage before gets, where that is not PASS
	Docker  map[string]string  // the checks Docker does not pass, each with the reason
}

// Check is one question to the kernel.
type Check struct {
	Name    string // of a few words, joined by dashes: "exit-status"
	Title   string // what must hold, a sentence
	Needs   []string
	Section string   // where the book has it: "chapters/01-namespaces/README.md#what-goes-wrong"
	Hints   []string // from a nudge to nearly the answer
	Explain []string // shell commands that give the answer by hand; $PID is the container's first process
	Run     func(*Trial) error
}

// Mutant is a mistake built into an engine, to prove that a check sees it.
type Mutant struct {
	Name  string
	File  string // from the top of the project: "chapters/01-namespaces/main.go"
	Old   string // occurs in File once
	New   string
	Fails string   // the check that must fail
	May   []string // checks that may fail too, or be blocked
}

// Result is the verdict on one check, and why.
type Result struct {
	Lab       int       `json:"lab"`
	Check     string    `json:"check"`
	Title     string    `json:"title"`
	Verdict   Verdict   `json:"verdict"`
	Expected  string    `json:"expected,omitempty"`
	Seen      string    `json:"seen,omitempty"`
	Cause     string    `json:"likely_cause,omitempty"`
	Reproduce string    `json:"reproduce,omitempty"`
	Section   string    `json:"section,omitempty"`
	Reason    string    `json:"reason,omitempty"` // of the other verdicts
	Explain   []string  `json:"explain,omitempty"`
	Left      []Finding `json:"left,omitempty"` // what this check found on the host afterwards
	Held      []int     `json:"held,omitempty"` // containers that were left, by the host's numbers
	Seconds   float64   `json:"seconds"`

	container bool   // Reproduce starts a container that stays
	nonce     string // of that container
}

// failure is the error of a check that failed.
type failure struct{ expected, seen, cause string }

func (f *failure) Error() string { return f.seen }

// Fail makes the error of a check that failed: what should be, what the kernel
// showed, and the mistake that most likely makes it so.
func Fail(expected, seen, cause string) error { return &failure{expected, seen, cause} }

// lack is the error of a check that this host cannot answer.
type lack struct{ reason string }

func (l *lack) Error() string { return l.reason }

// CannotCheck makes the error of a check that this host cannot answer, and says why.
func CannotCheck(reason string) error { return &lack{reason} }

// errHeld ends a check whose container is to stay (--hold).
var errHeld = errors.New("held")
