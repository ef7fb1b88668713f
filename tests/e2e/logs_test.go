package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// record is a line of the json-file log.
type record struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// logFile reads a log file, every line of which must be a whole record.
func logFile(t *testing.T, path string) (list []record) {
	t.Helper()
	for line := range strings.Lines(read(t, path)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("%s: %v: %.200q", path, err, line)
		}
		list = append(list, r)
	}
	return list
}

// The bytes on disk are Docker's json-file.
func TestLogsFormat(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "busybox", "sh", "-c", `printf '\377\376<>&"\\\t\001\033\177é\n\r\n\n'; exec >&-; echo err >&2; printf end >&2`)
	path := h.inspect("c1", "{{.LogPath}}")
	got := regexp.MustCompile(`"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`).ReplaceAllString(read(t, path), `"time":T`)
	var out, err []string
	for line := range strings.Lines(got) {
		if strings.Contains(line, `"stderr"`) {
			err = append(err, line)
		} else {
			out = append(out, line)
		}
	}
	if diff := cmp.Diff([]string{
		`{"log":"\ufffd\ufffd\u003c\u003e\u0026\"\\\u0009\u0001\u001b` + "\x7fé" + `\n","stream":"stdout","time":T}` + "\n",
		`{"log":"\r\n","stream":"stdout","time":T}` + "\n",
		`{"log":"\n","stream":"stdout","time":T}` + "\n",
	}, out); diff != "" {
		t.Errorf("stdout: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{`{"log":"err\n","stream":"stderr","time":T}` + "\n", `{"log":"end","stream":"stderr","time":T}` + "\n"}, err); diff != "" {
		t.Errorf("stderr: -want +got:\n%s", diff)
	}
	info, _ := os.Stat(path)
	equal(t, "mode", info.Mode().String(), "-rw-r-----")
	r := h.try("logs", "c1")
	equal(t, "logs", r.out+r.err, "\ufffd\ufffd<>&\"\\\t\x01\x1b\x7fé\n\r\n\nerr\nend")
}

// A line longer than 16 KiB is several records and yet one line.
func TestLogsPartial(t *testing.T) {
	h := newHost(t)
	const n = 40000
	h.ok("run", "--name", "c1", "busybox", "sh", "-c", fmt.Sprintf(`head -c %d /dev/zero | tr '\000' x; echo; printf a; printf b; echo c`, n))
	list := logFile(t, h.inspect("c1", "{{.LogPath}}"))
	var sizes []int
	for _, r := range list {
		sizes = append(sizes, len(r.Log))
	}
	if diff := cmp.Diff([]int{16384, 16384, n - 2*16384 + 1, 4}, sizes); diff != "" {
		t.Errorf("records: -want +got:\n%s", diff)
	} else if list[0].Time != list[2].Time {
		t.Errorf("the pieces of a line have the times %v and %v, in Docker one", list[0].Time, list[2].Time)
	}
	equal(t, "logs", h.ok("logs", "c1"), strings.Repeat("x", n)+"\nabc")
	stamps := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z `)
	timed := h.ok("logs", "-t", "c1")
	equal(t, "logs -t", stamps.ReplaceAllString(timed, ""), strings.Repeat("x", n)+"\nabc")
	equal(t, "times, one a piece", strconv.Itoa(len(stamps.FindAllString(timed, -1))), "4")
}

func TestLogsTail(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "busybox", "seq", "1000")
	all := strings.Fields(h.ok("logs", "c1"))
	if len(all) != 1000 || all[999] != "1000" {
		t.Fatalf("%d lines", len(all))
	}
	for flags, want := range map[string]string{"--tail 3": "998 999 1000", "-n 1": "1000", "-n3": "998 999 1000", "--tail=0": "", "--tail 1000": strings.Join(all, " "), "--tail 5000": strings.Join(all, " "),
		"--tail all": strings.Join(all, " "), "--tail -1": strings.Join(all, " "), "--tail foo": strings.Join(all, " ")} {
		equal(t, flags, strings.Join(strings.Fields(h.ok(append(append([]string{"logs"}, strings.Fields(flags)...), "c1")...)), " "), want)
	}
	equal(t, "flags after", h.ok("logs", "c1", "--tail", "1"), "1000")
	h.fails(1, []string{"No such container: nope"}, "logs", "nope")
	h.fails(1, []string{"'mydocker logs' requires 1 argument"}, "logs")
	h.fails(1, []string{`invalid value for "since": failed to parse value as time or duration: "foo"`}, "logs", "--since", "foo", "c1")
	h.fails(1, []string{`invalid value for "until": failed to parse value as time or duration: "foo"`}, "logs", "--until", "foo", "c1")
}

// --since and --until, by the times that -t shows.
func TestLogsBounds(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done")
	list := logFile(t, h.inspect("c1", "{{.LogPath}}"))
	if len(list) != 5 {
		t.Fatal(list)
	}
	at := func(i int, off time.Duration) string { return list[i].Time.Add(off).Format(time.RFC3339Nano) }
	seconds := func(i int) string {
		return fmt.Sprintf("%d.%09d", list[i].Time.Unix(), list[i].Time.Nanosecond())
	}
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--since", at(2, 0)}, "3 4 5"},
		{[]string{"--since", at(2, 1)}, "4 5"},
		{[]string{"--until", at(2, 0)}, "1 2 3"},
		{[]string{"--until", at(2, -1)}, "1 2"},
		{[]string{"--since", at(1, 0), "--until", at(3, 0)}, "2 3 4"},
		{[]string{"--since", seconds(3)}, "4 5"},
		{[]string{"--since", "1h"}, "1 2 3 4 5"},
		{[]string{"--until", "1h"}, ""},
		{[]string{"--since", at(1, 0), "--tail", "2"}, "4 5"},
		{[]string{"--until", at(2, 0), "-n", "2"}, ""}, // the last two are too late
		{[]string{"--until", at(2, 0), "-n", "4"}, "2 3"},
		{[]string{"--since", "2000-01-01", "--until", "2001-01-01T10:00:00"}, ""},
	} {
		got := h.ok(append(append([]string{"logs"}, c.flags...), "c1")...)
		equal(t, strings.Join(c.flags, " "), strings.Join(strings.Fields(got), " "), c.want)
	}
	first, _, _ := strings.Cut(h.ok("logs", "-t", "c1"), "\n")
	equal(t, "-t", first, list[0].Time.Format("2006-01-02T15:04:05.000000000Z")+" 1")
}

// -f shows what there is, then what comes, and ends with the container.
func TestLogsFollow(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "-i", "--name", "c1", "busybox", "sh", "-c", "echo one; echo two; while read line; do echo $line; echo err $line >&2; done; exit 3")
	h.eventually("two lines", func() bool { return h.ok("logs", "c1") == "one\ntwo" })
	all := h.begin("logs", "-f", "c1")
	last := h.begin("logs", "-f", "--tail", "1", "c1")
	none := h.begin("logs", "-f", "-n", "0", "c1")
	all.says("one\ntwo\n")
	last.says("two\n")
	in := h.begin("attach", "c1")
	h.eventually("the one without past is there", func() bool {
		in.stdin.Write([]byte("x\n"))
		return strings.Contains(none.out.String(), "x\n")
	})
	in.stdin.Write([]byte("end\n"))
	for _, p := range []*process{all, last, none} {
		p.says("x\nend\n")
		h.eventually("stderr", func() bool { return strings.HasSuffix(p.err.String(), "err end\n") })
		if !p.running() {
			t.Error("has ended before the container")
		}
	}
	if strings.HasPrefix(last.out.String(), "one") || strings.HasPrefix(none.out.String(), "two") {
		t.Errorf("--tail: %q, %q", last.out, none.out)
	}
	h.ok("kill", "c1")
	for _, p := range []*process{all, last, none} {
		equal(t, "exit code", exitCode(p.wait()), "0")
	}
	// Of a container that has ended it is as without.
	equal(t, "after the end", strings.Join(strings.Fields(h.ok("logs", "-f", "c1"))[:2], " "), "one two")
}

// The follower of a container that starts again, or is removed.
func TestLogsFollowEnds(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "--rm", "busybox", "sh", "-c", "echo up; exec sleep 1000000")
	p := h.begin("logs", "-f", "c1")
	p.says("up")
	h.ok("rm", "-f", "c1")
	p.wait()
	h.ok("run", "--name", "c2", "busybox", "echo", "run")
	h.ok("start", "c2")
	h.eventually("the second run's line", func() bool { return h.ok("logs", "c2") == "run\nrun" })
	h.becomes("c2", "exited")
	h.ok("create", "--name", "c3", "busybox", "echo", "line")
	equal(t, "before it ran", h.try("logs", "c3").out, "")
	// --until in the future ends it.
	h.ok("run", "-d", "--name", "c4", "busybox", "sh", "-c", "echo up; exec sleep 1000000")
	p = h.begin("logs", "-f", "--until", time.Now().Add(time.Second).Format(time.RFC3339Nano), "c4")
	p.says("up")
	h.ok("kill", "c4")
	p.wait()
}

// Three files of 10 MB at most, each of whole records; a follower misses nothing.
func TestLogsRotation(t *testing.T) {
	h := newHost(t)
	const lines, width = 35000, 1000 // and 60 bytes of JSON each
	h.ok("run", "-d", "-i", "--name", "c1", "busybox", "sh", "-c", fmt.Sprintf(`read go; numbers() { seq $1 $2 | awk '{ printf "%%0%dd\n", $1 }'; }; numbers 1 20000; read go; numbers 20001 %d; read go`, width, lines))
	p := h.begin("logs", "-f", "c1")
	in := h.begin("attach", "c1")
	path := h.inspect("c1", "{{.LogPath}}")
	for _, n := range []int{20000, lines} { // in two parts: a slow follower may lose a file that is deleted meanwhile
		in.stdin.Write([]byte("go\n"))
		h.eventually(fmt.Sprintf("%d lines are followed", n), func() bool {
			p.out.mutex.Lock()
			defer p.out.mutex.Unlock()
			return p.out.Len() == n*(width+1)
		})
	}
	for i, line := range strings.Fields(p.out.String()) {
		if n, err := strconv.Atoi(strings.TrimLeft(line, "0")); err != nil || n != i+1 || len(line) != width {
			t.Fatalf("line %d is %.20q... of %d bytes", i+1, line[width-20:], len(line))
		}
	}
	files, _ := filepath.Glob(path + "*")
	if diff := cmp.Diff([]string{path, path + ".1", path + ".2"}, files); diff != "" {
		t.Errorf("files: -want +got:\n%s", diff)
	}
	var kept []record
	for _, file := range []string{path + ".2", path + ".1", path} {
		if size := len(read(t, file)); size > 10<<20+width+100 {
			t.Errorf("%s has %d bytes", file, size)
		}
		kept = append(kept, logFile(t, file)...)
	}
	if len(kept) < 20_000 || strings.TrimLeft(kept[len(kept)-1].Log, "0") != strconv.Itoa(lines)+"\n" {
		t.Errorf("%d lines are kept, the last %.20q", len(kept), kept[len(kept)-1].Log)
	}
	equal(t, "lines of logs", strconv.Itoa(len(strings.Fields(h.ok("logs", "c1")))), strconv.Itoa(len(kept)))
	tail := strings.Fields(h.ok("logs", "--tail", "15000", "c1")) // from two files
	if len(tail) != 15000 || strings.TrimLeft(tail[0], "0") != strconv.Itoa(lines-15000+1) {
		t.Errorf("--tail over two files: %d lines", len(tail))
	}
	in.stdin.Write([]byte("go\n"))
	equal(t, "the follower ends", exitCode(p.wait()), "0")
}
