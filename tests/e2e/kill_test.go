package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The client, the monitor, the container's processes or all of them are killed at
// a random moment of a command. Whatever that leaves, the next command tells the
// truth about every container and nothing has leaked.
//
// MYDOCKER_KILL_LOOPS sets how many times (240), MYDOCKER_KILL_SEED the seed.
func TestKillAtRandomMoments(t *testing.T) {
	loops, seed := 240, uint64(time.Now().UnixNano())
	if testing.Short() {
		loops = 24
	}
	if text := os.Getenv("MYDOCKER_KILL_LOOPS"); text != "" {
		loops, _ = strconv.Atoi(text)
	}
	if text := os.Getenv("MYDOCKER_KILL_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("MYDOCKER_KILL_SEED=%d", seed)
	const workers = 4
	for w := range workers {
		t.Run(strconv.Itoa(w), func(t *testing.T) {
			k := newKiller(newHost(t), rand.New(rand.NewPCG(seed, uint64(w))))
			for i := range (loops + workers - 1) / workers {
				k.round(i)
				if t.Failed() {
					return
				}
			}
			k.bystander()
		})
	}
}

// killer kills what belongs to one engine.
type killer struct {
	*host
	random *rand.Rand
	took   map[string]time.Duration // how long a verb takes that nobody disturbs
	first  string                   // the container that nobody does anything to
	pid    string                   // of its first process
	spared []int                    // its monitor and processes
	what   string                   // is done in this round
}

// script is a container that ends with 5 when asked to; its processes are found by the word.
const script = `trap 'exit 5' TERM; sleep %[1]s & echo up; wait; exit %[1]s`

func newKiller(h *host, random *rand.Rand) *killer {
	k := &killer{host: h, random: random, took: map[string]time.Duration{}, what: "nothing yet"}
	k.first = h.up(fmt.Sprintf(script, nonce()), "--name", "bystander")
	k.pid = h.pid(k.first)
	k.spared = h.members()
	for _, verb := range killVerbs {
		args, _ := k.prepare(verb)
		began := time.Now()
		h.try(args...)
		k.took[verb] = time.Since(began)
		k.clear()
	}
	return k
}

var killVerbs = []string{"run", "run --rm", "run -d", "create", "start", "exec", "exec -d", "stop", "rm", "rm -f"}

// prepare makes what a verb needs and gives its command line and the word by which
// the processes are found that it starts or ends.
func (k *killer) prepare(verb string) (args []string, word string) {
	k.t.Helper()
	word = nonce()
	command := []string{"busybox", "sh", "-c", fmt.Sprintf(script, word)}
	fields := strings.Fields(verb)
	switch fields[0] {
	case "run", "create":
		if verb == "run" || verb == "run --rm" { // it ends by itself
			command = []string{"busybox", "sleep", "0.02"}
		}
		return append(fields, command...), word
	case "start":
		return append(fields, k.ok(append([]string{"create"}, command...)...)), word
	case "exec":
		id := k.ok(append([]string{"run", "-d"}, command...)...)
		return append(fields, id, "sh", "-c", "sleep 0.02; echo "+word), word
	case "rm":
		if len(fields) == 1 {
			return append(fields, k.ok(append([]string{"create"}, command...)...)), word
		}
	}
	flags := []string{"run", "-d"}
	if k.random.IntN(3) == 0 {
		flags = append(flags, "--rm")
	}
	return append(fields, k.ok(append(flags, command...)...)), word
}

// round disturbs one command.
func (k *killer) round(i int) {
	k.t.Helper()
	verb := killVerbs[k.random.IntN(len(killVerbs))]
	victim := []string{"client", "monitor", "container", "one of the container", "monitor and container", "client and monitor", "all"}[k.random.IntN(7)]
	args, word := k.prepare(verb)
	delay := time.Duration(k.random.Int64N(int64(k.took[verb]) * 5 / 4))
	k.what = fmt.Sprintf("round %d: %q, after %v of %v kill %s", i, args, delay, k.took[verb], victim)

	p := k.begin(args...)
	time.Sleep(delay)
	k.kill(victim, p)
	r := p.wait()
	if strings.Contains(r.err, "panic") || strings.Contains(r.err, "goroutine ") {
		k.t.Fatalf("%s\npanic: %s", k.what, r)
	}
	states := k.truth()
	if r.code == 0 {
		k.believe(verb, r, word, states)
	}
	if r := k.try("system", "check"); r.code != 0 {
		k.t.Errorf("%s\nleaked: %s", k.what, r)
	}
	k.clear()
}

// kill sends SIGKILL to the victim, as far as it exists at this moment.
func (k *killer) kill(victim string, client *process) {
	if strings.Contains(victim, "client") || victim == "all" {
		client.cmd.Process.Kill()
	}
	var targets []int
	for group, pids := range k.groups() {
		pids = slices.DeleteFunc(pids, func(pid int) bool {
			return slices.Contains(k.spared, pid) || pid == client.cmd.Process.Pid // a thread of it forks the monitor
		})
		switch {
		case victim == "all":
		case group == "monitors" && !strings.Contains(victim, "monitor"):
			pids = nil
		case group != "monitors" && !strings.Contains(victim, "container"):
			pids = nil
		case group != "monitors" && victim == "one of the container" && len(pids) > 0:
			pids = []int{pids[k.random.IntN(len(pids))]}
		}
		targets = append(targets, pids...)
	}
	k.random.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	for _, pid := range targets {
		unix.Kill(pid, unix.SIGKILL)
	}
	k.what += fmt.Sprintf(" %v", targets)
}

// groups lists the processes in the engine's cgroups by the group's name.
func (h *host) groups() map[string][]int {
	h.t.Helper()
	files, _ := filepath.Glob("/sys/fs/cgroup/" + h.instance + "/*/cgroup.procs")
	if len(files) == 0 {
		// The freezer is always there in version 1.
		files, _ = filepath.Glob("/sys/fs/cgroup/freezer/" + h.instance + "/*/cgroup.procs")
	}
	found := map[string][]int{}
	for _, file := range files {
		data, _ := os.ReadFile(file)
		for field := range strings.FieldsSeq(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				name := filepath.Base(filepath.Dir(file))
				found[name] = append(found[name], pid)
			}
		}
	}
	return found
}

func (h *host) members() []int { return slices.Concat(slices.Collect(maps.Values(h.groups()))...) }

// living tells which of the words have a process, by the arguments of every
// process of the host that is no mydocker.
func living(words []string) map[string]bool {
	found := map[string]bool{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		if strings.HasPrefix(string(line), "sleep\x00") || strings.HasPrefix(string(line), "sh\x00") {
			for _, word := range words {
				if strings.Contains(string(line), word) {
					found[word] = true
				}
			}
		}
	}
	return found
}

// containerState is a container as ps tells it.
type containerState struct{ id, state, word string }

func (k *killer) list() (list []containerState) {
	k.t.Helper()
	r := k.try("ps", "-a", "--no-trunc", "--format", "{{.ID}}\t{{.State}}\t{{.Command}}")
	if r.code != 0 || r.err != "" {
		k.t.Fatalf("%s\n%s", k.what, r)
	}
	for line := range strings.Lines(r.out) {
		f := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		_, word, _ := strings.Cut(f[2], "sleep ")
		word, _, _ = strings.Cut(strings.Trim(word, `"`), " ")
		list = append(list, containerState{f[0], f[1], word})
	}
	return list
}

// truth compares what ps and inspect say with the processes of this host. While a
// monitor lives, a change may be on its way, and the look is taken again; what
// is said of a container without one must be true at once.
func (k *killer) truth() []containerState {
	k.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		words := k.words()
		before := living(words)
		list := k.list()
		monitored := k.monitored()
		for _, c := range list {
			if !slices.Contains(words, c.word) {
				words = append(words, c.word)
			}
		}
		after := living(words)
		lie, settled := "", true
		for _, c := range list {
			says, is := c.state == "running", after[c.word]
			switch {
			case c.word == "0.02": // ends whenever it likes
				settled = settled && !says
			case says == is:
			case monitored[c.id] || says && before[c.word]:
				settled = false
			default:
				lie = fmt.Sprintf("ps says %s of %s, its process lives: %t", c.state, c.id, is)
			}
		}
		for word := range after {
			if !slices.ContainsFunc(list, func(c containerState) bool { return c.word == word }) {
				settled, lie = false, "a process of no container: "+word
			}
		}
		late := time.Now().After(deadline)
		if lie != "" && !late && len(monitored) > 1 { // it may be the one that is being removed
			continue
		}
		if lie != "" || late {
			k.t.Fatalf("%s\n%s (late: %t, monitors of %v)\nps: %v", k.what, lie, late, monitored, list)
		}
		if settled {
			k.details(list)
			return list
		}
	}
}

// words are all words of the engine's containers and of the round.
func (k *killer) words() (words []string) {
	for n := nonceBase(); n <= nonces.Load(); n++ {
		words = append(words, strconv.FormatInt(n, 10))
	}
	return words
}
