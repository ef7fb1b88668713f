package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts a command line into the only form that urfave/cli reads like
// pflag, which Docker uses: every flag as --name=value before the first argument.
//
//	-D rm web -fv  ->  mydocker --debug=true rm --force=true --volumes=true -- web
//
// It chooses the command on the way, so that only this one is built.
func (s *session) arrange(app *cli.App, args []string) ([]string, error) {
	here := &cli.Command{Name: name, Flags: app.Flags, ArgsUsage: "[OPTIONS] COMMAND"}
	path, words := name, []string{name}

	flags, args, err := parse(here, path, args, false)
	if err != nil {
		return nil, err
	}
	words = append(words, flags...)
	if slices.Contains(flags, "--help") {
		args = nil
	}
	topic := len(args) > 0 && args[0] == "help"
	if topic {
		args = args[1:]
	}
	app.Commands = s.pick(commands(), args)
	for group := app.Commands; group != nil; group = here.Subcommands {
		if len(args) == 0 || strings.HasPrefix(args[0], "-") {
			break
		}
		i := slices.IndexFunc(group, func(c *cli.Command) bool { return c.HasName(args[0]) })
		if i < 0 && topic {
			return nil, exit(1, "unknown help topic: %s", strings.Join(args, " "))
		}
		if i < 0 {
			return nil, unknownCommand(path, group, args[0])
		}
		here, path, args = group[i], path+" "+args[0], args[1:]
		words = append(words, here.Name)
	}
	if topic {
		return append(words, "--help"), nil
	}
	if here.Name == name { // no command
		return words, nil
	}
	// What follows IMAGE or CONTAINER in run, create and exec is another program's.
	interspersed := !strings.HasSuffix(here.ArgsUsage, "[ARG...]")
	if flags, args, err = parse(here, path, args, interspersed); err != nil {
		return nil, err
	}
	if slices.Contains(flags, "--help") {
		return append(words, "--help"), nil
	}
	words = append(append(words, flags...), "--")
	return append(words, args...), nil
}

func unknownCommand(path string, known []*cli.Command, word string) error {
	usage := ""
	if path != name {
		usage = "\n\nUsage:  " + path + " COMMAND"
	}
	return exit(1, "%s: unknown command: %s %s\n%s%s\n\nRun '%s --help' for more information",
		name, path, word, cli.SuggestCommand(known, word), usage, path)
}

// parse separates a command's flags from its arguments. The flags come back as
// --name=value. Unless interspersed, the first argument ends the flags.
func parse(c *cli.Command, path string, args []string, interspersed bool) (flags, rest []string, err error) {
	p := parser{command: c, args: args}
	for len(p.args) > 0 && err == nil {
		word := p.args[0]
		p.args = p.args[1:]
		switch {
		case word == "--":
			rest = append(rest, p.args...)
			return p.flags, rest, nil
		case strings.HasPrefix(word, "--"):
			err = p.long(word[2:])
		case len(word) > 1 && word[0] == '-':
			err = p.letters(word[1:])
		case interspersed:
			rest = append(rest, word)
		default:
			return p.flags, append(rest, append([]string{word}, p.args...)...), nil
		}
	}
	if err != nil {
		err = flagError(err, path, c)
	}
	return p.flags, rest, err
}

type parser struct {
	command *cli.Command
	args    []string // not yet read
	flags   []string
}

// long takes --name, --name=value or --name value; word is without the dashes.
func (p *parser) long(word string) error {
	name, value, joined := strings.Cut(word, "=")
	if name == "help" {
		p.flags = append(p.flags, "--help")
		return nil
	}
	o := p.find(func(o *option) bool { return o.name == name })
	if o == nil {
		return fmt.Errorf("unknown flag: --%s%s", name, p.nearest(name))
	}
	if !joined {
		var ok bool
		if value, ok = p.value(o); !ok {
			return fmt.Errorf("flag needs an argument: --%s", name)
		}
	}
	return p.add(o, value)
}

// letters takes -x, -xyz, -xVALUE, -x=VALUE and -x VALUE, and mixtures such as
// -itv /a:/b; word is without the dash.
func (p *parser) letters(word string) error {
	for rest := word; rest != ""; {
		letter := rest[:1]
		rest = rest[1:]
		o := p.find(func(o *option) bool { return o.letter == letter })
		if o == nil && letter == "h" {
			p.flags = append(p.flags, "--help")
			return nil
		}
		if o == nil {
			return fmt.Errorf("unknown shorthand flag: '%s' in -%s%s", letter, letter+rest, p.nearest(letter))
		}
		value, joined := strings.CutPrefix(rest, "=")
		switch {
		case joined || o.kind != "" && rest != "":
			rest = "" // all of it is the value
		default:
			var ok bool
			if value, ok = p.value(o); !ok {
				return fmt.Errorf("flag needs an argument: '%s' in -%s", letter, letter)
			}
		}
		if err := p.add(o, value); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) find(match func(*option) bool) *option {
	for _, f := range p.command.Flags {
		if o, ok := f.(*option); ok && match(o) {
			return o
		}
	}
	return nil
}

// value is that of a flag given without one: a switch is on, others take the
// next word. ok is false if there is none.
func (p *parser) value(o *option) (value string, ok bool) {
	if o.kind == "" {
		return "true", true
	}
	if len(p.args) == 0 {
		return "", o.unsupported
	}
	value, p.args = p.args[0], p.args[1:]
	return value, true
}

func (p *parser) add(o *option, value string) error {
	if o.unsupported {
		return fmt.Errorf("flag %s is not supported by this version of %s", o.label(), name)
	}
	p.flags = append(p.flags, "--"+o.name+"="+value)
	return nil
}

// nearest suggests the flag that may have been meant.
func (p *parser) nearest(word string) string {
	known := slices.DeleteFunc(slices.Clone(p.command.Flags), func(f cli.Flag) bool {
		o, ok := f.(*option)
		return !ok || o.hidden
	})
	if found := cli.SuggestFlag(known, word, true); found != "" {
		return "\nDid you mean " + found + "?"
	}
	return ""
}
