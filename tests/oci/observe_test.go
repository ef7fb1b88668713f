package oci

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// observation is all that a test sees of a container, from inside and from
// outside, by keys that are the same for every runtime.
type observation map[string]string

// row is a setting of config.md or config-linux.md.
type row struct {
	name    string
	edit    func(*box)
	flags   []string          // of create
	files   []string          // what the process in the container reads and, with +, writes
	oracle  *runtime          // nil: runc
	only    []string          // beginnings of the keys that are compared; nil: all
	want    map[string]string // what certain keys must be, with either runtime
	differs map[string]string // beginnings of keys that differ, and why
	base    bool              // it is the container without a setting
	plain   bool              // nothing differs from the container without the setting
}

// none is the oracle of what neither runc 1.1 nor crun 1.8 know.
var none = &runtime{name: "none"}

// everywhere differs, between any two runtimes.
var everywhere = map[string]string{
	"session keyring":      "its name is the runtime's own; see TestKeyring",
	"status SigIgn":        "runc passes on what whoever called it ignores",
	"mount /sys/fs/cgroup": "ours is read-only where that is asked for; runc leaves the tmpfs of version 1 writable",
}

// compare runs the row's container with its oracle and with the runtime under test.
func (r row) compare(t *testing.T) {
	t.Parallel()
	oracle := &runc
	if r.oracle != nil {
		oracle = r.oracle
	}
	seen := map[*runtime]observation{}
	for _, rt := range []*runtime{oracle, &tested} {
		if rt == none {
			continue
		}
		t.Run(rt.name, func(t *testing.T) {
			got := r.observe(t, *rt)
			seen[rt] = got
			for key, want := range r.want {
				equal(t, key, got[key], want)
			}
		})
	}
	if oracle == none || seen[oracle] == nil || seen[&tested] == nil {
		return
	}
	if base := plain(t, *oracle); !r.plain && base != nil && cmp.Equal(seen[oracle], base) {
		t.Errorf("%s shows no difference from a container without the setting", oracle.name)
	}
	// What differs without the setting the row "default" tells, and no other.
	known := func(string) bool { return false }
	if !r.base {
		a, b := plain(t, *oracle), plain(t, tested)
		known = func(key string) bool {
			return a[key] != b[key] && a[key] == seen[oracle][key] && b[key] == seen[&tested][key]
		}
	}
	chosen := func(o observation) observation {
		o = maps.Clone(o)
		maps.DeleteFunc(o, func(key, _ string) bool {
			begins := func(p string) bool { return strings.HasPrefix(key, p) }
			return known(key) || slices.ContainsFunc(slices.Collect(maps.Keys(r.differs)), begins) || r.only != nil && !slices.ContainsFunc(r.only, begins) ||
				slices.ContainsFunc(slices.Collect(maps.Keys(everywhere)), begins)
		})
		return o
	}
	if diff := differences(chosen(seen[oracle]), chosen(seen[&tested])); diff != "" {
		t.Errorf("-%s +%s:\n%s", oracle.name, tested.name, diff)
	}
}

// differences names the keys that differ; where one of the two runtimes refuses,
// that alone.
func differences(want, got observation) string {
	var text strings.Builder
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, refused := range []string{"create", "start"} {
		if all[refused] != "" && want[refused] != got[refused] {
			return fmt.Sprintf("  %s: -%q +%q", refused, want[refused], got[refused])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if want[key] != got[key] {
			fmt.Fprintf(&text, "  %s: -%q +%q\n", key, want[key], got[key])
		}
	}
	return text.String()
}

var (
	plainMutex sync.Mutex
	plains     = map[string]observation{}
)

// plain is a container's observation without any setting.
func plain(t *testing.T, rt runtime) observation {
	plainMutex.Lock()
	defer plainMutex.Unlock()
	if plains[rt.name] == nil {
		plains[rt.name] = row{edit: func(*box) {}}.observe(t, rt)
	}
	return plains[rt.name]
}

// observe makes the row's container, looks at it, kills and deletes it.
func (r row) observe(t *testing.T, rt runtime) observation {
	b := newBox(t, rt)
	b.spec.Process.Args = append(b.spec.Process.Args, r.files...)
	r.edit(b)
	seen := observation{}
	if made := b.create(r.flags...); made.code != 0 {
		t.Logf("%s", made)
		if made.err == "" {
			t.Error("a failure without a word")
		}
		return observation{"create": "refused"}
	}
	if started := b.try("start", b.id); started.code != 0 {
		t.Logf("%s", started)
		return observation{"start": "refused"}
	}
	reports := strings.HasSuffix(b.spec.Process.Args[0], "/report")
	if !reports {
		seen["exit"] = fmt.Sprint(b.wait())
		seen["stdout"] = b.stdout()
	} else {
		b.eventually("a report", func() bool { return strings.HasSuffix(b.stdout(), "}\n") })
		if err := json.Unmarshal([]byte(b.stdout()), &seen); err != nil {
			t.Fatal(err)
		}
		outside(b.pid, seen)
		seen["state"] = string(b.state().Status)
		if killed := b.try("kill", b.id, "KILL"); killed.code != 0 {
			t.Errorf("%s", killed)
		}
		seen["exit"] = fmt.Sprint(b.wait())
	}
	b.ok("delete", b.id)
	pid := fmt.Sprint(b.pid)
	hostNetwork, _ := os.Readlink("/proc/self/ns/net")
	ownNetwork := seen["ns net"]
	for key, value := range seen {
		if strings.Contains(key, "escape") { // a hierarchy that another test has mounted
			delete(seen, key)
			continue
		}
		if strings.HasPrefix(key, "network ") && ownNetwork == hostNetwork {
			delete(seen, key) // the host's, which changes
			continue
		}
		if value == pid { // without a namespace for it
			value = "PID"
		}
		if file, ok := strings.CutPrefix(value, b.dir+"/"); ok && strings.HasPrefix(key, "fd ") { // a name by chance
			_, owner, _ := strings.Cut(file, " ")
			value = "a file of the bundle " + owner
		}
		value = strings.Replace(value, ",inode64)", ")", 1) // by the kernel's configuration
		if strings.Contains(value, "tmpfs /null of ") {     // runc takes the container's, which is writable, ours the host's
			value = "masked by /dev/null"
		} else if strings.HasPrefix(value, "tmpfs / of tmpfs ro,") && (strings.HasSuffix(value, "(ro)") || strings.Contains(value, "nr_inodes=1)")) {
			value = "masked by an empty directory" // which in ours is nosuid, nodev and noexec too
		}
		value = strings.NewReplacer(b.dir, "BUNDLE", filepath.Base(b.dir), "BUNDLE", b.id, "ID").Replace(value)
		if name, ok := strings.CutPrefix(key, "ns "); ok {
			if host, _ := os.Readlink("/proc/self/ns/" + name); host == value {
				value = "the host's"
			} else {
				value = "another"
			}
		}
		seen[key] = value
	}
	return seen
}

// outside adds what the host sees of a process: its cgroups with all their settings.
func outside(pid int, seen observation) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		controller := strings.TrimPrefix(fields[1], "name=")
		seen["host cgroup "+controller] = fields[2]
		dir := "/sys/fs/cgroup/" + controller + fields[2]
		if controller == "" {
			if dir = "/sys/fs/cgroup/unified" + fields[2]; unix.Access(dir, unix.F_OK) != nil {
				dir = "/sys/fs/cgroup" + fields[2]
			}
		}
		if fields[2] == "/" {
			continue
		}
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			if value, err := os.ReadFile(dir + "/" + f.Name()); err == nil && isSetting(f.Name()) {
				lines := strings.Split(strings.TrimSpace(string(value)), "\n")
				slices.Sort(lines)
				// runc lets every container have tun.
				lines = slices.DeleteFunc(lines, func(l string) bool { return l == "c 10:200 rwm" && controller == "devices" })
				seen["host "+controller+"/"+f.Name()] = strings.Join(lines, "\n")
			}
		}
	}
}

// isSetting tells which files of a cgroup say what was asked for, and not what happens.
func isSetting(name string) bool {
	for _, part := range []string{"usage", "stat", "events", "procs", "tasks", "threads", "failcnt", "current", "peak", "pressure", "io_service", "io_merged", "io_queued", "io_wait", "sectors", "blkio.time", "numa", "effective", "kmem.slabinfo", "cgroup.clone_children", "memory_pressure"} {
		if strings.Contains(name, part) {
			return false
		}
	}
	return true
}
