package e2e

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// prompt is a shell's on a terminal.
const prompt = "/ # "

func TestTerminal(t *testing.T) {
	h := newHost(t)
	p := h.onTerminal("run", "-it", "--name", "c1", "busybox")
	p.shows(prompt)
	p.types("tty; echo $TERM $$\r")
	p.shows("\r\n/dev/pts/0\r\nxterm 1\r\n" + prompt)
	p.types("stty size\r")
	p.shows("\r\n24 80\r\n" + prompt)
	// Job control: Ctrl-C ends the foreground job and not the shell, Ctrl-Z stops it.
	p.types("echo up; cat\r")
	p.shows("\r\nup\r\n")
	p.types("text\r")
	p.shows("text\r\ntext\r\n")
	p.types("\x03")
	p.shows(prompt)
	p.types("echo status $?\r")
	p.shows("\r\nstatus 130\r\n" + prompt)
	p.types("sh -c 'echo up; exec cat'\r")
	p.shows("\r\nup\r\n")
	p.types("\x1a")
	p.shows("Stopped")
	p.shows(prompt)
	p.types("fg\r")
	p.shows("exec cat")
	p.types("more\r")
	p.shows("more\r\nmore\r\n")
	p.types("\x03")
	p.shows(prompt)
	p.types("exit 5\r")
	equal(t, "exit code", exitCode(p.wait()), "5")
	equal(t, "exit code", h.inspect("c1", "{{.State.ExitCode}} {{.Config.Tty}} {{.Config.OpenStdin}}"), "5 true true")
	if log := h.ok("logs", "c1"); !strings.Contains(log, "stty size\r\n24 80\r\n") {
		t.Errorf("the log of a terminal: %q", log)
	}
}

func TestTerminalSize(t *testing.T) {
	h := newHost(t)
	p := h.onTerminal("run", "-it", "--name", "c1", "busybox", "sh", "-c", "trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done")
	p.shows("24 80\r\n")
	p.resize(31, 101)
	p.shows("31 101\r\n")
	p.resize(5, 10)
	p.shows("5 10\r\n")
	// An exec has a terminal and a size of its own.
	x := h.onTerminal("exec", "-it", "c1", "sh", "-c", "tty; trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done")
	x.shows("/dev/pts/1\r\n24 80\r\n")
	x.resize(40, 120)
	x.shows("40 120\r\n")
	if strings.Contains(p.screen.String(), "40 120") {
		t.Error("the exec's size is the container's")
	}
	// Whoever attaches gives the terminal his size.
	a := h.onTerminal("attach", "c1")
	a.raw()
	a.shows("24 80\r\n")
	a.resize(50, 60)
	a.shows("50 60\r\n")
	p.shows("50 60\r\n")
}

// Ctrl-P Ctrl-Q detaches; attach comes back to the same shell.
func TestTerminalDetach(t *testing.T) {
	h := newHost(t)
	p := h.onTerminal("run", "-it", "--name", "c1", "busybox")
	p.shows(prompt)
	p.types("A=remembered\r")
	p.shows(prompt)
	p.types("\x10\x11")
	equal(t, "exit code of run", exitCode(p.wait()), "0")
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
	for range 2 {
		p = h.onTerminal("attach", "c1")
		p.raw()
		p.types("echo is $A\r")
		p.shows("is remembered\r\n")
		p.types("\x10x\r") // not the sequence
		p.types("\x10\x11")
		equal(t, "exit code of attach", exitCode(p.wait()), "1")
		p.shows("read escape sequence")
	}
	// Typed byte by byte, or with others in one write.
	p = h.onTerminal("attach", "c1")
	p.raw()
	p.types("echo before\r\x10\x11")
	p.wait()
	h.eventuallyOr(func() string { return "what was typed before is not in " + strconv.Quote(h.ok("logs", "c1")) }, func() bool { return strings.Contains(h.ok("logs", "c1"), "\nbefore\r") })
	// An exec may be detached from, too, and goes on.
	word := nonce()
	p = h.onTerminal("exec", "-it", "c1", "sleep", word)
	h.findProcess(word)
	p.raw()
	p.types("\x10\x11")
	equal(t, "exit code of exec", exitCode(p.wait()), "1")
	h.findProcess(word)
	h.ok("rm", "-f", "c1")
}

func TestTerminalDetachKeys(t *testing.T) {
	h := newHost(t)
	p := h.onTerminal("run", "-it", "--detach-keys", "ctrl-x,a", "--name", "c1", "busybox", "sh", "-c", "stty raw -echo; echo up; cat -v")
	p.shows("up")
	p.types("\x10\x11.\n")
	p.shows("^P^Q.") // these are no keys now
	p.types("\x18b\n")
	p.shows("^Xb")
	p.types("\x18a")
	equal(t, "exit code", exitCode(p.wait()), "0")
	p = h.onTerminal("attach", "--detach-keys=q", "c1")
	p.raw()
	p.types("x\n")
	p.shows("x")
	p.types("q")
	p.wait()
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
	r := h.try("attach", "--detach-keys", "ctrl-nope", "c1")
	if r.code == 0 || !strings.Contains(r.err, "nope") {
		t.Errorf("bad keys: %s", r)
	}
}

// Closing the terminal, or killing the client, leaves the container running.
func TestTerminalClosed(t *testing.T) {
	h := newHost(t)
	p := h.onTerminal("run", "-it", "--name", "c1", "busybox")
	p.shows(prompt)
	p.types("A=remembered\r")
	p.shows("A=remembered\r\n")
	p.master.Close()
	p.wait()
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
	p = h.onTerminal("attach", "c1")
	p.types("echo is $A\r")
	p.shows("is remembered\r\n")
	p.cmd.Process.Signal(syscall.SIGKILL)
	p.wait()
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
	p = h.onTerminal("attach", "c1")
	p.types("exit 3\r")
	equal(t, "exit code", exitCode(p.wait()), "3")
}

// The terminal's mode is restored, however the command ended.
func TestTerminalRestored(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "-it", "--name", "c1", "busybox")
	for _, script := range []string{
		`"$0" run --rm -it busybox true`,
		`"$0" run --rm -it busybox nope`,
		`"$0" run --rm -it busybox sh -c 'stty raw; exit 3'`,
		`"$0" exec -it c1 true`,
		`"$0" run --rm -it --name c2 busybox sh -c 'kill -9 -1; kill -9 1; exit 1'`,
	} {
		cmd := h.command()
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `before=$(stty -g); ` + script + `; [ "$before" = "$(stty -g)" ] && echo same mode`, binary}
		sh := h.onTerminalOf(cmd)
		sh.wait()
		sh.shows("same mode")
	}
}

// The output of -t is the terminal's: CRLF, one stream; its owner is the user.
func TestTerminalOutput(t *testing.T) {
	h := newHost(t)
	r := h.try("run", "--rm", "-t", "busybox", "sh", "-c", "echo out; echo err >&2")
	equal(t, "stdout", r.out, "out\r\nerr\r\n")
	equal(t, "stderr", r.err, "")
	for flags, want := range map[string]string{"": "0:5 620", "-u student": "1000:5 620", "-u 77:78": "77:5 620"} {
		args := append(append([]string{"run", "--rm", "-t"}, strings.Fields(flags)...), "busybox", "sh", "-c", "stat -c '%u:%g %a' $(tty); echo ok > /dev/tty")
		equal(t, "owner "+flags, h.ok(args...), want+"\r\nok\r")
	}
	h.ok("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
	for flags, want := range map[string]string{"": "0:5 620", "-u student": "1000:5 620"} {
		args := append(append([]string{"exec", "-t"}, strings.Fields(flags)...), "c1", "sh", "-c", "stat -c '%u:%g %a' $(tty); echo ok > /dev/tty")
		equal(t, "owner of exec "+flags, h.ok(args...), want+"\r\nok\r")
	}
	equal(t, "the console", h.ok("run", "--rm", "-t", "busybox", "sh", "-c", "test /dev/console -ef /dev/pts/0 && echo the terminal"), "the terminal\r")
}

// More than a terminal holds, typed and printed.
func TestTerminalFlood(t *testing.T) {
	h := newHost(t)
	p := h.onTerminal("run", "-it", "--rm", "busybox", "sh", "-c", "stty raw -echo; echo up; head -c 200000 | md5sum; seq 20000; stty sane")
	p.shows("up")
	p.types(strings.Repeat("0123456789abcdef", 200000/16))
	p.shows("42377d00f00c0afcb336e90f73918e10")
	equal(t, "exit code", exitCode(p.wait()), "0")
	p.shows("\n20000")
	if n := strings.Count(p.screen.String(), "\n"); n < 20000 {
		t.Errorf("%d lines", n)
	}
}
