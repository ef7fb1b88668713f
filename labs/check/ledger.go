package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Finding is something that a check began without and ended with.
type Finding struct {
	Kind   string `json:"kind"` // process, mount, cgroup, link, rule
	Object string `json:"object"`
	// Ours: it carries the run's marker, or belonged to a container of the check. What
	// is not is somebody else's, perhaps: it is told, not counted and not removed.
	Ours bool `json:"ours"`
}

func (f Finding) String() string { return f.Kind + " " + f.Object }

// ledger is what there is on the host that an engine could leave behind.
type ledger map[Finding]bool

// take makes the ledger: the mounts of the host and of its stand-in, the cgroups of all
// hierarchies, links, packet filter rules, and the session's processes.
func (t *Trial) take() (ledger, error) {
	l := ledger{}
	stand, err := t.host.mounts()
	if err != nil {
		return nil, err
	}
	for _, m := range stand { // nobody else mounts there
		l[Finding{"mount", fmt.Sprintf("%v (mount %d of the host)", m, m.ID), true}] = true
	}
	host, err := Process{os.Getpid()}.Mounts()
	if err != nil {
		return nil, err
	}
	for _, m := range host {
		l[Finding{"mount", m.String(), t.ours(m.String() + m.Root)}] = true
	}
	for _, path := range groups() {
		l[Finding{"cgroup", path, t.ours(path)}] = true
	}
	links, err := readLinks("/proc/self/net/dev")
	if err != nil {
		return nil, err
	}
	for _, name := range links {
		l[Finding{"link", name, t.ours(name)}] = true
	}
	for _, rule := range rules() {
		l[Finding{"rule", rule, t.ours(rule)}] = true
	}
	for _, p := range t.session.processes() {
		if p.Pid != t.Control.Pid {
			words, _ := p.Cmdline()
			l[Finding{"process", fmt.Sprintf("%d (%s)", p.Pid, brief(words)), true}] = true
		}
	}
	return l, nil
}

// ours tells whether a thing's name carries the run's marker, or is a cgroup in which a
// container was seen.
func (t *Trial) ours(name string) bool {
	return strings.Contains(name, t.session.marker) || t.session.cgroups[name]
}

// rules are the packet filter's rules, by nft(8) and by the older programs, as far as
// they are installed.
func rules() (lines []string) {
	for _, command := range [][]string{{"nft", "-s", "list", "ruleset"}, {"iptables-legacy-save"}, {"ip6tables-legacy-save"}} {
		out, err := exec.Command(command[0], command[1:]...).Output()
		if err != nil {
			continue
		}
		table := ""
		for line := range strings.Lines(string(out)) {
			text := strings.TrimSpace(line)
			if strings.HasPrefix(text, "table ") || strings.HasPrefix(text, "*") {
				table = text
			}
			if text != "" && text != "}" && text[0] != '#' && text[0] != ':' {
				lines = append(lines, strings.Join([]string{command[0], table, text}, " "))
			}
		}
	}
	return lines
}

// remember keeps in which cgroups of its own a container is: they are to go with it.
func (t *Trial) remember(p Process) error {
	own, err := p.Cgroups()
	if err != nil {
		return nil // it has ended
	}
	control, err := t.Control.Cgroups()
	if err != nil {
		return err
	}
	host, err := Process{os.Getpid()}.Mounts()
	if err != nil {
		return err
	}
	for controller, path := range own {
		if path == control[controller] || path == "/" {
			continue
		}
		for _, m := range host {
			if m.Type == "cgroup2" && controller == "" || m.Type == "cgroup" && controller != "" && m.Controls(controller) {
				group := filepath.Join(m.Point, path)
				if t.before[Finding{"cgroup", group, false}] { // not made for this container, and not ours to remove
					continue
				}
				if err := t.session.remember(group); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Controls tells whether a mount of cgroup v1 has a controller, which its options name.
func (m Mount) Controls(controller string) bool { return slices.Contains(m.super, controller) }

// left compares what there is now with the ledger, until nothing more goes away.
func (t *Trial) left(before ledger) (findings []Finding, err error) {
	wait := t.patience
	if len(t.session.left) > 0 { // it is one that leaves things
		wait /= 10
	}
	var idle map[string]bool // siblings that were there and empty all the time
	poll(wait, func() bool {
		findings = nil
		still := map[string]bool{}
		var now ledger
		if now, err = t.take(); err != nil {
			return true
		}
		for f := range now {
			if before[f] || before[Finding{f.Kind, f.Object, !f.Ours}] {
				continue
			}
			if f.Kind == "cgroup" && !f.Ours && (idle == nil || idle[f.Object]) && t.session.akin(f.Object) && empty(f.Object) {
				f.Ours, still[f.Object] = alone(), true
			}
			findings = append(findings, f)
		}
		idle = still
		return !slices.ContainsFunc(findings, func(f Finding) bool { return f.Ours })
	})
	t.session.mu.Lock()
	defer t.session.mu.Unlock()
	for path := range idle {
		t.session.suspect[path] = time.Now()
	}
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return findings, err
}

// brief shows words on a line of their own.
func brief(words []string) string {
	text := strings.Join(strings.Fields(strings.ReplaceAll(strings.Join(words, " "), Probe, "PROBE")), " ")
	if len(text) > 200 {
		text = text[:197] + "..."
	}
	return text
}
