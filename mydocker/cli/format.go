package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/docker/cli/templates"
)

const formatHelp = `Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE`

// header are a table's column titles by the name of the field. Field is the name
// of a row's method, as in Docker's templates.
type header map[string]string

// Label is the title of a column {{.Label "com.example.some-key"}}.
func (header) Label(key string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(key[strings.LastIndex(key, ".")+1:])
}

// listing writes rows in the user's format.
type listing struct {
	template *template.Template
	table    bool
	titles   header
}

// newListing takes the value of --format; normal is the table to print without one.
func newListing(format, normal string, titles header) (*listing, error) {
	l := &listing{titles: titles}
	switch format {
	case "", "table":
		format = normal
	case "json":
		format = "{{json .}}"
	}
	body, table := strings.CutPrefix(format, "table")
	l.table = table
	body = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.Trim(body, " "))
	var err error
	if l.template, err = templates.Parse(body); err != nil {
		return nil, exit(1, "failed to parse template: %w", err)
	}
	return l, nil
}

// check executes the template on an empty row, so that an unknown field is an
// error even when there is nothing to list.
func (l *listing) check(empty any) error {
	if err := l.template.Execute(io.Discard, empty); err != nil {
		return exit(1, "failed to execute template: %w", err)
	}
	return nil
}

func (l *listing) write(w io.Writer, rows []any) error {
	var body strings.Builder
	for _, row := range rows {
		if err := l.template.Execute(&body, row); err != nil {
			return exit(1, "template parsing error: %w", err)
		}
		body.WriteByte('\n')
	}
	if !l.table {
		_, err := io.WriteString(w, body.String())
		return err
	}
	table := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	l.template.Funcs(templates.HeaderFunctions).Execute(table, l.titles)
	io.WriteString(table, "\n"+body.String())
	return table.Flush()
}

// marshalRow is a row's JSON: an object of all its methods that take no argument.
func marshalRow(row any) ([]byte, error) {
	v := reflect.ValueOf(row)
	fields := map[string]any{}
	for i := range v.NumMethod() {
		method, name := v.Method(i), v.Type().Method(i).Name
		if name != "MarshalJSON" && method.Type().NumIn() == 0 {
			fields[name] = method.Call(nil)[0].Interface()
		}
	}
	return json.Marshal(fields)
}

// printTemplate is --format of a command that prints one object.
func printTemplate(w io.Writer, format string, object any) error {
	if format == "json" {
		format = "{{json .}}"
	}
	t, err := templates.Parse(format)
	if err != nil {
		return exit(64, "template parsing error: %w", err)
	}
	if err := t.Execute(w, object); err != nil {
		return exit(1, "template parsing error: %w", err)
	}
	fmt.Fprintln(w)
	return nil
}

// truncate shortens s to n characters, the last of them an ellipsis.
func truncate(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

// shortID is the 12 digits that stand for an ID or digest.
func shortID(id string) string {
	_, digits, ok := strings.Cut(id, ":")
	if !ok {
		digits = id
	}
	return digits[:min(12, len(digits))]
}
