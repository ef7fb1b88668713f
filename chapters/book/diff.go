package main

import (
	"fmt"
	"strings"
)

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

// Unified writes what turns a into b as diff -u does, with names for the two and
// three lines around each change; nothing when they are equal.
func Unified(aName, bName string, a, b []string) string {
	edits, equal := Align(a, b, func(a, b string) bool { return a == b }, func(string) bool { return false })
	if equal {
		return ""
	}
	const around = 3
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", aName, bName)
	aLine, bLine := 1, 1 // of edits[from]
	for from := 0; from < len(edits); {
		// A hunk ends where nothing changes for twice as many lines as are shown around it.
		first, last := -1, -1
		for i := from; i < len(edits) && (last < 0 || i-last <= 2*around); i++ {
			if edits[i].Op != ' ' {
				if last = i; first < 0 {
					first = i
				}
			}
		}
		if first < 0 {
			break
		}
		begin, end := max(from, first-around), min(len(edits), last+around+1)
		aLine, bLine = aLine+begin-from, bLine+begin-from
		var body strings.Builder
		aCount, bCount := 0, 0
		for _, e := range edits[begin:end] {
			fmt.Fprintf(&body, "%c%s\n", e.Op, e.Text)
			if e.Op != '+' {
				aCount++
			}
			if e.Op != '-' {
				bCount++
			}
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n%s", aLine, aCount, bLine, bCount, body.String())
		aLine, bLine, from = aLine+aCount, bLine+bCount, end
	}
	return out.String()
}
