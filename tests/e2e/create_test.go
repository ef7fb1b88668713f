package e2e

import (
	"regexp"
	"strings"
	"testing"
)

func TestCreate(t *testing.T) {
	h := newHost(t)
	id := h.ok("create", "--name", "c1", "-e", "A=b", "busybox", "sh", "-c", "echo $A; hostname")
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(id) {
		t.Errorf("the ID is %q", id)
	}
	equal(t, "state", h.inspect("c1", "{{.State.Status}} {{.State.Running}} {{.State.Pid}} {{.State.ExitCode}} {{.State.StartedAt}} {{.State.FinishedAt}}"),
		"created false 0 0 0001-01-01T00:00:00Z 0001-01-01T00:00:00Z")
	equal(t, "ps", h.ok("ps", "-q"), "")
	equal(t, "ps -a", h.ok("ps", "-a", "--format", "{{.Status}} {{.Names}}"), "Created c1")
	equal(t, "logs", h.ok("logs", "c1"), "")
	equal(t, "start", h.ok("start", "-a", "c1"), "b\n"+id[:12])
	h.fails(1, []string{`Conflict. The container name "/c1" is already in use by container "` + id + `"`}, "create", "--name", "c1", "busybox")
	h.fails(1, []string{"o command specified"}, "create", "--entrypoint", "", "busybox")
	h.fails(1, []string{"No such image: nope:latest"}, "create", "--pull", "never", "nope")
	equal(t, "containers", h.ok("ps", "-aq", "--no-trunc"), id)
}

// A name is made of an adjective and a person, and is not taken twice.
func TestCreateNames(t *testing.T) {
	h := newHost(t)
	seen := map[string]bool{}
	for range 5 {
		name := h.inspect(h.ok("create", "busybox"), "{{.Name}}")
		if !regexp.MustCompile(`^/[a-z]+_[a-z]+[0-9]?$`).MatchString(name) || seen[name] {
			t.Errorf("the name %q", name)
		}
		seen[name] = true
	}
	for _, name := range []string{"a.b-c_d", "0a", "A" + strings.Repeat("x", 60)} {
		h.ok("create", "--name", name, "busybox")
		equal(t, "name", h.inspect(name, "{{.Name}}"), "/"+name)
		equal(t, "with a slash", h.inspect("/"+name, "{{.Name}}"), "/"+name)
	}
	for _, name := range []string{"-a", ".a", "_a", "a/b", "../x", "ä"} {
		h.fails(1, []string{"Invalid container name (" + name + ")"}, "create", "--name="+name, "busybox")
	}
}

// An ID may be cut short while it is one container's only; a name goes before an ID.
func TestPrefix(t *testing.T) {
	h := newHost(t)
	byFirst := map[byte][]string{}
	var twins []string
	for len(twins) == 0 { // seventeen at most
		id := h.ok("create", "busybox")
		byFirst[id[0]] = append(byFirst[id[0]], id)
		if len(byFirst[id[0]]) == 2 {
			twins = byFirst[id[0]]
		}
	}
	first := twins[0][:1]
	for _, id := range twins {
		for _, n := range []int{64, 63, 12} {
			equal(t, "by prefix", h.inspect(id[:n], "{{.Id}}"), id)
		}
	}
	r := h.fails(1, nil, "rm", first)
	for _, id := range twins {
		if !strings.Contains(r.err, id[:12]) {
			t.Errorf("the candidate %s is not named: %s", id[:12], r)
		}
	}
	h.fails(1, []string{"No such container: " + twins[0] + "0"}, "rm", twins[0]+"0")
	named := h.ok("create", "--name", twins[0][:2], "busybox")
	equal(t, "a name that is a prefix too", h.inspect(twins[0][:2], "{{.Id}}"), named)
}

// Flags may follow arguments where they can mean nothing else; after the image they
// are the command's.
func TestFlagsAfterArguments(t *testing.T) {
	h := newHost(t)
	id := h.ok("run", "-d", "busybox", "sleep", "1000", "-d")
	equal(t, "command", h.inspect(id, "{{json .Config.Cmd}}"), `["sleep","1000","-d"]`)
	h.ok("rm", "-f", id)
	id = h.ok("run", "-d", "busybox", "sleep", "1000")
	equal(t, "inspect", h.ok("inspect", id, "--format", "{{.Id}}"), id)
	equal(t, "exec", h.ok("exec", id, "echo", "-e", "a"), "a")
	h.ok("logs", id, "--tail", "1")
	h.fails(1, []string{"No such container: -f"}, "rm", "--", "-f")
	equal(t, "rm", h.ok("rm", id, "-f"), id)
	h.ok("container", "create", "--name=c1", "busybox")
	equal(t, "group", h.ok("container", "rm", "c1", "-f"), "c1")
}

// An unknown flag is 125 everywhere, and the nearest one is named.
func TestUnknownFlag(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		unknown, nearest string
		args             []string
	}{
		{"--interactiv", "--interactive", []string{"run", "--interactiv", "busybox"}},
		{"--memroy", "--memory", []string{"create", "--memroy", "1g", "busybox"}},
		{"--no-trnc", "--no-trunc", []string{"ps", "--no-trnc"}},
		{"--forse", "--force", []string{"rm", "--forse", "x"}},
		{"--folow", "--follow", []string{"logs", "--folow", "x"}},
		{"--tti", "--tty", []string{"exec", "--tti", "x", "y"}},
		{"--formt", "--format", []string{"inspect", "--formt", "x", "y"}},
		{"--tme", "--time", []string{"stop", "--tme", "1", "x"}},
	} {
		h.fails(125, []string{"unknown flag: " + c.unknown, "Did you mean " + c.nearest, "Run 'mydocker " + c.args[0] + " --help' for more information"}, c.args...)
	}
	h.fails(1, []string{"unknown command: mydocker strt", `"start"`}, "strt")
	h.fails(1, []string{"unknown command: mydocker container stp", `"stop"`}, "container", "stp")
}
