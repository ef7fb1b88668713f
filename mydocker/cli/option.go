package cli

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// option is a flag as Docker has it: a long name, perhaps one letter, and a
// function that takes each value given. It is a cli.Flag known by its long name
// only: arrange has replaced the letters.
type option struct {
	letter, name string
	kind         string // of value, in help; "" for a switch, which needs no value
	usage        string
	assign       func(string) error

	hidden      bool
	unsupported bool   // Docker has it and this build does not
	env         string // variable that gives the value if the flag does not
	preset      string // value if neither does; shown in help
	given       bool
	err         error // of assign: the flag package keeps only its text
}

func boolean(to *bool, letter, name, usage string) *option {
	return &option{letter: letter, name: name, usage: usage, assign: func(v string) (err error) {
		*to, err = strconv.ParseBool(v)
		return err
	}}
}

func text(to *string, letter, name, usage string) *option {
	return &option{letter: letter, name: name, kind: "string", usage: usage, assign: func(v string) error {
		*to = v
		return nil
	}}
}

func integer[T int | int64](to *T, letter, name, usage string) *option {
	return &option{letter: letter, name: name, kind: "int", usage: usage, assign: func(v string) error {
		n, err := strconv.ParseInt(v, 0, 64)
		*to = T(n)
		return err
	}}
}

// list is a flag that may be given several times.
func list(to *[]string, letter, name, usage string) *option {
	return parsed("list", letter, name, usage, func(v string) error {
		*to = append(*to, v)
		return nil
	})
}

// parsed is a flag with a syntax of its own.
func parsed(kind, letter, name, usage string, assign func(string) error) *option {
	return &option{letter: letter, name: name, kind: kind, usage: usage, assign: assign}
}

// unsupported is a flag of Docker's that this build refuses by name, because a
// flag that is accepted and ignored is worse than none.
func unsupported(letter, name string) *option {
	return &option{letter: letter, name: name, unsupported: true, hidden: true}
}

func (o *option) from(env string) *option  { o.env = env; return o }
func (o *option) or(preset string) *option { o.preset = preset; return o }
func (o *option) hide() *option            { o.hidden = true; return o }

// Apply is called by cli before it parses the command line.
func (o *option) Apply(set *flag.FlagSet) error {
	value, ok := "", false
	if o.env != "" {
		value, ok = os.LookupEnv(o.env)
	}
	if !ok || value == "" {
		value = o.preset
	}
	if value != "" {
		if err := o.assign(value); err != nil {
			return fmt.Errorf("%s=%s: %w", o.env, value, err)
		}
	}
	set.Var((*assignment)(o), o.name, "")
	return nil
}

func (o *option) Names() []string { return []string{o.name} }
func (o *option) IsSet() bool     { return o.given }

// String is the flag's line in help, its usage after a tab.
func (o *option) String() string {
	line := "      --" + o.name
	if o.letter != "" {
		line = "  -" + o.letter + ", --" + o.name
	}
	if o.kind != "" {
		line += " " + o.kind
	}
	line += "\t" + o.usage
	switch {
	case o.preset == "":
	case o.kind == "string":
		line += fmt.Sprintf(" (default %q)", o.preset)
	default:
		line += " (default " + o.preset + ")"
	}
	return line
}

// label is how an error calls the flag.
func (o *option) label() string {
	if o.letter == "" {
		return "--" + o.name
	}
	return "-" + o.letter + ", --" + o.name
}

// assignment is an option as the flag package sees it.
type assignment option

func (a *assignment) String() string { return "" }

func (a *assignment) Set(v string) error {
	a.given = true
	if err := a.assign(v); err != nil {
		a.err = fmt.Errorf("invalid argument %q for %q flag: %w", v, (*option)(a).label(), err)
		return a.err
	}
	return nil
}

// usageError puts what the flag package found wrong into Docker's words.
func usageError(c *cli.Context, err error, _ bool) error {
	for _, f := range c.Command.Flags {
		if o, ok := f.(*option); ok && o.err != nil {
			err = o.err
		}
	}
	return flagError(err, c.Command.HelpName, c.Command)
}

// flagError is an error in a command's flags: Docker shows the usage and exits 125.
func flagError(err error, path string, c *cli.Command) error {
	return exit(125, "%w\n\nUsage:  %s\n\nRun '%s --help' for more information", err, usageLine(path, c), path)
}

func usageLine(path string, c *cli.Command) string {
	return strings.TrimSpace(path + " " + c.ArgsUsage)
}

// filters collects --filter name=value.
func filters(to *map[string][]string) *option {
	return parsed("filter", "f", "filter", "Filter output based on conditions provided", func(v string) error {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return fmt.Errorf("bad format of filter (expected name=value)")
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if *to == nil {
			*to = map[string][]string{}
		}
		(*to)[name] = append((*to)[name], strings.TrimSpace(value))
		return nil
	})
}
