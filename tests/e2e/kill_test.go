package e2e

import (
	"fmt"
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
// MYDOCKER_KILL_LOOPS sets how many times (280), MYDOCKER_KILL_SEED the seed.
func TestKillAtRandomMoments(t *testing.T) {
	t.Parallel()
	loops, seed := 280, uint64(time.Now().UnixNano())
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
			k.unharmed()
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
	words  []string                 // in the arguments of the containers' processes
	short  map[string]bool          // of them, of those that end by themselves
	killed []int                    // in this round
	what   string                   // is done in it
}

func newKiller(h *host, random *rand.Rand) *killer {
	k := &killer{host: h, random: random, took: map[string]time.Duration{}, short: map[string]bool{}, what: "preparation"}
	k.first = k.ok(append([]string{"run", "-d"}, k.container()...)...)
	h.eventually("the bystander is up", func() bool { return h.ok("logs", k.first) == "up" })
	k.pid = h.pid(k.first)
	for _, pids := range h.groups() {
		k.spared = append(k.spared, pids...)
	}
	for _, verb := range killVerbs {
		args, _ := k.prepare(verb)
		began := time.Now()
		if r := h.try(args...); r.code != 0 {
			h.t.Fatal(r)
		}
		k.took[verb] = time.Since(began)
		k.clear()
	}
	return k
}

// container is one that ends with 5 when asked to, and has a word.
func (k *killer) container() []string {
	word := nonce()
	k.words = append(k.words, word)
	return []string{"-l", "word=" + word, "busybox", "sh", "-c", fmt.Sprintf(`trap 'exit 5' TERM; sleep %s & echo up; wait`, word)}
}

var killVerbs = []string{"run", "run --rm", "run -d", "create", "start", "exec", "exec -d", "stop", "rm", "rm -f", "restart", "pause", "rename"}

// prepare makes what a verb needs, and gives its command line and the container
// it is about, if there is one.
func (k *killer) prepare(verb string) (args []string, id string) {
	k.t.Helper()
	args = strings.Fields(verb)
	switch verb {
	case "run", "run --rm": // ends by itself
		word := nonce()
		k.words, k.short[word] = append(k.words, word), true
		return append(args, "-l", "word="+word, "busybox", "sh", "-c", "sleep 0.01; : "+word), ""
	case "run -d", "create":
		return append(args, k.container()...), ""
	case "start", "rm":
		id = k.ok(append([]string{"create"}, k.container()...)...)
	case "stop", "rm -f":
		flags := []string{"run", "-d"}
		if k.random.IntN(3) == 0 {
			flags = append(flags, "--rm")
		}
		id = k.ok(append(flags, k.container()...)...)
	default:
		id = k.ok(append([]string{"run", "-d"}, k.container()...)...)
	}
	args = append(args, id)
	if args[0] == "rename" {
		args = append(args, "name"+nonce())
	}
	if args[0] == "exec" {
		args = append(args, "sh", "-c", "sleep 0.01; echo said")
	}
	return args, id
}

var victims = []string{"client", "monitor", "container", "one of the container", "monitor and container", "client and monitor", "all"}

// round disturbs one command.
func (k *killer) round(i int) {
	k.t.Helper()
	verb, victim := killVerbs[k.random.IntN(len(killVerbs))], victims[k.random.IntN(len(victims))]
	args, id := k.prepare(verb)
	delay := time.Duration(k.random.Int64N(int64(k.took[verb]) * 5 / 4))
	k.what, k.killed = fmt.Sprintf("round %d: %q, after %v of %v kill %s", i, args, delay, k.took[verb], victim), nil

	p := k.begin(args...)
	if k.random.IntN(2) == 0 { // from when there is somebody to kill
		for p.running() && len(k.targets(victim, p)) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		delay /= 3
	}
	time.Sleep(delay)
	k.kill(victim, p)
	k.what += fmt.Sprintf(": %v", k.killed)
	r := p.wait()
	k.what += fmt.Sprintf("\nexit %d, %q, %q", r.code, r.out, r.err)
	if strings.Contains(r.err, "panic") || strings.Contains(r.err, "goroutine ") {
		k.t.Fatalf("%s\npanic", k.what)
	}
	list := k.truth()
	k.believe(verb, r, id, list)
	if r := k.try("system", "check"); r.code != 0 {
		k.t.Errorf("%s\nleaked: %s", k.what, r)
	}
	k.clear()
}

// kill sends SIGKILL to the victim, as far as it exists at this moment, and
// waits for its end.
func (k *killer) kill(victim string, client *process) {
	k.t.Helper()
	if victim == "all" || strings.Contains(victim, "client") {
		client.cmd.Process.Kill()
		k.killed = append(k.killed, client.cmd.Process.Pid)
	}
	targets := k.targets(victim, client)
	k.random.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	var dying []unix.PollFd
	for _, pid := range targets {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		defer unix.Close(fd)
		if unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil {
			k.killed = append(k.killed, pid)
			dying = append(dying, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	for _, one := range dying {
		k.eventually("a killed process ends: "+k.what, func() bool {
			n, _ := unix.Poll([]unix.PollFd{one}, 10)
			return n == 1
		})
	}
}

// targets are the victim's processes, the client excepted.
func (k *killer) targets(victim string, client *process) []int {
	all := victim == "all"
	var targets []int
	for group, pids := range k.groups() {
		pids = slices.DeleteFunc(pids, func(pid int) bool {
			return slices.Contains(k.spared, pid) || pid == client.cmd.Process.Pid // a thread of it forks the monitor
		})
		switch {
		case group == "monitors" && !all && !strings.Contains(victim, "monitor"),
			group != "monitors" && !all && !strings.Contains(victim, "container"):
			pids = nil
		case victim == "one of the container" && len(pids) > 1:
			pids = []int{pids[k.random.IntN(len(pids))]}
		}
		targets = append(targets, pids...)
	}
	return targets
}

// groups lists the processes in the engine's cgroups by the group's name.
func (h *host) groups() map[string][]int {
	files, _ := filepath.Glob("/sys/fs/cgroup/" + h.instance + "/*/cgroup.procs")
	if len(files) == 0 { // version 1, where the freezer is always there
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

// monitors are the containers that have a monitor, by ID, and what may become one.
func (h *host) monitors() map[string]bool {
	found := map[string]bool{}
	for _, pid := range h.groups()["monitors"] {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		argv := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		found[argv[len(argv)-1]] = true
	}
	return found
}

// living tells which of the words are in the arguments of a living shell or
// sleep of this host.
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

// sight is a container as ps and inspect tell it.
type sight struct {
	id, state, word string
	pid, code       string
}

func (k *killer) list() (list []sight) {
	k.t.Helper()
	r := k.try("ps", "-a", "--no-trunc", "--format", "{{.ID}}\t{{.State}}\t{{.Label \"word\"}}")
	if r.code != 0 || r.err != "" {
		k.t.Fatalf("%s\n%s", k.what, r)
	}
	for line := range strings.Lines(r.out) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		list = append(list, sight{id: f[0], state: f[1], word: f[2]})
	}
	return list
}

// truth compares what is said of the containers with the processes of this host,
// until nothing changes any more. While a monitor lives a change may be on its
// way, and another look is taken; of a container without one only the truth is said.
func (k *killer) truth() []sight {
	k.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		before := living(k.words)
		list := k.list()
		monitors := k.monitors()
		after := living(k.words)
		var lies []string
		settled := true
		for _, c := range list {
			says, is := c.state == "running" || c.state == "paused", after[c.word]
			delete(after, c.word)
			if says == is {
				continue
			}
			settled = false
			if !monitors[c.id] && !(says && before[c.word]) && !k.changed(c) {
				lies = append(lies, fmt.Sprintf("ps says %s of %s, its process lives: %t", c.state, c.id, is))
			}
		}
		for word := range after {
			lies = append(lies, "a process of no container: "+word)
		}
		if len(lies) > 0 || time.Now().After(deadline) {
			k.t.Fatalf("%s\nlies: %q\nmonitors: %v\nps: %v", k.what, lies, monitors, list)
		}
		if settled && k.details(list) {
			return list
		}
	}
}

// changed tells whether a container that ends by itself has done so since it was seen.
func (k *killer) changed(c sight) bool {
	k.t.Helper()
	return k.short[c.word] && !slices.ContainsFunc(k.list(), func(now sight) bool { return now.id == c.id && now.state == c.state })
}

// details compares what inspect says, and tells whether it says the same as ps did.
func (k *killer) details(list []sight) bool {
	k.t.Helper()
	for i, c := range list {
		r := k.try("inspect", "-f", "{{.State.Status}} {{.State.Running}} {{.State.Pid}} {{.State.ExitCode}}", c.id)
		f := strings.Fields(r.out)
		if len(f) != 4 || f[0] != c.state {
			return false
		}
		list[i].pid, list[i].code = f[2], f[3]
		running := c.state == "running" || c.state == "paused"
		line, _ := os.ReadFile("/proc/" + f[2] + "/cmdline")
		switch {
		case f[1] != strconv.FormatBool(running),
			(f[2] != "0") != running,
			running && !strings.Contains(string(line), c.word),
			c.state == "exited" && !slices.Contains([]string{"0", "5", "137"}, f[3]) &&
				!(f[3] == "125" && strings.Contains(k.what, `["restart"`)): // its next life did not come about
			if k.monitors()[c.id] || k.changed(c) {
				return false
			}
			k.t.Fatalf("%s\nps says %v, inspect %s\nits process: %q", k.what, c, r, line)
		}
	}
	return true
}

// believe holds what a command said against what is seen afterwards.
func (k *killer) believe(verb string, r result, id string, list []sight) {
	k.t.Helper()
	undisturbed := len(k.killed) == 0
	i := slices.IndexFunc(list, func(c sight) bool { return c.id == id })
	switch {
	case r.code <= 0: // a success, or the client was killed
	case verb == "stop" && !undisturbed && i < 0 && strings.HasSuffix(r.err, "No such container: "+id+"\n"): // by --rm, before stop looked for it
	case undisturbed, verb == "stop", verb == "rm", verb == "rm -f": // the dead are stopped and easily removed
		k.t.Errorf("%s\nfails", k.what)
	case strings.HasPrefix(verb, "run") && r.code != 125 && r.code != 137:
		k.t.Errorf("%s\nwant exit 125 or 137", k.what)
	}
	if r.code != 0 {
		return
	}
	if verb == "run -d" || verb == "create" {
		id = strings.TrimSpace(r.out)
	}
	i = slices.IndexFunc(list, func(c sight) bool { return c.id == id })
	fine := true
	switch verb {
	case "run -d", "start", "restart":
		fine = i >= 0 && (list[i].state == "running" || !undisturbed && list[i].state == "exited")
	case "pause":
		fine = i >= 0 && (list[i].state == "paused" || !undisturbed && list[i].state == "exited")
	case "create":
		fine = i >= 0 && list[i].state == "created"
	case "run --rm":
		fine = len(list) == 1
	case "exec":
		fine = strings.TrimSpace(r.out) == "said"
	case "stop":
		fine = i < 0 || list[i].state == "exited"
	case "rm", "rm -f":
		fine = i < 0
	}
	if !fine {
		k.t.Errorf("%s\nis not so\nps: %v", k.what, list)
	}
}

// clear removes all containers but one.
func (k *killer) clear() {
	k.t.Helper()
	var ids []string
	for _, c := range k.list() {
		if c.id != k.first {
			ids = append(ids, c.id)
		}
	}
	if len(ids) == 0 {
		return
	}
	if r := k.try(append([]string{"rm", "-f"}, ids...)...); r.code != 0 {
		k.t.Fatalf("%s\n%s", k.what, r)
	}
	if list := k.list(); len(list) != 1 {
		k.t.Fatalf("%s\nafter rm -f there are: %v", k.what, list)
	}
}

// unharmed looks after the container that nobody did anything to.
func (k *killer) unharmed() {
	k.t.Helper()
	equal(k.t, "bystander", k.inspect(k.first, "{{.State.Status}} {{.State.Pid}} {{.RestartCount}}"), "running "+k.pid+" 0")
	equal(k.t, "exec in the bystander", k.ok("exec", k.first, "echo", "fine"), "fine")
	k.ok("stop", k.first)
	equal(k.t, "exit code of the bystander", k.inspect(k.first, "{{.State.ExitCode}}"), "5")
}
