package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// After the death of a monitor the next command leaves nothing of what it had:
// no veth, no rule, no port; and what others have stays.
func TestNetworkKillMonitor(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
	s.serves("bystander", "--network", "nn", "-p", s.port(0)+":80")
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	s.ok("run", "--rm", "busybox", "true") // makes the default bridge
	s.eventually("its link goes", func() bool { return !strings.Contains(s.script("ip -o link"), prefix+"v1") })
	count := len(s.traces(prefix))
	for _, next := range []string{"ps -a", "rm -f web", "start web", "run --rm busybox true", "network inspect nn", "system check --repair"} {
		s.serves("web", "--network", "nn", "-p", s.port(1)+":80", "-p", s.port(1)+":80/udp")
		address := s.address("web", "nn")
		s.client.reaches("tcp", s.client.gateway+":"+s.port(1), "web")
		killMonitor(s.host, "web")
		s.eventually("the kernel takes the port back", func() bool {
			l, err := net.Listen("tcp", ":"+s.port(1))
			if err == nil {
				l.Close()
			}
			return err == nil
		})
		s.ok(strings.Fields(next)...)
		if next != "start web" {
			s.eventuallyOr(func() string {
				return fmt.Sprintf("after %s there are more than %d traces\n%s", next, count, strings.Join(s.traces(prefix), "\n"))
			}, func() bool { return len(s.traces(prefix)) <= count })
			rules := s.script("nft list table inet " + s.instance)
			if strings.Contains(rules, s.port(1)) || strings.Contains(rules, address+" ") {
				t.Errorf("after %s there is still a rule: %s", next, rules)
			}
			s.client.isCutOff("tcp", s.client.gateway+":"+s.port(1))
			s.client.isCutOff("udp", s.client.gateway+":"+s.port(1))
		} else {
			s.eventually("it answers", func() bool {
				name, _, err := s.client.ask("tcp", s.client.gateway+":"+s.port(1), limit)
				return err == nil && name == "web"
			})
		}
		if !strings.HasPrefix(next, "run") { // which looks at the dead one's network, not at the dead one
			s.ok("system", "check")
		}
		s.client.reaches("tcp", s.client.gateway+":"+s.port(0), "bystander")
		s.resolved(t, "bystander", "bystander", s.address("bystander", "nn"))
		s.try("rm", "-f", "web")
	}
	// All at once, as in a crash of all of them.
	for i := range 5 {
		s.ok("run", "-d", "--name", fmt.Sprint("victim", i), "-p", s.port(2+i)+":80", "busybox", "sleep", "1000")
	}
	killAll(s.host)
	s.ok("ps", "-a")
	s.eventuallyOr(func() string { return "left:\n" + s.script("nft list ruleset") }, func() bool { return !s.table() })
	s.ok("start", "bystander")
	s.isUp("bystander")
	s.client.reaches("tcp", s.client.gateway+":"+s.port(0), "bystander")
}

// After a reboot there are no links, rules and leases of the run directory, and
// the next start makes them.
func TestNetworkReboot(t *testing.T) {
	s := newSite(t)
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "--label", "one=1", "nn")
	s.serves("web", "--network", "nn", "--network-alias", "al", "-p", s.port(0)+":80")
	s.serves("fixed", "--network", "nn", "--ip", s.addr(100))
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	before := s.ok("network", "inspect", "-f", "{{.Id}} {{.Created}} {{.Labels}} {{.IPAM.Config}}", "nn")
	powerOff(s.host)
	for _, line := range s.traces(prefix) {
		if f := strings.Fields(line); len(f) > 2 && strings.HasSuffix(f[0], ":") {
			s.tool("ip", "link", "del", strings.TrimSuffix(strings.SplitN(f[1], "@", 2)[0], ":")).Run()
		}
	}
	s.tool("nft", "delete", "table", "inet", s.instance).Run()
	equal(t, "network", s.ok("network", "inspect", "-f", "{{.Id}} {{.Created}} {{.Labels}} {{.IPAM.Config}}", "nn"), before)
	equal(t, "containers", s.ok("network", "inspect", "-f", "{{len .Containers}}", "nn"), "0")
	s.ok("start", "web", "fixed")
	s.isUp("web")
	s.eventually("it answers", func() bool {
		name, _, err := s.client.ask("tcp", s.client.gateway+":"+s.port(0), limit)
		return err == nil && name == "web"
	})
	equal(t, "address", s.address("fixed", "nn"), s.addr(100))
	s.resolved(t, "fixed", "al", s.address("web", "nn"))
}

// The commands on networks are killed at random moments, as in kill_test.go: what
// is left tells the truth, leaks nothing, and disturbs nobody.
//
// MYDOCKER_KILL_SEED sets the seed.
func TestNetworkKillAtRandomMoments(t *testing.T) {
	rounds, seed := 80, uint64(time.Now().UnixNano())
	if testing.Short() {
		rounds = 16
	}
	if text := os.Getenv("MYDOCKER_KILL_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	s := newSite(t)
	t.Logf("MYDOCKER_KILL_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	k := &killer{host: s.host, random: random, took: map[string]time.Duration{}}
	s.ok("network", "create", "--subnet", s.subnet("64/26"), "nn")
	s.ok("network", "create", "--subnet", s.subnet("128/26"), "mm")
	s.serves("bystander", "--network", "nn", "-p", s.port(0)+":80")
	for _, pids := range s.groups() {
		k.spared = append(k.spared, pids...)
	}
	prefix := strings.TrimSuffix(s.bridge("bridge"), "0")
	links := func() (n int) {
		for _, line := range s.traces(prefix) {
			if strings.Contains(line, prefix+"v") && strings.Contains(line, "mtu") {
				n++
			}
		}
		return n
	}
	create := strings.Fields("--name cc --network nn -p " + s.port(1) + ":80 -p 80/udp busybox sleep 1000")
	verbs := []string{"run -d", "run --rm", "create", "start cc", "stop -t 0 cc", "rm -f cc", "restart -t 0 cc", "network connect mm cc", "network disconnect nn cc", "network create new", "network rm new"}
	for i := range rounds {
		verb := verbs[random.IntN(len(verbs))]
		args := strings.Fields(verb)
		switch verb {
		case "run -d", "create":
			args = append(args, create...)
		case "run --rm":
			args = append(append(args, create[:len(create)-2]...), "true")
		case "start cc":
			s.ok(append([]string{"create"}, create...)...)
		case "network create new":
		case "network rm new":
			s.ok("network", "create", "new")
		default:
			s.ok(append([]string{"run", "-d"}, create...)...)
		}
		delay := time.Duration(random.Int64N(int64(40 * time.Millisecond)))
		if took := k.took[verb]; took > 0 {
			delay = time.Duration(random.Int64N(int64(took) * 5 / 4))
		}
		victim := victims[random.IntN(len(victims))]
		k.what, k.killed = fmt.Sprintf("round %d: %q, after %v kill %s", i, args, delay, victim), nil
		began := time.Now()
		p := s.begin(args...)
		time.Sleep(delay)
		k.kill(victim, p)
		r := p.wait()
		if len(k.killed) == 0 && r.code == 0 {
			k.took[verb] = time.Since(began)
		}
		k.what += fmt.Sprintf(": %v\n%s", k.killed, r)
		if strings.Contains(r.err, "panic") || strings.Contains(r.err, "goroutine ") {
			t.Fatal(k.what)
		}
		if len(k.killed) == 0 && r.code != 0 {
			t.Errorf("%s\nfails", k.what)
		}
		if verb == "network create new" { // a lease without a network goes with the next creation
			s.ok("network", "create", "next")
			s.ok("network", "rm", "next")
		}
		state := s.ok("ps", "-a", "--filter", "name=cc", "--format", "{{.State}}")
		if r := s.try("system", "check"); r.code != 0 {
			t.Fatalf("%s\nleaked: %s", k.what, r)
		}
		if state == "running" { // then it has what it should have
			networks := s.try("inspect", "-f", "{{range $name, $n := .NetworkSettings.Networks}}{{$n.IPAddress}} {{end}}", "cc") // unless it has gone, by --rm
			for address := range strings.FieldsSeq(networks.out) {
				if r := s.try("exec", "cc", "ip", "-4", "-o", "addr"); r.code == 0 && !strings.Contains(r.out, " "+address+"/") { // else it is just ending
					t.Errorf("%s\n%s is not at any interface", k.what, address)
				}
			}
		}
		s.client.reaches("tcp", s.client.gateway+":"+s.port(0), "bystander")
		s.resolved(t, "bystander", "bystander", s.address("bystander", "nn"))
		s.try("rm", "-f", "cc")
		s.try("network", "rm", "new")
		s.eventuallyOr(func() string { return k.what + "\nveths:\n" + strings.Join(s.traces(prefix), "\n") }, func() bool { return links() == 1 })
		l, err := net.Listen("tcp", ":"+s.port(1))
		if err != nil {
			t.Fatalf("%s\nthe port is not free: %v", k.what, err)
		}
		l.Close()
		if rules := s.script("nft list table inet " + s.instance); strings.Contains(rules, s.port(1)) {
			t.Errorf("%s\nrules: %s", k.what, rules)
		}
		if t.Failed() {
			return
		}
	}
}
