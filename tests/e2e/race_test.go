package e2e

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// together runs command lines at the same time.
func (h *host) together(lines ...[]string) []result {
	h.t.Helper()
	processes := make([]*process, len(lines))
	for i, line := range lines {
		processes[i] = h.begin(line...)
	}
	results := make([]result, len(lines))
	for i, p := range processes {
		results[i] = p.wait()
		if strings.Contains(results[i].err, "panic") || strings.Contains(results[i].err, "goroutine ") {
			h.t.Fatalf("panic: %s", results[i])
		}
	}
	return results
}

// Thirty containers are started at once from one shell. Ten of them want five
// names: of each pair one fails.
func TestRaceThirty(t *testing.T) {
	h := newHost(t)
	dir := h.dir("results")
	script := `
		i=0
		while [ $i -lt 30 ]; do
			name=c$i
			[ $i -lt 10 ] && name=same$((i / 2))
			( "$0" run -d --name $name busybox sleep 1000 > $1/$i.out 2> $1/$i.err; echo $? > $1/$i.code ) &
			i=$((i + 1))
		done
		wait`
	cmd := h.command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script, binary, dir}
	if r := h.beginCommand(cmd).wait(); r.code != 0 {
		t.Fatal(r)
	}
	started := map[string]string{}
	for i := range 30 {
		name := fmt.Sprintf("c%d", i)
		if i < 10 {
			name = fmt.Sprintf("same%d", i/2)
		}
		out, stderr, code := read(t, fmt.Sprintf("%s/%d.out", dir, i)), read(t, fmt.Sprintf("%s/%d.err", dir, i)), read(t, fmt.Sprintf("%s/%d.code", dir, i))
		switch {
		case code == "0\n" && started[name] == "" && stderr == "":
			started[name] = strings.TrimSpace(out)
		case code == "125\n" && i < 10 && out == "" && strings.Contains(stderr, fmt.Sprintf(`Conflict. The container name "/%s" is already in use by container "`, name)):
		default:
			t.Errorf("container %d, %s: exit %s, %q, %q", i, name, code, out, stderr)
		}
	}
	if len(started) != 25 {
		t.Errorf("%d containers were started: %v", len(started), started)
	}
	seen := map[string]string{}
	for line := range strings.Lines(h.ok("ps", "--no-trunc", "--format", "{{.Names}} {{.ID}}") + "\n") {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[name] = id
	}
	if diff := cmp.Diff(started, seen); diff != "" {
		t.Errorf("-started +ps:\n%s", diff)
	}
	equal(t, "containers in all", fmt.Sprint(len(strings.Fields(h.ok("ps", "-aq")))), "25")
}

// Verbs race for one container, many times. Each says what has happened.
func TestRaceVerbs(t *testing.T) {
	h := newHost(t)
	gone := func(r result) bool {
		return strings.Contains(r.err, "No such container: ") || strings.Contains(r.err, "is not running")
	}
	for round := range 25 {
		id := h.ok("run", "-d", "busybox", "sleep", "1000")
		if round%5 == 4 {
			h.ok("rm", "-f", id)
			id = h.ok("run", "-d", "--rm", "busybox", "sleep", "1000")
		}
		lines := [][]string{{"rm", "-f", id}, {"stop", "-t", "0", id}, {"exec", id, "echo", "said"}, {"exec", id, "sleep", "1000"}, {"kill", id}, {"wait", id}, {"inspect", id}, {"ps", "-a"}, {"logs", "-f", id}}
		order := []int{round % len(lines), (round + 3) % len(lines), (round + 5) % len(lines)}
		for i := range lines {
			if !slices.Contains(order, i) {
				order = append(order, i)
			}
		}
		ordered := make([][]string, len(lines))
		for i, o := range order {
			ordered[i] = lines[o]
		}
		for _, r := range h.together(ordered...) {
			fine := r.code == 0 && r.err == ""
			switch r.args[0] {
			case "rm":
				fine = r.code == 0 // and with -f one that is gone already is a success
			case "stop", "kill", "logs":
				fine = fine || r.code == 1 && gone(r)
			case "wait":
				fine = fine && r.out == "137\n" || r.code == 1 && gone(r)
			case "inspect":
				fine = fine || r.code == 1 && strings.Contains(r.err, "No such object: ")
			case "exec":
				fine = fine && r.out == "said\n" || r.code == 137 || (r.code == 1 || r.code == 126) && gone(r)
			}
			if !fine {
				t.Errorf("round %d, %v first: %s", round, ordered[0][0], r)
			}
		}
		if left := h.ok("ps", "-aq"); left != "" {
			t.Fatalf("round %d leaves %s", round, left)
		}
	}
}

// Verbs race with the ends of one container's lives. Each finds it running or not,
// never half gone, and what the last one leaves is whole.
func TestRaceEnds(t *testing.T) {
	h := newHost(t)
	id := h.ok("create", "--restart", "always", "--health-cmd", "true", "--health-interval", "20ms", "busybox", "sleep", "1000")
	fine := []string{"is not running", "is not paused", "already paused", "is paused", "is restarting", "a paused container"}
	var all sync.WaitGroup
	for i, pair := range [][][]string{
		{{"kill", id}, {"start", id}}, {{"stop", "-t", "0", id}, {"start", id}}, {{"restart", "-t", "0", id}},
		{{"pause", id}, {"unpause", id}}, {{"exec", id, "true"}}, {{"rename", id, "c1"}, {"rename", id, "c2"}},
		{{"update", "--pids-limit", "100", id}, {"update", "--pids-limit", "200", id}},
	} {
		all.Go(func() {
			for n := range 40 {
				r := h.try(pair[n%len(pair)]...)
				known := slices.ContainsFunc(fine, func(words string) bool { return strings.Contains(r.err, words) })
				if r.code != 0 && !known && r.code != 137 || r.code != 0 && i > 4 {
					t.Error(r)
				}
			}
		})
	}
	all.Wait()
	h.try("unpause", id)
	h.ok("restart", "-t", "0", id)
	equal(t, "at the end", h.ok("ps", "--format", "{{.Names}} {{.State}}"), "c2 running")
	equal(t, "at the end", h.inspect(id, "{{.Name}} {{.State.Status}} {{.State.Paused}} {{.HostConfig.PidsLimit}}"), "/c2 running false 200")
	h.ok("rm", "-f", id)
}

// Of any number of starts at once all succeed, and the container runs once.
func TestRaceStarts(t *testing.T) {
	h := newHost(t)
	for range 10 {
		word := nonce()
		id := h.ok("create", "busybox", "sh", "-c", "echo started; exec sleep "+word)
		lines := slices.Repeat([][]string{{"start", id}}, 5)
		for _, r := range h.together(lines...) {
			if r.code != 0 || r.out != id+"\n" {
				t.Error(r)
			}
		}
		h.findProcess(word)
		h.eventually("it has written once: "+h.ok("logs", id), func() bool { return h.ok("logs", id) == "started" })
		equal(t, "state", h.inspect(id, "{{.State.Status}}"), "running")
		h.ok("rm", "-f", id)
	}
}

// start races rm, with and without force.
func TestRaceStartRemove(t *testing.T) {
	h := newHost(t)
	for round := range 20 {
		id := h.ok("create", "busybox", "sleep", "1000")
		remove := []string{"rm", id}
		if round%2 == 0 {
			remove = []string{"rm", "-f", id}
		}
		lines := [][]string{{"start", id}, remove}
		if round%4 < 2 {
			slices.Reverse(lines)
		}
		results := h.together(lines...)
		if round%4 < 2 {
			slices.Reverse(results)
		}
		start, removed := results[0], results[1]
		left := h.ok("ps", "-aq", "--no-trunc")
		switch {
		case round%2 == 0 && (removed.code != 0 || left != ""):
			t.Errorf("rm -f: %s\nleft: %s", removed, left)
		case start.code != 0 && !strings.Contains(start.err, "No such container: "+id) && !strings.Contains(start.err, "removed"):
			t.Errorf("%s", start)
		case removed.code != 0 && (left != id || start.code != 0 || !strings.Contains(removed.err, "container is running")):
			t.Errorf("%s\n%s\nleft: %q", removed, start, left)
		case removed.code == 0 && left != "":
			t.Errorf("left after %s: %s", removed, left)
		}
		h.ok("rm", "-f", id)
	}
}

// One image is imported, removed and run at the same time.
func TestRaceImage(t *testing.T) {
	h := newHost(t)
	var together sync.WaitGroup
	repeat := func(check func(result) bool, args ...string) {
		together.Go(func() {
			for range 10 {
				r := h.try(args...)
				if !check(r) || strings.Contains(r.err, "panic") {
					t.Errorf("%s", r)
				}
			}
		})
	}
	success := func(r result) bool { return r.code == 0 }
	repeat(success, "import", busybox, "twice")
	repeat(success, "import", busybox, "twice")
	repeat(func(r result) bool {
		return r.code == 0 || r.code == 1 && (strings.Contains(r.err, "No such image: twice") || strings.Contains(r.err, "is using"))
	}, "rmi", "-f", "twice")
	for range 2 {
		repeat(func(r result) bool {
			return r.code == 0 && r.out == "ran\n" || r.code == 125 && strings.Contains(r.err, "No such image: twice:latest")
		}, "run", "--rm", "--pull", "never", "twice", "echo", "ran")
	}
	repeat(success, "images", "-a")
	together.Wait()
	equal(t, "the other image", h.ok("run", "--rm", "busybox", "echo", "fine"), "fine")
	h.ok("import", busybox, "twice")
	equal(t, "the image", h.ok("run", "--rm", "twice", "echo", "fine"), "fine")
}

// A container that is running keeps its image's layers, however often somebody
// tries to remove it.
func TestRaceRemoveUsedImage(t *testing.T) {
	h := newHost(t)
	for range 8 {
		h.ok("import", "-c", "LABEL word="+nonce(), busybox, "used")
		results := h.together([]string{"run", "-d", "--pull", "never", "used", "sleep", "1000"}, []string{"rmi", "used"}, []string{"rmi", "-f", "used"})
		run := results[0]
		if run.code != 0 {
			if !strings.Contains(run.err, "No such image: used:latest") {
				t.Error(run)
			}
			continue
		}
		id := strings.TrimSpace(run.out)
		equal(t, "exec", h.ok("exec", id, "sh", "-c", "ls /bin/busybox && stat -c %s /etc/passwd >/dev/null && echo fine"), "/bin/busybox\nfine")
		h.ok("stop", "-t", "0", id)
		h.ok("start", id)
		equal(t, "after a start", h.ok("exec", id, "echo", "fine"), "fine")
		h.ok("rm", "-f", id)
	}
}

// Different archives are loaded at once.
func TestRaceLoad(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	archive, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	var together sync.WaitGroup
	for i := range 6 {
		together.Go(func() {
			cmd := h.command("import", "-", fmt.Sprintf("image%d", i%3))
			cmd.Stdin = bytes.NewReader(archive)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("import: %v: %s", err, out)
			}
		})
	}
	together.Wait()
	for i := range 3 {
		equal(t, "run", h.ok("run", "--rm", fmt.Sprintf("image%d", i), "echo", "fine"), "fine")
	}
}
