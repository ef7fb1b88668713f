package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

func TestStreamsApart(t *testing.T) {
	h := newHost(t)
	const script = "echo o1; echo e1 >&2; printf o2; printf e2 >&2"
	for flags, want := range map[string]string{"": "o1\no2|e1\ne2", "-a stdout": "o1\no2|", "-a stderr": "|e1\ne2", "-a stdout -a stderr": "o1\no2|e1\ne2", "-a STDERR": "|e1\ne2"} {
		r := h.try(append(append([]string{"run", "--rm"}, strings.Fields(flags)...), "busybox", "sh", "-c", script)...)
		equal(t, "streams with "+flags, r.out+"|"+r.err, want)
	}
	// What is not attached is in the log all the same.
	h.ok("run", "--name", "c1", "-a", "stderr", "busybox", "sh", "-c", script)
	r := h.try("logs", "c1")
	equal(t, "logs", r.out+"|"+r.err, "o1\no2|e1\ne2")
}

func TestStreamsInput(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		flags, script, want string
	}{
		{"-i", "cat; echo end", "input\nend\n"},
		{"", "cat; echo end", "end\n"}, // /dev/null
		{"-i -a stdin -a stdout", "cat; echo end", "input\nend\n"},
		{"-i", "read line; echo $line", "input\n"}, // ends before its input
		{"-i", "exec 0<&-; echo closed", "closed\n"},
		{"-i", "echo text > /dev/stdout; readlink /proc/self/fd/0 | cut -c1-5", "text\npipe:\n"},
	} {
		r := h.tryWith("input\n", append(append([]string{"run", "--rm"}, strings.Fields(c.flags)...), "busybox", "sh", "-c", c.script)...)
		equal(t, c.flags+" "+c.script, r.out+r.err, c.want)
	}
	// The end of the input is one, though the container goes on; and it is not
	// needed for the container to end.
	p := h.begin("run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo end; exec sleep 0")
	p.stdin.Write([]byte("a"))
	p.says("a")
	p.stdin.Close()
	equal(t, "after the end", p.wait().out, "aend\n")
	p = h.begin("run", "-i", "--rm", "busybox", "echo", "done")
	equal(t, "input stays open", p.wait().out, "done\n")
	// -d -i: the first attach brings the input, and its end does not end a later one's.
	h.ok("run", "-d", "-i", "--name", "c1", "busybox", "cat")
	equal(t, "detached", h.inspect("c1", "{{.Config.OpenStdin}} {{.Config.StdinOnce}} {{.State.Status}}"), "true false running")
	p = h.begin("attach", "c1")
	p.stdin.Write([]byte("one\n"))
	p.says("one")
	p.cmd.Process.Kill()
	p.wait()
	p = h.begin("attach", "c1")
	p.stdin.Write([]byte("two\n"))
	p.says("two")
	equal(t, "logs", h.ok("logs", "c1"), "one\ntwo")
}

func TestStreamsBinary(t *testing.T) {
	h := newHost(t)
	data := noise(5 << 20)
	r := h.tryWith(data, "run", "-i", "--rm", "busybox", "sh", "-c", "tee /dev/stderr")
	if r.out != data || r.err != data || r.code != 0 {
		t.Errorf("exit %d; of %d bytes %d on stdout, %d on stderr", r.code, len(data), len(r.out), len(r.err))
	}
}

// 200 MB, complete and in order.
func TestStreamsLarge(t *testing.T) {
	h := newHost(t)
	cmd := h.command("run", "--rm", "busybox", "sh", "-c", `yes 0123456789abcde | head -c 200000000; exit 5`)
	sum := sha256.New()
	n := new(counter)
	cmd.Stdout = io.MultiWriter(sum, n)
	r := h.beginCommand(cmd).wait()
	want := sha256.New()
	want.Write(bytes.Repeat([]byte("0123456789abcde\n"), 200000000/16))
	if r.code != 5 || *n != 200000000 || fmt.Sprintf("%x", sum.Sum(nil)) != fmt.Sprintf("%x", want.Sum(nil)) {
		t.Errorf("exit %d, %d bytes, sha256 %x", r.code, *n, sum.Sum(nil))
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// A client whose output nobody reads does not hold up the container, nor its log.
func TestStreamsSlowReader(t *testing.T) {
	h := newHost(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	cmd := h.command("run", "--name", "c1", "busybox", "sh", "-c", "yes 0123456789abcde | head -c 50000000; echo; echo last; exit 7")
	cmd.Stdout = writer
	p := h.beginCommand(cmd)
	writer.Close()
	h.eventually("c1 is started", func() bool {
		r := h.try("inspect", "-f", "{{.State.Status}}", "c1")
		return r.code == 0 && r.out != "created\n"
	})
	equal(t, "wait", h.ok("wait", "c1"), "7")
	equal(t, "the log's end", h.ok("logs", "--tail", "1", "c1"), "last")
	// What the reader missed is its loss; that the client ends when it is gone, not.
	reader.Close()
	p.wait()
}

// run ... | head -1: the reader is gone, the container goes on and is logged.
func TestStreamsVanishedReader(t *testing.T) {
	h := newHost(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	run := h.command("run", "--name", "c1", "busybox", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 4")
	run.Stdout = writer
	p := h.beginCommand(run)
	writer.Close()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	equal(t, "head", line, "line 0\n")
	if r := p.wait(); r.code == 0 || strings.Contains(r.err, "panic") {
		t.Errorf("the client: %s", r)
	}
	equal(t, "wait", h.ok("wait", "c1"), "4")
	equal(t, "the log's end", h.ok("logs", "--tail", "1", "c1"), "line 19999")
}

// Several clients attached see the same, and may come and go.
func TestStreamsSeveral(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "-i", "--name", "c1", "busybox", "cat")
	var all []*process
	for range 3 {
		all = append(all, h.begin("attach", "c1"))
	}
	for i, p := range all {
		text := fmt.Sprintf("from %d\n", i)
		// An attach says nothing of when it has begun: its own echo shows it.
		p.stdin.Write([]byte(text))
		p.says(text)
	}
	all[0].stdin.Write([]byte("to all\n"))
	for _, p := range all {
		p.says("to all\n")
	}
	all[1].cmd.Process.Kill()
	all[1].wait()
	all[0].stdin.Write([]byte("to the rest\n"))
	all[2].says("to the rest\n")
	h.ok("kill", "c1")
	equal(t, "exit code", exitCode(all[0].wait())+exitCode(all[2].wait()), "137137")
}

// A container without output, with its output closed, or with children that hold
// it open: its end is its first process's.
func TestStreamsEnd(t *testing.T) {
	h := newHost(t)
	for script, want := range map[string]string{
		"exec >&- 2>&-; exit 3":                    "3",
		"sleep 1000000 & exit 3":                   "3",
		"(sleep 1000000 & sleep 1000000) & exit 3": "3",
		"echo text; sleep 1000000 & exit 3":        "text\n3",
	} {
		r := h.try("run", "--rm", "busybox", "sh", "-c", script)
		equal(t, script, r.out+exitCode(r), want)
	}
}
