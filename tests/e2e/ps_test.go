package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fourContainers makes one that exited with 3, one that runs, one created and one
// killed, in that order.
func fourContainers(h *host) {
	h.t.Helper()
	h.ok("import", "-c", "LABEL from=image", busybox, "labelled:v1")
	h.try("run", "--name", "web1", "-l", "a=1", "-l", "com.example.some-key=x", "-v", h.dir("data")+":/mnt", "busybox", "sh", "-c", "exit 3")
	h.ok("run", "-d", "--name", "web2", "-l", "a=2", "--network", "host", "--entrypoint", "sleep", "busybox", "1000000")
	h.ok("create", "--name", "db3", "labelled:v1", "a_very_long_command_line", "with spaces", `"quotes"`)
	h.ok("run", "-d", "--name", "db4", h.ok("images", "-q", "busybox"), "sleep", "1000000")
	h.ok("kill", "db4")
	h.becomes("db4", "exited")
}

// lines turns a table's runs of spaces into | and hides what changes.
func lines(table string) []string {
	table = regexp.MustCompile(`\b[0-9a-f]{64}\b`).ReplaceAllString(table, "LONG")
	table = regexp.MustCompile(`\b[0-9a-f]{12}\b`).ReplaceAllString(table, "ID")
	table = regexp.MustCompile(`([Ll]ess than a second|About a minute|\d+ seconds?|\d+ minutes?)`).ReplaceAllString(table, "TIME")
	table = regexp.MustCompile(`virtual [0-9.]+MB`).ReplaceAllString(table, "virtual SIZE")
	return strings.Split(regexp.MustCompile(` {2,}`).ReplaceAllString(table, "|"), "\n")
}

func TestPsTable(t *testing.T) {
	h := newHost(t)
	equal(t, "empty", h.ok("ps", "-a"), "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES")
	fourContainers(h)
	for _, c := range []struct {
		args string
		want []string
	}{
		{"ps -a", []string{
			"CONTAINER ID|IMAGE|COMMAND|CREATED|STATUS|PORTS|NAMES",
			`ID|ID|"sleep 1000000"|TIME ago|Exited (137) TIME ago|db4`,
			`ID|labelled:v1|"a_very_long_command…"|TIME ago|Created|db3`,
			`ID|busybox|"sleep 1000000"|TIME ago|Up TIME|web2`,
			`ID|busybox|"sh -c 'exit 3'"|TIME ago|Exited (3) TIME ago|web1`,
		}},
		{"ps", []string{
			"CONTAINER ID|IMAGE|COMMAND|CREATED|STATUS|PORTS|NAMES",
			`ID|busybox|"sleep 1000000"|TIME ago|Up TIME|web2`,
		}},
		{"container ls -n 2 --no-trunc", []string{
			"CONTAINER ID|IMAGE|COMMAND|CREATED|STATUS|PORTS|NAMES",
			`LONG|ID|"sleep 1000000"|TIME ago|Exited (137) TIME ago|db4`,
			`LONG|labelled:v1|"a_very_long_command_line 'with spaces' \"quotes\""|TIME ago|Created|db3`,
		}},
		{"ps -l -q", []string{"ID"}},
		{"ps -aq --no-trunc", []string{"LONG", "LONG", "LONG", "LONG"}},
		{"ps -q", []string{"ID"}},
		{"ps --last 1 --format {{.Names}}", []string{"db4"}},
		{"ps -n3 --format {{.Names}}", []string{"db4", "db3", "web2"}},
		{"ps --size --latest", []string{"CONTAINER ID|IMAGE|COMMAND|CREATED|STATUS|PORTS|NAMES|SIZE", `ID|ID|"sleep 1000000"|TIME ago|Exited (137) TIME ago|db4|0B (virtual SIZE)`}},
	} {
		got := lines(h.ok(strings.Fields(c.args)...))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.args, diff)
		}
	}
}

func TestPsFormat(t *testing.T) {
	h := newHost(t)
	fourContainers(h)
	for format, want := range map[string][]string{
		`{{.Names}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Networks}}|{{.Ports}}|{{.LocalVolumes}}|{{.Labels}}|{{.Label "a"}}`: {
			`db4|ID|"sleep 1000000"|exited|bridge||0||`,
			`db3|labelled:v1|"a_very_long_command…"|created|bridge||0|from=image|`,
			`web2|busybox|"sleep 1000000"|running|host||0|a=2|2`,
			`web1|busybox|"sh -c 'exit 3'"|exited|bridge||0|a=1,com.example.some-key=x|1`,
		},
		`table {{.Names}}\t{{.Label "com.example.some-key"}}\t{{upper .State}}`: {"NAMES|some key|STATE", "db4|EXITED", "db3|CREATED", "web2|RUNNING", "web1|x|EXITED"},
		`{{if eq .State "running"}}{{.ID}}{{else}}-{{end}}`:                     {"-", "-", "ID", "-"},
		`{{truncate .Names 2}}{{"\t"}}{{join (split .Names "b") "/"}}`:          {"db\td/4", "db\td/3", "we\twe/2", "we\twe/1"},
		`{{.RunningFor}};{{lower .Status}}`:                                     {"TIME ago;exited (137) TIME ago", "TIME ago;created", "TIME ago;up TIME", "TIME ago;exited (3) TIME ago"},
	} {
		if diff := cmp.Diff(want, lines(h.ok("ps", "-a", "--format", format))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", format, diff)
		}
	}
	if mounts := h.ok("ps", "-a", "--no-trunc", "--filter", "name=web1", "--format", "{{.Mounts}}"); mounts != h.dir("data") {
		t.Errorf("mounts: %q", mounts)
	}
	var row map[string]any
	if err := json.Unmarshal([]byte(h.ok("ps", "--format", "json")), &row); err != nil {
		t.Fatal(err)
	}
	for key, pattern := range map[string]string{"CreatedAt": `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} [A-Z0-9+-]+$`, "RunningFor": `ago$`, "Status": "^Up ", "ID": "^[0-9a-f]{12}$"} {
		if text, _ := row[key].(string); !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("%s is %q", key, row[key])
		}
		delete(row, key)
	}
	want := map[string]any{"Command": `"sleep 1000000"`, "Image": "busybox", "Labels": "a=2", "LocalVolumes": "0", "Mounts": "", "Names": "web2",
		"Networks": "host", "Platform": nil, "Ports": "", "Size": "0B", "State": "running"}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	equal(t, "-q goes before", h.try("ps", "-q", "--format", "x").err, "WARNING: Ignoring custom format, because both --format and --quiet are set.\n")
	h.fails(1, []string{"failed to execute template: template: :1:2", "can't evaluate field Foo"}, "ps", "--format", "{{.Foo}}")
	h.fails(1, []string{"failed to parse template: template: :1: unclosed action"}, "ps", "--format", "{{")
	h.fails(1, []string{"'mydocker ps' accepts no arguments"}, "ps", "x")
}

func TestPsFilter(t *testing.T) {
	h := newHost(t)
	fourContainers(h)
	id := h.inspect("web2", "{{.Id}}")
	for filter, want := range map[string]string{
		"status=exited": "db4 web1", "status=created": "db3", "status=running": "web2", "status=paused": "", "status=exited status=created": "db4 db3 web1",
		"exited=3": "web1", "exited=137": "db4", "exited=0": "",
		"label=a": "web2 web1", "label=a=2": "web2", "label=from": "db3", "label=zz": "", "label=a label=a=2": "web2",
		"ancestor=busybox": "db4 web2 web1", "ancestor=labelled:v1": "db3", "ancestor=labelled": "", "ancestor=nope": "",
		"name=web": "web2 web1", "name=^b4$": "", "name=^db4$": "db4", "name=^/db4$": "db4", "name=b": "db4 db3 web2 web1", "name=db4 name=web1": "db4 web1",
		"since=web2": "db4 db3", "before=web2": "web1", "before=db3 status=exited": "web1",
		"id=" + id[:12]: "web2", "id=" + id: "web2", "id=zz": "",
		"volume=/mnt": "web1", "volume=" + h.dir("data"): "web1", "volume=/nope": "",
		"network=bridge": "db4 db3 web1", "network=none": "", "network=host": "web2", "network=nope": "",
	} {
		args := []string{"ps", "-a", "--format", "{{.Names}}"}
		for f := range strings.FieldsSeq(filter) {
			args = append(args, "--filter", f)
		}
		equal(t, filter, strings.ReplaceAll(h.ok(args...), "\n", " "), want)
	}
	equal(t, "without -a", h.ok("ps", "-q", "--filter", "name=db"), "")
	equal(t, "a state implies -a", h.ok("ps", "--filter", "status=exited", "--format", "{{.Names}}"), "db4\nweb1")
	equal(t, "-n counts what passes the filter", h.ok("ps", "-n", "1", "--filter", "name=web", "--format", "{{.Names}}"), "web2")
	h.fails(1, []string{"nvalid", "foo"}, "ps", "--filter", "status=foo")
	h.fails(1, []string{"nvalid filter 'foo'"}, "ps", "--filter", "foo=bar")
	h.fails(1, []string{"nvalid", "x"}, "ps", "--filter", "exited=x")
	h.fails(1, []string{"o such container", "nope"}, "ps", "--filter", "since=nope")
	h.fails(125, []string{`invalid argument "foo" for "-f, --filter" flag: bad format of filter (expected name=value)`}, "ps", "-f", "foo")
}
