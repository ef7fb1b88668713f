package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"minidocker/mydocker/security"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

func TestArrange(t *testing.T) {
	h := &host{}
	app := &cli.App{Flags: h.flags(), Commands: h.commands()}
	for given, want := range map[string]string{
		"":                                   "",
		"--version":                          "--version",
		"--root /r --debug delete x --force": "--root /r --debug delete --force -- x",
		"--root=/r kill x KILL -a":           "--root=/r kill -a -- x KILL",
		"update x --cpu-quota -1 -r -":       "update --cpu-quota -1 -r - -- x",
		"create x -b":                        "create -b -- x",
		"delete -- -f":                       "delete -- -f",
		"exec -t x ls -l":                    "exec -t x ls -l",
		"ps x -o pid":                        "ps x -o pid",
		"nonsense x -y":                      "nonsense x -y",
	} {
		if got := strings.Join(arrange(app, strings.Fields(given)), " "); got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
}

func TestPlace(t *testing.T) {
	h := &host{log: log{}, root: "/root"}
	for _, id := range []string{"a", "A-b_c.d+e,0", "..."} {
		if dir, err := h.place(id); err != nil || dir != "/root/"+id {
			t.Errorf("%q: %q, %v", id, dir, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "/", "a b", "é", "a\n", "../x"} {
		if dir, err := h.place(id); err == nil {
			t.Errorf("%q is at %q", id, dir)
		}
	}
}

func TestParseStartTime(t *testing.T) {
	for stat, want := range map[string]uint64{
		"1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 8192 0":        4711,
		"1 (a) b (c d) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 17 8192 0 0 0": 17,
	} {
		if got, err := parseStartTime(stat); got != want || err != nil {
			t.Errorf("%q: %d, %v", stat, got, err)
		}
	}
	for _, stat := range []string{"", "1 (x) S", "1 (x) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 x"} {
		if got, err := parseStartTime(stat); err == nil {
			t.Errorf("%q: %d", stat, got)
		}
	}
	if own, err := startTime(os.Getpid()); own == 0 || err != nil {
		t.Errorf("of this process: %d, %v", own, err)
	}
}

func TestParseSignal(t *testing.T) {
	for text, want := range map[string]unix.Signal{"": 15, "9": 9, "KILL": 9, "SIGKILL": 9, "hup": 1, "sigUsr1": 10, "0": 0, "64": 64} {
		if got, err := parseSignal(text); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"ABC", "-9", "65", "SIG"} {
		if got, err := parseSignal(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// TestRecord: a record is read back, also one that was written again; a damaged one is no absent one.
func TestRecord(t *testing.T) {
	h := &host{root: t.TempDir()}
	dir, lock, err := h.make("x", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.make("x", nil); err != errExists {
		t.Errorf("made twice: %v", err)
	}
	lock.Release()
	c := &container{dir: dir, record: record{State: specs.State{ID: "x", Version: "1"}, Created: time.Unix(1, 0).UTC(), Cgroup: groupName{Paths: map[string]string{"": "/x"}}}}
	for _, pid := range []int{0, 4711} {
		if c.Pid, c.StartTime = pid, uint64(pid); c.save() != nil {
			t.Fatal("save")
		}
		if _, err := h.load("x"); err != errNotExist {
			t.Errorf("known before it is published: %v", err)
		}
		got, err := read(dir, creatingFile)
		if err != nil || !cmp.Equal(got.record, c.record) {
			t.Errorf("%v: %s", err, cmp.Diff(got.record, c.record))
		}
	}
	if err := c.publish(); err != nil {
		t.Fatal(err)
	}
	if got, err := h.load("x"); err != nil || !cmp.Equal(got.record, c.record) {
		t.Errorf("%v: %+v", err, got)
	}
	os.WriteFile(filepath.Join(dir, stateFile), []byte("{"), 0o600)
	if _, err := h.load("x"); err == nil || errors.Is(err, errNotExist) {
		t.Errorf("a damaged record: %v", err)
	}
	if _, err := h.load("y"); err != errNotExist {
		t.Errorf("no container: %v", err)
	}
	if _, _, _, err := h.lookLocked("y"); err != errNotExist {
		t.Errorf("no container to lock: %v", err)
	}
}

// TestShown compares with what runc 1.1 prints.
func TestShown(t *testing.T) {
	s := shown{Version: "1.0.2", ID: "x", Pid: 42, Status: "running", Bundle: "/b", Rootfs: "/b/rootfs",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC), Annotations: map[string]string{"a": "b"}, Owner: "root"}
	var out bytes.Buffer
	printList(&out, []shown{s}, "table", false)
	printList(&out, nil, "table", false)
	printList(&out, []shown{s}, "json", false)
	printList(&out, nil, "json", false)
	printList(&out, []shown{s}, "", true)
	want := `ID          PID         STATUS      BUNDLE      CREATED                          OWNER
x           42          running     /b          2026-01-02T03:04:05.0000006Z   root
ID          PID         STATUS      BUNDLE      CREATED     OWNER
[{"ociVersion":"1.0.2","id":"x","pid":42,"status":"running","bundle":"/b","rootfs":"/b/rootfs","created":"2026-01-02T03:04:05.0000006Z","annotations":{"a":"b"},"owner":"root"}]
null
x
`
	want = strings.Replace(want, "CREATED                          OWNER", "CREATED                        OWNER", 1)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if err := printList(&out, nil, "yaml", false); err == nil {
		t.Error("an unknown format")
	}
}

func TestLinesOf(t *testing.T) {
	table := "UID   PID CMD\nroot    1 init\nroot   12 sh -c 1\nroot  112 ps\n"
	if got, err := linesOf(table, []int{12}); got != "UID   PID CMD\nroot   12 sh -c 1\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := linesOf("CMD\nsh\n", nil); err == nil {
		t.Error("a table without numbers")
	}
}

func TestFromFlags(t *testing.T) {
	ask := func(flags map[string]string) (*specs.LinuxResources, error) {
		return fromFlags(func(name string) string { return flags[name] })
	}
	r, err := ask(map[string]string{"memory": "10M", "memory-swap": "-1", "cpu-quota": "-1", "cpu-share": "7", "cpuset-cpus": "0-2", "pids-limit": "20", "blkio-weight": "500"})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(r)
	if want := `{"memory":{"limit":10485760,"swap":-1},"cpu":{"shares":7,"quota":-1,"cpus":"0-2"},"pids":{"limit":20},"blockIO":{"weight":500}}`; string(got) != want {
		t.Errorf("%s", got)
	}
	for flag, text := range map[string]string{"memory": "1x", "cpu-share": "-1", "cpu-quota": "many", "blkio-weight": "70000", "pids-limit": "1.5"} {
		if r, err := ask(map[string]string{flag: text}); err == nil {
			t.Errorf("--%s %s: %+v", flag, text, r)
		}
	}
}

func TestExecProcess(t *testing.T) {
	first := specs.Process{Args: []string{"init"}, Cwd: "/", Env: []string{"A=1"}, User: specs.User{UID: 1, GID: 2, AdditionalGids: []uint32{3}},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}}}
	run := func(args ...string) (p *specs.Process, err error) {
		h := &host{}
		app := &cli.App{DisableSliceFlagSeparator: true, Commands: []*cli.Command{{Name: "exec", Flags: (&execution{host: h}).flags()}}, ExitErrHandler: func(*cli.Context, error) {}}
		app.Commands[0].Action = func(c *cli.Context) error {
			p, err = (&execution{host: h, c: c}).process(first)
			return nil
		}
		if e := app.Run(append([]string{"", "exec"}, args...)); e != nil {
			t.Fatal(e)
		}
		return p, err
	}
	p, err := run("-e", "B=x,y", "-u", "5:6", "-g", "7", "-g", "8", "--cwd", "/tmp", "--cap", "CAP_CHOWN", "-t", "--no-new-privs", "x", "ls", "-l")
	if err != nil {
		t.Fatal(err)
	}
	want := &specs.Process{Args: []string{"ls", "-l"}, Cwd: "/tmp", Env: []string{"A=1", "B=x,y"}, Terminal: true, NoNewPrivileges: true,
		User:         specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{3, 7, 8}},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Effective: []string{"CAP_CHOWN"}, Permitted: []string{"CAP_CHOWN"}}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	for _, args := range []string{"-u a x ls", "-u :5 x ls", "-g -1 x ls", "-p /nonexistent x"} {
		if p, err := run(strings.Fields(args)...); err == nil {
			t.Errorf("%s: %+v", args, p)
		}
	}
}

func TestLog(t *testing.T) {
	for format, want := range map[string]string{
		"text": `time="T" level=error msg="a \"b\""` + "\n",
		"json": `{"level":"error","msg":"a \"b\"","time":"T"}` + "\n",
	} {
		l := log{path: filepath.Join(t.TempDir(), "log"), format: format}
		if err := l.open(); err != nil {
			t.Fatal(err)
		}
		if code := l.report(&exitError{7, errors.New(`a "b"`)}); code != 7 {
			t.Errorf("status %d", code)
		}
		data, _ := os.ReadFile(l.path)
		now := time.Now().UTC().Format("2006-01-02")
		at := strings.Index(string(data), now)
		if at < 0 || strings.Replace(string(data), string(data)[at:at+len(time.RFC3339)-5], "T", 1) != want {
			t.Errorf("%s: %s", format, data)
		}
	}
	if err := (&log{format: "xml"}).open(); err == nil {
		t.Error("an unknown format")
	}
	if code := (&log{format: "text"}).report(nil); code != 0 {
		t.Errorf("no error: status %d", code)
	}
}

// TestFeatures tries what features promises of seccomp; the options of mounts are
// those package rootfs reads.
func TestFeatures(t *testing.T) {
	all, err := supported()
	if err != nil {
		t.Fatal(err)
	}
	f := all.Linux.Seccomp
	profile := func(action, operator string) error {
		_, err := security.Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/x", Architectures: []specs.Arch{specs.Arch(f.Archs[0])},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"getppid"}, Action: specs.LinuxSeccompAction(action), Args: []specs.LinuxSeccompArg{{Op: specs.LinuxSeccompOperator(operator)}}}}})
		return err
	}
	for _, action := range f.Actions {
		if err := profile(action, "SCMP_CMP_EQ"); err != nil {
			t.Error(action, err)
		}
	}
	for _, operator := range f.Operators {
		if err := profile("SCMP_ACT_ERRNO", operator); err != nil {
			t.Error(operator, err)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, name := range []string{configFile, "rootless.json"} {
		data, err := templates.ReadFile("templates/" + name)
		var spec specs.Spec
		if err == nil {
			err = json.Unmarshal([]byte(strings.NewReplacer("UID", "1", "GID", "1").Replace(string(data))), &spec)
		}
		if err != nil || len(spec.Linux.UIDMappings) > 0 != (name != configFile) {
			t.Errorf("%s: %v, mappings %v", name, err, spec.Linux.UIDMappings)
		}
	}
}
