package main

import (
	"fmt"
	"strings"
)

const ellipsis = "…" // any text in a line; alone in a line, any lines

// sameLine compares a line of the book with one that was printed.
func (b Block) sameLine(want, got string) bool {
	if b.Varies != nil {
		want, got = b.Varies.ReplaceAllLiteralString(want, "\x00"), b.Varies.ReplaceAllLiteralString(got, "\x00")
	}
	want, got = strings.TrimRight(want, " \t"), strings.TrimRight(got, " \t")
	parts := strings.Split(want, ellipsis)
	if len(parts) == 1 {
		return want == got
	}
	got, ok := strings.CutPrefix(got, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(got, part)
		got, ok = after, ok && found
	}
	return ok && strings.HasSuffix(got, parts[len(parts)-1])
}

// Compare tells where an outcome is not as the book says.
func (b Block) Compare(file string, o Outcome) (problems []Problem) {
	problems = b.Wrong(file, o)
	for i, c := range b.Commands {
		edits, equal := Align(c.Output, o.Output[i], b.sameLine, func(line string) bool { return strings.TrimSpace(line) == ellipsis })
		if equal || i > len(o.Status) { // what was not reached printed nothing
			continue
		}
		problems = append(problems, Problem{file, c.Line, "$ " + c.Text + "\nprints something else than the book says (-: the book, +: this machine)" + shown(edits)})
	}
	return problems
}

// Edit is one line of an alignment: ' ' in both, '-' only in the first, '+' only
// in the second. A line of the second that a wildcard stands for is ' ', too.
type Edit struct {
	Op   byte
	Text string
}

// Align turns a into b with the fewest edits. same compares a line of a with one
// of b; any tells that a line of a stands for any number of lines of b.
func Align(a, b []string, same func(a, b string) bool, any func(a string) bool) (edits []Edit, equal bool) {
	// cost[i][j] is the number of edits that turn a[i:] into b[j:].
	cost := make([][]int, len(a)+1)
	for i := len(a); i >= 0; i-- {
		cost[i] = make([]int, len(b)+1)
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a):
				cost[i][j] = len(b) - j
			case any(a[i]):
				cost[i][j] = cost[i+1][j]
				if j < len(b) {
					cost[i][j] = min(cost[i][j], cost[i][j+1])
				}
			case j == len(b):
				cost[i][j] = cost[i+1][j] + 1
			case same(a[i], b[j]):
				cost[i][j] = cost[i+1][j+1]
			default:
				cost[i][j] = 1 + min(cost[i+1][j], cost[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && any(a[i]) && cost[i][j] == cost[i+1][j]:
			i++
		case i < len(a) && any(a[i]):
			edits = append(edits, Edit{' ', b[j]})
			j++
		case i < len(a) && j < len(b) && same(a[i], b[j]):
			edits = append(edits, Edit{' ', b[j]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || cost[i][j] == cost[i+1][j]+1):
			edits = append(edits, Edit{'-', a[i]})
			i++
		default:
			edits = append(edits, Edit{'+', b[j]})
			j++
		}
	}
	return edits, cost[0][0] == 0
}

// shown are edits as text; of those lines that are in both only the ones beside others.
func shown(edits []Edit) string {
	var text strings.Builder
	for i, e := range edits {
		near := false
		for _, other := range edits[max(0, i-2):min(len(edits), i+3)] {
			near = near || other.Op != ' '
		}
		if near {
			fmt.Fprintf(&text, "\n    %c%s", e.Op, e.Text)
		}
	}
	return text.String()
}
