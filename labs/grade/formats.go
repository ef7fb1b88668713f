package grade

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"minidocker/labs/check"
)

// Formats are the words that Write knows.
var Formats = []string{"text", "json", "junit", "csv"}

// Write writes the reports in a format.
func Write(w io.Writer, format string, reports []*Report) error {
	switch format {
	case "text":
		return writeText(w, reports)
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		marked := []withMark{}
		for _, r := range reports {
			marked = append(marked, withMark{r, r.mark()})
		}
		return encoder.Encode(marked)
	case "junit":
		return writeJUnit(w, reports)
	case "csv":
		return writeCSV(w, reports)
	}
	return fmt.Errorf("unknown format %q: one of %s", format, strings.Join(Formats, ", "))
}

// withMark is a report as JSON has it: with what follows from it.
type withMark struct {
	*Report
	Mark string `json:"mark"` // a number, or "none"
}

// writeText is for a person: what did not pass, then a table of the class.
func writeText(w io.Writer, reports []*Report) error {
	for _, r := range reports {
		fmt.Fprintf(w, "== %s\n", r.Student)
		if r.Engine != nil {
			for _, file := range r.Engine.Files {
				fmt.Fprintf(w, "   %s  sha256 %.16s\n", file.Path, file.SHA256)
			}
		}
		fmt.Fprintf(w, "   origin: %s%s\n", r.Origin.Language, map[bool]string{true: ", uses " + strings.Join(r.Origin.Packages, " ")}[len(r.Origin.Packages) > 0])
		for _, note := range r.Origin.Notes {
			fmt.Fprintf(w, "   look at: %s\n", note)
		}
		if r.Error != "" {
			fmt.Fprintf(w, "   NOT GRADED: %s\n", strings.ReplaceAll(r.Error, "\n", "\n   "))
		}
		for _, result := range r.Results {
			if result.Verdict != check.Passed {
				fmt.Fprintf(w, "   %-13s lab %d %s: %s\n", result.Verdict, result.Lab, result.Check, strings.ReplaceAll(because(result), "\n", "\n                 "))
			}
		}
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(table, "STUDENT\tPASSED\tOF\tNOT GRADED\tMARK (of %d)\n", Automatic)
	for _, r := range reports {
		passed, graded, ungraded := r.Score()
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\n", r.Student, passed, graded, ungraded, r.mark())
	}
	return table.Flush()
}

// mark is the mark in words: a submission that could not be graded has none, which is not 0.
func (r *Report) mark() string {
	if mark, ok := r.Mark(); ok && r.Error == "" {
		return strconv.FormatFloat(mark, 'f', 1, 64)
	}
	return "none"
}

// because is what a result says besides its verdict.
func because(r check.Result) string {
	if r.Verdict == check.Failed {
		return fmt.Sprintf("expected %s, saw %s", r.Expected, r.Seen)
	}
	return r.Reason
}

func writeCSV(w io.Writer, reports []*Report) error {
	table := csv.NewWriter(w)
	table.Write([]string{"student", "lab", "check", "verdict", "seconds", "reason", "mark", "look at"})
	for _, r := range reports {
		notes := strings.Join(r.Origin.Notes, "; ")
		if r.Error != "" {
			table.Write([]string{r.Student, "", "", "NOT-GRADED", "", r.Error, "none", notes})
		}
		for _, result := range r.Results {
			table.Write([]string{r.Student, strconv.Itoa(result.Lab), result.Check, string(result.Verdict),
				strconv.FormatFloat(result.Seconds, 'f', 3, 64), because(result), r.mark(), notes})
		}
	}
	table.Flush()
	return table.Error()
}

// What follows is the XML that continuous integration reads: a suite for each student
// and lab, a case for each check.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Seconds float64     `xml:"time,attr"`
	Failure *junitCause `xml:"failure"`
	Error   *junitCause `xml:"error"`
	Skipped *junitCause `xml:"skipped"`
}

type junitCause struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func writeJUnit(w io.Writer, reports []*Report) error {
	var all junitSuites
	for _, r := range reports {
		suite := junitSuite{Name: r.Student}
		if r.Error != "" {
			suite.Cases = append(suite.Cases, junitCase{Class: r.Student, Name: "submission", Error: &junitCause{Message: r.Error}})
		}
		for _, result := range r.Results {
			c := junitCase{Class: fmt.Sprintf("%s.lab%d", r.Student, result.Lab), Name: result.Check, Seconds: result.Seconds}
			cause := &junitCause{Message: because(result), Text: strings.TrimSpace(result.Cause + "\n" + result.Reproduce)}
			switch result.Verdict {
			case check.Passed:
			case check.Failed, check.Blocked:
				c.Failure = cause
			case check.Unchecked:
				c.Skipped = cause
			default:
				c.Error = cause
			}
			suite.Cases = append(suite.Cases, c)
		}
		for _, c := range suite.Cases {
			suite.Tests++
			switch {
			case c.Failure != nil:
				suite.Failures++
			case c.Error != nil:
				suite.Errors++
			case c.Skipped != nil:
				suite.Skipped++
			}
		}
		all.Suites = append(all.Suites, suite)
	}
	io.WriteString(w, xml.Header)
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
