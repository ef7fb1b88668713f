package cli

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	api "github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
)

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

func TestInspect(t *testing.T) {
	object := api.InspectResponse{ID: "1f", Name: "/web", State: &api.State{Status: "running", Pid: 7},
		Config: &api.Config{Env: []string{"A=<1>"}}, HostConfig: &api.HostConfig{Resources: api.Resources{Memory: 1 << 53}}}
	find := func(ref string) (any, error) {
		if ref == "web" {
			return object, nil
		}
		return nil, errors.New("No such object: " + ref)
	}
	for _, test := range []struct{ format, refs, out, err string }{
		{"{{.Id}} {{.ID}}", "web", "1f 1f\n", ""},
		{"{{.Id}} {{.Foo}}", "web", "\n", `template parsing error: template: :1:10: executing "" at <.Foo>: map has no entry for key "Foo"`},
		{"{{.ID}} {{.State.Pid}}", "web web", "1f 7\n1f 7\n", ""},
		{"{{.Id}} {{.HostConfig.Memory}}", "web", "1f 9007199254740992\n", ""}, // not as a float
		{"{{json .Config.Env}}", "web", "[\"A=<1>\"]\n", ""},
		{"{{.Name}}", "web nosuch", "/web\n", "No such object: nosuch"},
		{"{{.Name}}", "nosuch", "\n", "No such object: nosuch"},
		{"{{.Foo}}", "web", "\n", `template parsing error: template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"`},
		{"{{.Foo", "web", "", "template parsing error: template: :1: unclosed action"},
		{"", "nosuch", "[]\n", "No such object: nosuch"},
		{"json", "nosuch", "[]\n", "No such object: nosuch"},
	} {
		var out strings.Builder
		err := (&inspectOptions{format: test.format}).run(&out, strings.Fields(test.refs), find)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if out.String() != test.out || text != test.err {
			t.Errorf("inspect -f '%s' %s:\ngot  %q, %s\nwant %q, %s", test.format, test.refs, out.String(), text, test.out, test.err)
		}
	}

	var out strings.Builder
	if err := (&inspectOptions{}).run(&out, []string{"web"}, find); err != nil {
		t.Fatal(err)
	}
	// Docker's layout: four spaces, no HTML escapes.
	for _, line := range []string{"[\n    {\n        \"Id\": \"1f\",\n", "                \"A=<1>\"\n", "    }\n]\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in\n%s", line, out.String())
		}
	}
}

func TestEventLine(t *testing.T) {
	m := events.Message{Type: "container", Action: "die", TimeNano: 1700000000123456780,
		Actor: events.Actor{ID: "1f", Attributes: map[string]string{"name": "web", "exitCode": "3", "image": "busybox"}}}
	for format, want := range map[string]string{
		"":                           "container die 1f (exitCode=3, image=busybox, name=web)\n",
		"{{.Action}} {{.Actor.ID}}":  "die 1f\n",
		"{{.Actor.Attributes.name}}": "web\n",
		"json":                       "\"timeNano\":1700000000123456780}\n",
	} {
		if format == "" {
			format = eventText
		}
		text, err := parseTemplate(format)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := printEvent(&out, text, m); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), want) {
			t.Errorf("events --format '%s': %q, want %q", format, out.String(), want)
		}
	}
	unknown, _ := parseTemplate("{{.Foo}}")
	if err := printEvent(io.Discard, unknown, m); err == nil {
		t.Error("no error for an unknown field")
	}
}
