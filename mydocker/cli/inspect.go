package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/template"

	"github.com/docker/cli/templates"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

type inspectOptions struct {
	format, kind string
	size         bool
}

func inspectCommand(s *session) *cli.Command {
	o := &inspectOptions{}
	c := o.command(s, "Return low-level information on containers and images")
	c.ArgsUsage = "[OPTIONS] NAME|ID [NAME|ID...]"
	c.Description = "mydocker inspect -f '{{.State.Pid}}' web"
	c.Flags = append(c.Flags, o.sizeFlag(), text(&o.kind, "", "type", "Only inspect objects of the given type"))
	return c
}

func inspectContainerCommand(s *session) *cli.Command {
	o := &inspectOptions{kind: "container"}
	c := o.command(s, "Display detailed information on one or more containers")
	c.ArgsUsage = "[OPTIONS] CONTAINER [CONTAINER...]"
	c.Description = "mydocker container inspect -f '{{.State.Status}}' web"
	c.Flags = append(c.Flags, o.sizeFlag())
	return c
}

func inspectImageCommand(s *session) *cli.Command {
	o := &inspectOptions{kind: "image"}
	c := o.command(s, "Display detailed information on one or more images")
	c.ArgsUsage = "[OPTIONS] IMAGE [IMAGE...]"
	c.Description = "mydocker image inspect -f '{{json .Config.Cmd}}' busybox"
	return c
}

func (o *inspectOptions) command(s *session, usage string) *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: usage,
		Flags:  []cli.Flag{text(&o.format, "f", "format", "Format output using a custom template: 'json' or a Go TEMPLATE")},
		Before: takes(1, many),
		Action: s.action(func(c *cli.Context, e *engine.Engine) error {
			return o.run(os.Stdout, c.Args().Slice(), func(ref string) (any, error) { return o.find(e, ref) })
		}),
	}
}

func (o *inspectOptions) sizeFlag() *option {
	return boolean(&o.size, "s", "size", "Display total file sizes if the type is container")
}

// find looks among the containers first, then among the images.
func (o *inspectOptions) find(e *engine.Engine, ref string) (any, error) {
	switch o.kind {
	case "container":
		return e.Inspect(ref, o.size)
	case "image":
		return e.InspectImage(ref)
	case "":
	default:
		return nil, exit(1, `unknown type: %q: must be one of "container", "image"`, o.kind)
	}
	container, err := e.Inspect(ref, o.size)
	if !isNotFound(err) {
		return container, err
	}
	image, err := e.InspectImage(ref)
	if isNoImage(err) {
		return nil, fmt.Errorf("No such object: %s", ref)
	}
	return image, err
}

// run prints what can be found and reports the rest.
func (o *inspectOptions) run(w io.Writer, refs []string, find func(ref string) (any, error)) error {
	var found []any
	var errs []error
	var text *template.Template
	if o.format != "" && o.format != "json" {
		var err error
		if text, err = templates.Parse(o.format); err != nil {
			return exit(64, "template parsing error: %w", err)
		}
	}
	var lines bytes.Buffer
	for _, ref := range refs {
		object, err := find(ref)
		if err == nil && text != nil {
			err = inspectLine(&lines, text, object)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, object)
	}
	switch {
	case text != nil && lines.Len() == 0:
		fmt.Fprintln(w)
	case text != nil:
		lines.WriteTo(w)
	default:
		errs = append(errs, inspectJSON(w, found, o.format == ""))
	}
	return errors.Join(errs...)
}

// inspectLine executes the template on the object; if that has no such field, on
// its JSON, for people use the names they see there: {{.Id}} for .ID.
func inspectLine(lines *bytes.Buffer, text *template.Template, object any) error {
	var line bytes.Buffer
	if text.Execute(&line, object) != nil {
		line.Reset()
		encoded, err := json.Marshal(object)
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(bytes.NewReader(encoded))
		decoder.UseNumber() // 64-bit integers must not become floats
		var raw any
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		if err := text.Option("missingkey=error").Execute(&line, raw); err != nil {
			return exit(1, "template parsing error: %w", err)
		}
	}
	fmt.Fprintln(lines, line.String())
	return nil
}

func inspectJSON(w io.Writer, found []any, indent bool) error {
	if len(found) == 0 {
		found = []any{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if indent {
		encoder.SetIndent("", "    ")
	}
	return encoder.Encode(found)
}
