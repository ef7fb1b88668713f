package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/docker/cli/templates"
	"github.com/fvbommel/sortorder"
	"github.com/urfave/cli/v2"

	"minidocker/mydocker/engine"
)

// parseTemplate takes the value of --format.
func parseTemplate(format string) (*template.Template, error) {
	if format == "json" {
		format = "{{json .}}"
	}
	t, err := templates.Parse(format)
	if err != nil {
		return nil, exit(64, "template parsing error: %w", err)
	}
	return t, nil
}

// printTemplate is --format of a command that prints one object.
func printTemplate(w io.Writer, t *template.Template, object any) error {
	var line strings.Builder // written at once: several writers to one pipe give whole lines
	if err := t.Execute(&line, object); err != nil {
		return exit(1, "template parsing error: %w", err)
	}
	_, err := fmt.Fprintln(w, line.String())
	return err
}

// listing is what the commands that print a list have in common.
type listing struct {
	format         string
	quiet, noTrunc bool
}

func (l *listing) flags(unsupported string, filter *engine.Filters, more ...*option) []cli.Flag {
	return flags(unsupported, append(more,
		filters(filter),
		l.formatFlag(),
		boolean(&l.noTrunc, "no-trunc", "Don't truncate output"),
		boolean(&l.quiet, "q,quiet", "Only display IDs"),
	)...)
}

func (l *listing) formatFlag() *option {
	return text(&l.format, "format", "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE")
}

// titles are a table's column titles by the name of the row's field.
type titles map[string]string

// Label is the title of a column {{.Label "com.example.some-key"}}.
func (titles) Label(key string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(key[strings.LastIndex(key, ".")+1:])
}

// writeList writes rows in the user's format; columns are those of a table without one.
func writeList[Row any](w io.Writer, l *listing, columns string, head titles, rows []Row) error {
	format := l.format
	switch {
	case l.quiet && (format == "" || format == "table"):
		format = "{{.ID}}"
	case format == "" || format == "table":
		format = "table " + columns
	case format == "json":
		format = "{{json .}}"
	}
	format, isTable := strings.CutPrefix(format, "table")
	t, err := templates.Parse(strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.Trim(format, " ")))
	if err != nil {
		return exit(1, "failed to parse template: %w", err)
	}
	// An unknown field is an error even if there is nothing to list.
	if err := t.Execute(io.Discard, *new(Row)); err != nil {
		return exit(1, "failed to execute template: %w", err)
	}
	var body strings.Builder
	for _, row := range rows {
		if err := t.Execute(&body, row); err != nil {
			return exit(1, "template parsing error: %w", err)
		}
		body.WriteByte('\n')
	}
	if !isTable {
		_, err := io.WriteString(w, body.String())
		return err
	}
	table := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	t.Funcs(templates.HeaderFunctions).Execute(table, head)
	io.WriteString(table, "\n"+body.String())
	return table.Flush()
}

// byName orders names as people count: v2 before v10.
func byName(a, b string) int {
	switch {
	case a == b:
		return 0
	case sortorder.NaturalLess(a, b):
		return -1
	}
	return 1
}

// assignments are key=value in the order of keys.
func assignments(m map[string]string) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return all
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
	digits := id[strings.Index(id, ":")+1:]
	return digits[:min(12, len(digits))]
}
