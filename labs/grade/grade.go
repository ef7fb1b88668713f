// Package grade runs the labs on what a class has handed in: it builds a submission
// from its source, says what of the engine it uses, and writes the verdicts for a
// person or a program.
//
// On the host it owns what package check owns, and one temporary directory for each
// submission, in which it is built.
package grade

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"minidocker/labs/check"
)

// Automatic is the share of a mark, in percent, that checks may give: they see what
// an engine does, not whether its author understands it (labs/TEACHING.md).
const Automatic = 70

// Report is what is known of one submission.
type Report struct {
	Student string         `json:"student"`
	Seed    string         `json:"seed"`
	Engine  *check.Engine  `json:"engine,omitempty"`
	Origin  Origin         `json:"origin"`
	Error   string         `json:"error,omitempty"` // it could not be built or started: nothing was checked
	Results []check.Result `json:"results"`
}

// Score counts verdicts. What could not be checked counts neither as passed nor as
// failed: it is not part of Graded.
func (r *Report) Score() (passed, graded, ungraded int) {
	for _, result := range r.Results {
		switch result.Verdict {
		case check.Passed:
			passed, graded = passed+1, graded+1
		case check.Failed, check.Blocked:
			graded++
		default:
			ungraded++
		}
	}
	return passed, graded, ungraded
}

// Mark is the automatic part of the mark, from 0 to Automatic; ok is false if nothing
// could be graded.
func (r *Report) Mark() (mark float64, ok bool) {
	passed, graded, _ := r.Score()
	if graded == 0 {
		return 0, false
	}
	return float64(Automatic*passed) / float64(graded), true
}

// Ungraded tells whether something of a report could not be graded.
func (r *Report) Ungraded() bool {
	_, _, ungraded := r.Score()
	return ungraded > 0 || r.Error != ""
}

// Grader runs labs on submissions.
type Grader struct {
	Top     string // of the project's source: submissions in Go are built against it
	Labs    []*check.Lab
	Options check.Options // Seed is set by the methods
}

// Engine grades a program that is built already.
func (g *Grader) Engine(command, student string) *Report {
	r := &Report{Student: student, Seed: student, Origin: Origin{Language: "unknown"}}
	g.run(r, command)
	return r
}

// Submission builds the source in dir and grades the result. Seeds, and so names,
// limits and paths in the checks, follow from the student's name.
func (g *Grader) Submission(dir, student string) *Report {
	r := &Report{Student: student, Seed: student}
	scratch, err := os.MkdirTemp("", "labs-grade-")
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer os.RemoveAll(scratch)
	program, err := g.build(dir, scratch)
	if err != nil {
		r.Origin.Language, r.Error = "unknown", err.Error()
		return r
	}
	r.Origin = g.origin(dir, scratch)
	g.run(r, check.Quote(program))
	return r
}

// Batch grades every directory in dir as the submission of the student whose name it
// has; each report is handed over when it is there.
func (g *Grader) Batch(dir string, each func(*Report)) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the submissions: %w", err)
	}
	count := 0
	for _, entry := range entries {
		if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		each(g.Submission(filepath.Join(dir, entry.Name()), entry.Name()))
		count++
	}
	if count == 0 {
		return fmt.Errorf("no submissions in %s: it has a directory for each student", dir)
	}
	return nil
}

func (g *Grader) run(r *Report, command string) {
	engine, err := check.NewEngine(command)
	if err != nil {
		r.Error = err.Error()
		return
	}
	r.Engine = engine
	o := g.Options
	o.Seed = r.Seed
	for _, lab := range g.Labs {
		results, err := check.Run(lab, engine, o)
		settle(lab, results)
		r.Results = append(r.Results, results...)
		if err != nil {
			r.Error = errors.Join(errors.New("lab "+lab.Name), err).Error()
			return
		}
	}
}

// settle takes what is blocked only because this host could not answer something else
// for what it is: not checked. It is no fault of the engine.
func settle(lab *check.Lab, results []check.Result) {
	verdicts := map[string]check.Verdict{}
	for i := range results {
		r := &results[i]
		if r.Verdict == check.Blocked {
			needs := lab.Find(r.Check).Needs
			if len(needs) == 0 { // leftovers: no check saw a container, so any of them may be why
				needs = slices.Collect(maps.Keys(verdicts))
			}
			failed := slices.ContainsFunc(needs, func(name string) bool {
				return verdicts[name] == check.Failed || verdicts[name] == check.Blocked
			})
			if !failed {
				r.Verdict = check.Unchecked
			}
		}
		verdicts[r.Check] = r.Verdict
	}
}
