package cli

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

// option is a flag as Docker has it: a long name, perhaps one letter, and a
// function that takes each value given. It is a pflag.Value to read the command
// line, and a cli.Flag for help and suggestions.
type option struct {
	letter, name string
	kind         string // of value, in help; "" for a switch, which needs no value
	usage        string // "": not in help
	assign       func(string) error
	preset       string // value if none is given
}

// flags are a command's, and those of Docker's that this build refuses by name,
// because a flag that is accepted and ignored is worse than none.
func flags(unsupported string, options ...*option) (all []cli.Flag) {
	for _, o := range options {
		all = append(all, o)
	}
	for names := range strings.FieldsSeq(unsupported) {
		o := parsed("", names, "", nil)
		o.assign = func(string) error {
			return exit(125, "flag %s is not supported by this version of %s", o.label(), name)
		}
		all = append(all, o)
	}
	return all
}

// parsed is a flag with a syntax of its own. names are "letter,name" or "name".
func parsed(kind, names, usage string, assign func(string) error) *option {
	comma := strings.Index(names, ",")
	return &option{letter: names[:max(comma, 0)], name: names[comma+1:], kind: kind, usage: usage, assign: assign}
}

// value is a flag with one value, which read makes of its text.
func value[T any](to *T, kind, names, usage string, read func(string) (T, error)) *option {
	return parsed(kind, names, usage, func(v string) (err error) {
		*to, err = read(v)
		return err
	})
}

func boolean(to *bool, names, usage string) *option {
	return value(to, "", names, usage, strconv.ParseBool)
}

func text(to *string, names, usage string) *option {
	return value(to, "string", names, usage, func(v string) (string, error) { return v, nil })
}

func duration(to *time.Duration, names, usage string) *option {
	return value(to, "duration", names, usage, time.ParseDuration)
}

func integer[T int | int64](to *T, names, usage string) *option {
	return value(to, "int", names, usage, func(v string) (T, error) {
		n, err := strconv.ParseInt(v, 0, 64)
		return T(n), err
	})
}

// byteSize is a size such as 64m, in powers of 1024.
func byteSize(to *int64, names, usage string) *option {
	return value(to, "bytes", names, usage, units.RAMInBytes)
}

// optional is a flag of the kind given whose value is nil unless it is given.
func optional[T any](to **T, kind func(to *T, names, usage string) *option, names, usage string) *option {
	o := kind(new(T), names, usage)
	o.assign = func(v string) error {
		*to = new(T)
		return kind(*to, names, usage).assign(v)
	}
	return o
}

// list is a flag that may be given several times.
func list(to *[]string, names, usage string) *option {
	return parsed("list", names, usage, func(v string) error {
		*to = append(*to, v)
		return nil
	})
}

// words is a list whose values may stand in one word with commas too.
func words(to *[]string, names, usage string) *option {
	return parsed("strings", names, usage, func(v string) error {
		*to = append(*to, strings.Split(v, ",")...)
		return nil
	})
}

// pairs is a list of keys and values, such as a=b if separator is "=".
func pairs(to *map[string]string, separator, names, usage string) *option {
	*to = map[string]string{}
	return parsed("list", names, usage, func(v string) error {
		key, value, _ := strings.Cut(v, separator)
		if key == "" {
			return fmt.Errorf("invalid %s '%s': empty name", names[strings.Index(names, ",")+1:], v)
		}
		(*to)[key] = value
		return nil
	})
}

// filters are --filter name=value.
func filters(to *engine.Filters) *option {
	*to = engine.Filters{}
	return parsed("filter", "f,filter", "Filter output based on conditions provided", func(v string) error {
		name, value, ok := strings.Cut(v, "=")
		if v == "" {
			return nil
		}
		if !ok {
			return errors.New("bad format of filter (expected name=value)")
		}
		name = strings.ToLower(strings.TrimSpace(name))
		(*to)[name] = append((*to)[name], strings.TrimSpace(value))
		return nil
	})
}

// moment is a time as Docker lets the user give it, engine.ParseTime.
func moment(to *time.Time, names, usage string) *option {
	return value(to, "string", names, usage, func(v string) (time.Time, error) {
		t, err := engine.ParseTime(v, time.Now())
		if err != nil {
			err = exit(1, "invalid value for %q: %w", names, err)
		}
		return t, err
	})
}

// object is --format of a command that prints one object; normal is its own layout.
func object(to **template.Template, names, normal string) *option {
	*to, _ = parseTemplate(normal)
	return value(to, "string", names, "Format output using a custom template: 'json' or a Go TEMPLATE", parseTemplate)
}

// or sets what holds if the command line has no value.
func (o *option) or(preset ...string) *option {
	o.preset = cmp.Or(preset...)
	return o
}

func (o *option) Set(v string) error        { return o.assign(v) }
func (o *option) Type() string              { return o.kind }
func (o *option) Apply(*flag.FlagSet) error { return nil }
func (o *option) Names() []string           { return []string{o.name} }
func (o *option) IsSet() bool               { return false }
func (o *option) IsVisible() bool           { return o.usage != "" }

// String is the flag's line in help, its usage after a tab.
func (o *option) String() string {
	line := fmt.Sprintf("%6s--%s %s", strings.TrimSuffix(o.label(), "--"+o.name), o.name, o.kind)
	line = strings.TrimSuffix(line, " ") + "\t " + o.usage
	if o.preset != "" {
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
