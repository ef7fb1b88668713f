package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Block is a ```console fence: commands and what they print.
type Block struct {
	Fence
	Kind     string   // run, show or danger
	Cgroup   int      // the cgroup version it is for, 0 for any
	Setup    []string // what has to be there, see Setups
	Varies   *regexp.Regexp
	Commands []Command
}

// Command is a line "$ command", those that continue it ("> ..."), and its output.
type Command struct {
	Line   int
	Text   string
	Output []string
}

var kinds = map[string]Block{
	"run": {Kind: "run"}, "run v1": {Kind: "run", Cgroup: 1}, "run v2": {Kind: "run", Cgroup: 2}, "danger": {Kind: "danger"}, "show": {Kind: "show"},
}

// recorded is the line below a ```console show.
var recorded = regexp.MustCompile(`^<!-- recorded \d{4}-\d\d-\d\d, Linux \d+\.\d+ -->$`)

// ParseBlock reads the commands of a console fence, and what the comment before it says:
// "<!-- setup: step1 rootfs · varies: \b\d{4,}\b -->", of which either may be missing.
func ParseBlock(f Fence) (Block, error) {
	b, ok := kinds[strings.Join(f.Info[1:], " ")]
	if !ok {
		return b, fmt.Errorf("a transcript is ```console run, run v1, run v2, show or danger, not %q", strings.Join(f.Info, " "))
	}
	b.Fence = f
	if err := b.parseComment(); err != nil {
		return b, err
	}
	for i, line := range f.Body {
		last := len(b.Commands) - 1
		text, isCommand := strings.CutPrefix(line, "$ ")
		more, continues := strings.CutPrefix(line, "> ")
		switch {
		case isCommand:
			b.Commands = append(b.Commands, Command{Line: f.Line + 1 + i, Text: text})
		case last < 0:
			return b, fmt.Errorf("a transcript begins with a command, \"$ ...\", not with %q", line)
		case continues && len(b.Commands[last].Output) == 0:
			b.Commands[last].Text += "\n" + more
		default:
			b.Commands[last].Output = append(b.Commands[last].Output, line)
		}
	}
	if len(b.Commands) == 0 {
		return b, fmt.Errorf("a transcript without a command")
	}
	return b, nil
}

func (b *Block) parseComment() (err error) {
	text := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(b.Comment), "<!--"), "-->"))
	if !strings.HasPrefix(text, "setup:") && !strings.HasPrefix(text, "varies:") {
		return nil // about something else
	}
	for part := range strings.SplitSeq(text, " · ") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "setup":
			b.Setup = strings.Fields(value)
			for _, name := range b.Setup {
				if !slices.Contains(SetupNames, name) {
					return fmt.Errorf("setup %q is unknown; there are %s", name, strings.Join(SetupNames, " "))
				}
			}
		case "varies":
			if b.Varies, err = regexp.Compile(value); err != nil {
				return err
			}
			if b.Varies.MatchString("") {
				return fmt.Errorf("varies %q matches even nothing", value)
			}
		default:
			return fmt.Errorf("before a transcript may stand <!-- setup: NAME... · varies: REGEXP -->, not %q", part)
		}
	}
	return nil
}

// Outcome is what happened when a block was run.
type Outcome struct {
	Status   []int      // of each command that ended
	Output   [][]string // of each command
	Findings []string   // what else is wrong: it took too long, it left something behind
}

// Wrong tells what of an outcome is wrong whatever was printed: a status that the book does
// not show, something left behind.
func (b Block) Wrong(file string, o Outcome) (problems []Problem) {
	for _, finding := range o.Findings {
		problems = append(problems, Problem{file, b.Line, finding})
	}
	for i, c := range b.Commands {
		if i >= len(o.Status) {
			problems = append(problems, Problem{file, c.Line, "$ " + c.Text + "\ndid not end: the shell was gone, or out of time"})
			break
		}
		shown := i+1 < len(b.Commands) && b.Commands[i+1].Text == "echo $?"
		if o.Status[i] != 0 && !shown {
			problems = append(problems, Problem{file, c.Line, fmt.Sprintf("$ %s\nends with status %d; if it is meant to, the next command is: echo $?%s",
				c.Text, o.Status[i], strings.TrimRight("\n    "+strings.Join(o.Output[i], "\n    "), "\n "))})
		}
	}
	return problems
}
