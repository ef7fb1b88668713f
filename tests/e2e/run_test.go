package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestRunExitStatus(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		code  int
		words []string
		args  []string
	}{
		{0, nil, []string{"true"}},
		{3, nil, []string{"sh", "-c", "exit 3"}},
		{255, nil, []string{"sh", "-c", "exit 255"}},
		{0, nil, []string{"sh", "-c", "kill -9 $$; exit 0"}}, // ignored: it is pid 1 of its namespace
		{127, []string{"exec: \"no-such-command\"", "executable file not found in $PATH", "Run 'mydocker run --help' for more information"}, []string{"no-such-command"}},
		{127, []string{"no such file or directory"}, []string{"/no/such/command"}},
		{126, []string{"permission denied"}, []string{"/etc/passwd"}},
		{126, []string{"is a directory"}, []string{"/etc"}},
	} {
		h.fails(c.code, c.words, append([]string{"run", "--rm", "busybox"}, c.args...)...)
	}
	equal(t, "containers left", h.ok("ps", "-aq"), "")
}

// A command that cannot be started leaves a container that says why.
func TestRunNotStarted(t *testing.T) {
	h := newHost(t)
	h.fails(127, nil, "run", "--name", "c1", "busybox", "no-such-command")
	equal(t, "state", h.inspect("c1", "{{.State.Status}} {{.State.ExitCode}}"), "created 127")
	if message := h.inspect("c1", "{{.State.Error}}"); !strings.Contains(message, "executable file not found") {
		t.Errorf("State.Error is %q", message)
	}
	h.fails(1, []string{"executable file not found", "Error: failed to start containers: c1"}, "start", "c1")
	h.ok("rm", "c1")
}

// Errors of the command line and of the engine are 125; a wrong number of
// arguments is 1, as in Docker.
func TestRunRefused(t *testing.T) {
	h := newHost(t)
	taken := h.dir("") + "cid"
	h.write(taken, "")
	for _, c := range []struct {
		code  int
		words []string
		args  []string
	}{
		{125, []string{"unknown flag: --nmae", "--name", "mydocker run [OPTIONS] IMAGE [COMMAND] [ARG...]", "Run 'mydocker run --help'"}, []string{"--nmae", "x", "busybox", "true"}},
		{125, []string{"unknown shorthand flag: 'y' in -y"}, []string{"-y", "busybox", "true"}},
		{125, []string{"flag needs an argument: --name"}, []string{"--name"}},
		{1, []string{"'mydocker run' requires at least 1 argument"}, []string{"--rm"}},
		{125, []string{"Unable to find image '127.0.0.1:1/nope:latest' locally"}, []string{"127.0.0.1:1/nope", "true"}},
		{125, []string{"invalid reference format"}, []string{"UPPER", "true"}},
		{125, []string{"Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"}, []string{"--name", "a b", "busybox", "true"}},
		{125, []string{"Invalid container name (a)"}, []string{"--name", "a", "busybox", "true"}},
		{125, []string{"container ID file found, make sure the other container isn't running or delete " + taken}, []string{"--cidfile", taken, "busybox", "true"}},
		{1, []string{"conflicting options: cannot specify both --attach and --detach"}, []string{"-d", "-a", "stdout", "busybox", "true"}},
		{1, []string{"the input device is not a TTY"}, []string{"-it", "busybox", "true"}},
		{125, []string{"o command specified"}, []string{"--entrypoint", "", "busybox"}},
		{125, []string{"invalid argument \"foo\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"}, []string{"-a", "foo", "busybox"}},
		{125, []string{"invalid environment variable: =x"}, []string{"-e", "=x", "busybox"}},
		{125, []string{"/no/such/file", "no such file or directory"}, []string{"--env-file", "/no/such/file", "busybox"}},
	} {
		h.fails(c.code, c.words, append([]string{"run"}, c.args...)...)
	}
	equal(t, "containers left", h.ok("ps", "-aq"), "")
}

func TestRunDetached(t *testing.T) {
	h := newHost(t)
	cid := h.dir("") + "cid"
	id := h.ok("run", "-d", "--cidfile", cid, "--name", "c1", "busybox", "sh", "-c", "echo hello; exec sleep 1000")
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(id) {
		t.Errorf("the ID is %q", id)
	}
	equal(t, "cidfile", read(t, cid), id)
	equal(t, "state", h.inspect(id, "{{.Name}} {{.State.Status}} {{.State.Running}}"), "/c1 running true")
	h.eventually("the log has the line", func() bool { return h.ok("logs", "c1") == "hello" })
	r := h.fails(125, []string{`Conflict. The container name "/c1" is already in use by container "` + id + `"`}, "run", "--name", "c1", "busybox", "true")
	equal(t, "stdout", r.out, "")
}

func TestRunRemoves(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--rm", "--name", "c1", "busybox", "sleep", "1000")
	equal(t, "AutoRemove", h.inspect("c1", "{{.HostConfig.AutoRemove}}"), "true")
	h.ok("kill", "c1")
	h.eventually("c is gone", func() bool { return h.try("inspect", "c1").code == 1 })
	equal(t, "the name is free", h.ok("run", "--rm", "--name", "c1", "busybox", "echo", "again"), "again")
	h.eventually("no container directory", func() bool {
		left, _ := os.ReadDir(h.root + "/containers")
		return len(left) == 0
	})
}

func TestRunCommandLine(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	h.ok("import", "-c", `ENTRYPOINT ["echo", "entry"]`, "-c", `CMD ["cmd"]`, "-c", "ENV A=image B=image", busybox, "i")
	env := h.dir("") + "env"
	h.write(env, "# comment\nB=file\n\nC=file with spaces\nD\n")
	h.env = []string{"D=client", "E=client", "MISSING="}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"i"}, "entry cmd"},
		{[]string{"i", "a", "-b"}, "entry a -b"},
		{[]string{"--entrypoint", "echo", "i"}, ""}, // the image's CMD goes with its entry point
		{[]string{"--entrypoint", "echo", "i", "x"}, "x"},
		{[]string{"--entrypoint=", "i", "echo", "y"}, "y"},
		{[]string{"--entrypoint", "sh", "-e", "A=flag", "--env-file", env, "-e", "E", "-e", "NONE", "i", "-c", "echo $A,$B,$C,$D,$E,${NONE-unset}"}, "flag,file,file with spaces,client,client,unset"},
	} {
		equal(t, strings.Join(c.args, " "), h.ok(append([]string{"run", "--rm"}, c.args...)...), c.want)
	}
}

// Killing the client leaves the container running.
func TestRunClientKilled(t *testing.T) {
	h := newHost(t)
	p := h.begin("run", "-i", "--name", "c1", "busybox", "sh", "-c", `echo up; trap 'echo got; exit 7' TERM; while :; do sleep 0.01; done`)
	p.says("up")
	p.cmd.Process.Kill()
	p.wait()
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
	h.ok("stop", "c1")
	equal(t, "logs", h.ok("logs", "c1"), "up\ngot")
	equal(t, "exit code", h.inspect("c1", "{{.State.ExitCode}}"), "7")
}

// The client passes on the signals it gets.
func TestRunSignals(t *testing.T) {
	h := newHost(t)
	const script = `trap 'echo int' INT; trap 'echo hup' HUP; trap 'echo usr1' USR1; trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done`
	p := h.begin("run", "--rm", "busybox", "sh", "-c", script)
	p.says("up")
	for _, s := range []struct {
		signal syscall.Signal
		word   string
	}{{syscall.SIGINT, "int"}, {syscall.SIGHUP, "hup"}, {syscall.SIGUSR1, "usr1"}} {
		p.cmd.Process.Signal(s.signal)
		p.says(s.word)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	equal(t, "exit code", exitCode(p.wait()), "9")

	// Without it the signal is the client's own.
	p = h.begin("run", "--sig-proxy=false", "--name", "c1", "busybox", "sh", "-c", script)
	p.says("up")
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.wait()
	equal(t, "output", p.out.String(), "up\n")
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
}

// start -a and attach follow what runs, and pass on its exit code.
func TestStartAttached(t *testing.T) {
	h := newHost(t)
	h.ok("create", "-i", "--name", "c1", "busybox", "sh", "-c", "echo out; echo err >&2; cat; exit 4")
	p := h.begin("start", "-a", "-i", "c1")
	p.says("out")
	p.stdin.Write([]byte("in\n"))
	p.stdin.Close()
	r := p.wait()
	equal(t, "stdout", r.out, "out\nin\n")
	equal(t, "stderr", r.err, "err\n")
	equal(t, "exit code", exitCode(r), "4")

	// Again, and by attach.
	equal(t, "start", h.ok("start", "c1"), "c1")
	h.becomes("c1", "running")
	p = h.begin("attach", "c1")
	p.stdin.Write([]byte("more\n"))
	p.says("more")
	p.stdin.Close()
	equal(t, "exit code", exitCode(p.wait()), "4")
	equal(t, "logs", h.ok("logs", "c1"), "out\nin\nout\nmore")
	h.fails(1, []string{"You cannot attach to a stopped container, start it first"}, "attach", "c1")
	h.fails(1, []string{"No such container: nope"}, "attach", "nope")
}

// Several containers at once; the ones that can start do.
func TestStartSeveral(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"a1", "a2", "a3"} {
		h.ok("create", "--name", name, "busybox", "sleep", "1000")
	}
	r := h.fails(1, []string{"No such container: nope", "Error: failed to start containers: nope"}, "start", "a1", "nope", "a3")
	equal(t, "stdout", r.out, "a1\na3\n")
	equal(t, "running", h.ok("ps", "--format", "{{.Names}}"), "a3\na1")
	equal(t, "start of what runs", h.ok("start", "a1"), "a1")
	h.fails(1, []string{"you cannot start and attach multiple containers at once"}, "start", "-a", "a1", "a2")
}

func exitCode(r result) string { return strconv.Itoa(r.code) }

// The files of a container are its own, and last until it is removed.
func TestRunFiles(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "busybox", "sh", "-c", "echo $(cat /mark 2>/dev/null)x > /mark; rm -r /home; cat /mark")
	equal(t, "again", h.ok("start", "-a", "c1"), "xx")
	equal(t, "another container", h.ok("run", "--rm", "busybox", "sh", "-c", "ls -d /mark /home 2>/dev/null; true"), "/home")
	h.ok("rm", "c1")
	left, _ := filepath.Glob(h.root + "/containers/*")
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
