package oci

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hook appends its name, the PID namespace and the root that it sees to a file,
// and its standard input to another.
func hook(b *box, name, then string) []specs.Hook {
	script := "read state; echo \"$state\" >" + b.dir + "/" + name + "; echo " + name + " $WORD >>" + b.dir + "/order; " + then
	return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"WORD=w"}}}
}

// TestHooks is config.md#posix-platform-hooks. Those of the container's namespaces
// write where the bundle is mounted at its own path.
func TestHooks(t *testing.T) {
	both(t, func(t *testing.T, b *box) {
		b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: b.dir, Type: "bind", Source: b.dir, Options: []string{"bind"}})
		b.spec.Annotations = map[string]string{"org.example.key": "value"}
		b.spec.Hooks = &specs.Hooks{Prestart: hook(b, "prestart", ""), CreateRuntime: hook(b, "createRuntime", ""), CreateContainer: hook(b, "createContainer", ""),
			StartContainer: hook(b, "startContainer", ""), Poststart: hook(b, "poststart", ""), Poststop: hook(b, "poststop", "")}
		b.spec.Process.Args = []string{"sh", "-c", "echo process >>" + b.dir + "/order; sleep 100000"}
		order := func() string {
			text, _ := os.ReadFile(b.dir + "/order")
			return string(text)
		}
		if r := b.create(); r.code != 0 {
			t.Fatal(r)
		}
		if got := order(); !strings.HasPrefix(got, "prestart w\ncreateRuntime w\ncreateContainer w\n") { // runc 1.1 runs poststart here too
			t.Errorf("order after create %q", got)
		}
		b.ok("start", b.id)
		b.eventually("all have run", func() bool { return strings.Contains(order(), "\nprocess\n") && strings.Contains(order(), "poststart") })
		if got := order(); strings.Index(got, "startContainer w\n") > strings.Index(got, "process\n") {
			t.Errorf("order %q", got)
		}
		b.ok("kill", b.id, "KILL")
		b.wait()
		b.ok("delete", b.id)
		equal(t, "the last", strings.HasSuffix(order(), "\npoststop w\n"), true)
		for _, name := range []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"} {
			text, _ := os.ReadFile(b.dir + "/" + name)
			var s specs.State
			if err := json.Unmarshal(text, &s); err != nil {
				t.Errorf("%s: %v: %q", name, err, text)
				continue
			}
			equal(t, "id in "+name, s.ID, b.id)
			equal(t, "bundle in "+name, s.Bundle, b.dir)
			equal(t, "annotation in "+name, s.Annotations["org.example.key"], "value")
			if strings.HasPrefix(name, "pre") || name == "createRuntime" || name == "poststart" {
				equal(t, "pid in "+name, s.Pid, b.pid)
			}
		}
	})
}

// TestHooksThatFail stop the container, but the last two kinds, which are a warning.
func TestHooksThatFail(t *testing.T) {
	for name, set := range map[string]func(*specs.Hooks, []specs.Hook){
		"prestart":        func(h *specs.Hooks, list []specs.Hook) { h.Prestart = list },
		"createRuntime":   func(h *specs.Hooks, list []specs.Hook) { h.CreateRuntime = list },
		"createContainer": func(h *specs.Hooks, list []specs.Hook) { h.CreateContainer = list },
		"startContainer":  func(h *specs.Hooks, list []specs.Hook) { h.StartContainer = list },
	} {
		for how, bad := range map[string]specs.Hook{
			"exit code": {Path: "/bin/sh", Args: []string{"sh", "-c", "echo reason >&2; exit 3"}},
			"not there": {Path: "/nothing/here"},
			"timeout":   {Path: "/bin/sleep", Args: []string{"sleep", "100"}, Timeout: pointer(1)},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				both(t, func(t *testing.T, b *box) {
					b.spec.Hooks = &specs.Hooks{}
					set(b.spec.Hooks, []specs.Hook{bad})
					r := b.run("echo the process")
					if r.code == 0 || strings.Contains(r.out, "the process") || r.err == "" {
						t.Errorf("want a failure: %s", r)
					}
				})
			})
		}
	}
	t.Run("poststop", func(t *testing.T) {
		both(t, func(t *testing.T, b *box) {
			b.spec.Hooks = &specs.Hooks{Poststop: append([]specs.Hook{{Path: "/bin/false"}}, hook(b, "poststop", "")...)}
			equal(t, "exit code", b.run("exit 5").code, 5)
			if _, err := os.Stat(b.dir + "/poststop"); err != nil && b.rt.name != "runc" { // which stops at the first
				t.Error(err)
			}
		})
	})
}
