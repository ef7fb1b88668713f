// Package e2e tests mydocker from outside: the built binary, as root, on the
// real kernel. Each test has an engine of its own (root, run directory, parent
// cgroup), may run beside the others, and leaves nothing behind, which is checked.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binary and busybox are the program under test and a tar of a busybox root file
// system, as `make test` gives them; debian is the larger image's.
var binary, busybox, debian string

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests need root: make test")
		os.Exit(1)
	}
	binary, busybox, debian = os.Getenv("MYDOCKER_BIN"), os.Getenv("MYDOCKER_ROOTFS_BUSYBOX"), os.Getenv("MYDOCKER_ROOTFS_DEBIAN")
	if binary == "" || busybox == "" || debian == "" {
		fmt.Fprintln(os.Stderr, "MYDOCKER_BIN, MYDOCKER_ROOTFS_BUSYBOX or MYDOCKER_ROOTFS_DEBIAN is not set: make test")
		os.Exit(1)
	}
	if os.Getenv("MYDOCKER_DISPOSABLE") != "1" {
		fmt.Fprintln(os.Stderr, "these tests start and kill processes as root; MYDOCKER_DISPOSABLE=1 says this machine may take it")
		os.Exit(1)
	}
	os.Exit(withMode(os.Getenv("MYDOCKER_TEST_USERNS"), m.Run))
}

// withMode runs the tests with a mode of user namespaces for all containers that name
// none, by settings for every command; "" is the engine's own default, private.
func withMode(mode string, run func() int) int {
	if mode == "" {
		return run()
	}
	file, err := os.CreateTemp("", "mydocker-e2e-*.json")
	if err == nil {
		defer os.Remove(file.Name())
		_, err = fmt.Fprintf(file, `{"userns": %q}`, mode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv("MYDOCKER_CONFIG", file.Name())
	return run()
}

// host is an engine of one test.
type host struct {
	t                       *testing.T
	root, runRoot, instance string
	env                     []string
	netns                   string // where its commands run; "" is the host's
}

// newHost makes an engine with the image busybox, lets the test run in
// parallel, and checks at its end that nothing is left of it.
func newHost(t *testing.T) *host {
	t.Parallel()
	h := emptyHost(t)
	h.ok("import", "-c", `CMD ["sh"]`, busybox, "busybox")
	return h
}

// newDebianHost is newHost with the image debian beside busybox.
func newDebianHost(t *testing.T) *host {
	h := newHost(t)
	h.ok("import", debian, "debian")
	return h
}

// emptyHost is an engine without images. It does not make the test parallel.
func emptyHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "mydocker-e2e-") // not /tmp: no overlay on tmpfs or overlay
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, root: dir + "/root", runRoot: dir + "/run", instance: "e2e-" + filepath.Base(dir)[len("mydocker-e2e-"):]}
	t.Cleanup(func() {
		h.cleanUp()
		os.RemoveAll(dir)
	})
	return h
}

// cleanUp removes the test's containers and then finds nothing left.
func (h *host) cleanUp() {
	h.t.Helper()
	if ids := strings.Fields(h.try("ps", "-aq").out); len(ids) > 0 {
		if r := h.try(append([]string{"rm", "-f"}, ids...)...); r.code != 0 {
			h.t.Errorf("clean up: %s", r)
		}
	}
	if r := h.try("system", "check"); r.code != 0 {
		h.t.Errorf("left behind: %s", r)
	}
	h.noNetworks()
	// The parent cgroups go with the last monitor, which may still be ending.
	h.eventually("no cgroup is left", func() bool {
		h.try("system", "check", "--repair")
		return len(h.cgroups()) == 0
	})
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	if bytes.Contains(mounts, []byte(filepath.Dir(h.root)+"/")) {
		h.t.Errorf("mounts are left below %s", filepath.Dir(h.root))
	}
}

// cgroups lists what is left of the engine's cgroups.
func (h *host) cgroups() []string {
	found, _ := filepath.Glob("/sys/fs/cgroup/*/" + h.instance)
	v2, _ := filepath.Glob("/sys/fs/cgroup/" + h.instance)
	return append(found, v2...)
}

// result is what a command line did.
type result struct {
	args     []string
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("mydocker %s: exit %d\nstdout: %s\nstderr: %s", strings.Join(r.args, " "), r.code, r.out, r.err)
}

// command prepares a command line of the engine.
func (h *host) command(args ...string) *exec.Cmd {
	return h.commandContext(context.Background(), args...)
}

func (h *host) commandContext(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	if h.netns != "" {
		cmd = exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.netns, "--", binary}, args...)...)
	}
	cmd.Env = append(os.Environ(), "MYDOCKER_ROOT="+h.root, "MYDOCKER_RUN_ROOT="+h.runRoot, "MYDOCKER_INSTANCE="+h.instance)
	cmd.Env = append(cmd.Env, h.env...)
	return cmd
}

// limit is how long a command may take before the test calls it a hang.
const limit = 60 * time.Second

// try runs a command line to its end.
func (h *host) try(args ...string) result {
	h.t.Helper()
	return h.tryWith("", args...)
}

// tryWith is try with standard input.
func (h *host) tryWith(stdin string, args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := h.commandContext(ctx, args...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &stderr
	err := cmd.Run()
	r := result{args: args, out: out.String(), err: stderr.String(), code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("run %v: %v", args, err)
	}
	if ctx.Err() != nil {
		h.t.Fatalf("hangs: %s", r)
	}
	return r
}

// ok runs a command line that must succeed, and returns its output without the
// last newline.
func (h *host) ok(args ...string) string {
	h.t.Helper()
	r := h.try(args...)
	if r.code != 0 {
		h.t.Fatalf("must succeed: %s", r)
	}
	return strings.TrimSuffix(r.out, "\n")
}

// fails runs a command line that must end with code, and say each of the words
// on stderr.
func (h *host) fails(code int, words []string, args ...string) result {
	h.t.Helper()
	r := h.try(args...)
	if r.code != code {
		h.t.Errorf("want exit %d: %s", code, r)
	}
	for _, word := range words {
		if !strings.Contains(r.err, word) {
			h.t.Errorf("want %q on stderr: %s", word, r)
		}
	}
	return r
}

// inspect gives one value of a container, by a Go template.
func (h *host) inspect(ref, template string) string {
	h.t.Helper()
	return h.ok("inspect", "-f", template, ref)
}

// pid is the container's first process as the host sees it.
func (h *host) pid(ref string) string {
	h.t.Helper()
	pid := h.inspect(ref, "{{.State.Pid}}")
	if pid == "0" {
		h.t.Fatalf("%s does not run", ref)
	}
	return pid
}

// eventually polls until the condition holds.
func (h *host) eventually(what string, condition func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("never: %s", what)
		}
	}
}

// equal compares what a container or command said.
func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
