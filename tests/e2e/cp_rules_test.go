package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Both ends of each rule start as these trees; what is copied from is in s, what
// is copied to in d.
const cpTrees = `
rm -rf s d; mkdir -p s/dir/sub d/dir d/empty
echo f >s/file; echo g >s/dir/g; echo h >s/dir/sub/h; echo old >d/file
ln -s file s/lf; ln -s dir s/ld; ln -s nowhere s/lb; ln -s $PWD/s/file s/laf; mkfifo s/fifo
ln -s dir d/ld; ln -s file d/lf; ln -s nowhere d/lb; ln -s $PWD/d/nodir/x d/lbb
cd d; `

// cpShape lists a tree: directories end in /, files have =content, links @target.
const cpShape = `find . -mindepth 1 | sort | while read -r f; do n=${f#./}
if [ -L "$f" ]; then echo "$n@$(readlink "$f")"; elif [ -d "$f" ]; then echo "$n/"; elif [ -p "$f" ]; then echo "$n|"; else echo "$n=$(cat "$f")"; fi; done`

// cpRules are Docker's path rules. What happens was asked of docker 20.10 with the
// client 28.2, by these same lines, and is the same in both directions.
var cpRules = []struct{ flags, source, target, changed string }{
	{"", "s/file", "d/new", "new=f"},
	{"", "s/file", "d/new/", "no such directory"},
	{"", "s/file", "d/new/.", "no such directory"},
	{"", "s/file", "d/dir", "dir/file=f"},
	{"", "s/file", "d/dir/", "dir/file=f"},
	{"", "s/file", "d/dir/.", "dir/file=f"},
	{"", "s/file", "d/file", "file=f"},
	{"", "s/file", "d/ld", "dir/file=f"},
	{"", "s/file", "d/lf", "file=f"},
	{"", "s/file", "d/lb", "nowhere=f"},
	{"", "s/file", "d/../d/dir/../up", "up=f"},
	{"", "s/file/", "d/new", "not a directory"},
	{"", "s/file/.", "d/new", "not a directory"},
	{"", "s/none", "d/dir", "s/none"},
	{"", "s/dir", "d/new", "new/ new/g=g new/sub/ new/sub/h=h"},
	{"", "s/dir", "d/new/", "new/ new/g=g new/sub/ new/sub/h=h"},
	{"", "s/dir", "d/dir", "dir/dir/ dir/dir/g=g dir/dir/sub/ dir/dir/sub/h=h"},
	{"", "s/dir/", "d/dir", "dir/dir/ dir/dir/g=g dir/dir/sub/ dir/dir/sub/h=h"},
	{"", "s/dir/.", "d/dir", "dir/g=g dir/sub/ dir/sub/h=h"},
	{"", "s/dir/.", "d/new", "new/ new/g=g new/sub/ new/sub/h=h"},
	{"", "s/dir", "d/file", "cannot copy directory"},
	{"", "s/dir/.", "d/file", "cannot copy directory"},
	{"", "s/dir", "d/lf", "cannot copy directory"},
	{"", "s/lf", "d/new", "new@file"},
	{"", "s/lf", "d/dir", "dir/lf@file"},
	{"", "s/lb", "d/dir", "dir/lb@nowhere"},
	{"", "s/ld", "d/new", "new@dir"},
	{"", "s/ld", "d/dir", "dir/ld@dir"},
	{"", "s/ld/", "d/dir", "dir/ld/ dir/ld/g=g dir/ld/sub/ dir/ld/sub/h=h"},
	{"", "s/ld/.", "d/dir", "dir/g=g dir/sub/ dir/sub/h=h"},
	{"", "s/fifo", "d/dir", "dir/fifo|"},
	{"", "s/dir/.", "d/empty/x", "empty/x/ empty/x/g=g empty/x/sub/ empty/x/sub/h=h"},
	{"-L", "s/lf", "d/new", "new=f"},
	{"-L", "s/lf", "d/dir", "dir/lf=f"},
	{"-L", "s/laf", "d/dir", "dir/laf=f"},
	{"-L", "s/ld", "d/dir", "dir/ld/ dir/ld/g=g dir/ld/sub/ dir/ld/sub/h=h"},
	{"-L", "s/ld/", "d/dir", "dir/ld/ dir/ld/g=g dir/ld/sub/ dir/ld/sub/h=h"},
	{"-L", "s/ld/.", "d/dir", "dir/g=g dir/sub/ dir/sub/h=h"},
	{"-L", "s/ld", "d/new", "new/ new/g=g new/sub/ new/sub/h=h"},
	{"-L", "s/lb", "d/dir", "s/lb"},
	{"-a", "s/dir/sub", "d", "sub/ sub/h=h"},
}

// TestCpRules also copies with paths in the container that are relative to /.
func TestCpRules(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
	here := filepath.Dir(h.root) + "/here"
	if err := os.Mkdir(here, 0o755); err != nil {
		t.Fatal(err)
	}
	inside := func(script string) string { return h.ok("exec", "-w", "/", "c1", "sh", "-c", script) }
	outside := func(script string) string {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = here
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(string(out), "\n")
	}
	for _, rule := range cpRules {
		for _, to := range []bool{true, false} {
			before, look := inside(cpTrees+cpShape), outside
			outside(cpTrees)
			source, target := "c1:"+rule.source, rule.target
			if to {
				source, target, look = rule.source, "c1:"+rule.target, inside
			} else {
				before = outside("cd d; " + cpShape)
			}
			args := append([]string{"cp"}, append(strings.Fields(rule.flags), source, target)...)
			cmd := h.command(args...)
			cmd.Dir = here
			said, err := cmd.CombinedOutput()
			var changed []string
			for _, line := range strings.Split(look("cd d; "+cpShape), "\n") {
				if !slices.Contains(strings.Split(before, "\n"), line) {
					changed = append(changed, line)
				}
			}
			got := strings.Join(changed, " ")
			if err != nil && got == "" && cmd.ProcessState.ExitCode() == 1 && strings.Contains(string(said), rule.changed) {
				continue
			}
			if err != nil || got != rule.changed || len(said) > 0 {
				t.Errorf("%v: %v %q: got %q, want %q", args, err, said, got, rule.changed)
			}
		}
	}
}

// TestCpErrors is what Docker answers where the directions differ.
func TestCpErrors(t *testing.T) {
	h := newHost(t)
	h.ok("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
	h.ok("exec", "c1", "mkdir", "-p", "/d/f", "/full/x/y")
	dir := h.dir("here")
	h.dir("here/d/x")
	for _, rule := range []struct{ source, target, says string }{
		{dir + "/f", "c1:/no/x", "Error: Could not find the file /no in container c1"},
		{dir + "/f", "c1:/bin/busybox/x", "Error: extraction point is not a directory"},
		{dir + "/none", "c1:/", "lstat " + dir + "/none: no such file or directory"},
		{dir + "/f", "c1:/d", `cannot overwrite directory "/d/f" with non-directory "/d"`},
		{dir, "c1:/bin/busybox", "cannot copy directory"},
		{dir + "/f", "c1:", "no such directory"},
		{dir + "/f", "c1:/etc/hosts", "unlinkat: device or resource busy"},
		{dir + "/f", "none:/", "Error: No such container: none"},
		{"c1:/none", dir, "Error: Could not find the file /none in container c1"},
		{"c1:/bin/busybox", dir + "/no/x", `invalid output path: directory "` + dir + `/no" does not exist`},
		{"c1:/bin/busybox", "/dev/null", `invalid output path: "/dev/null" must be a directory or a regular file: got a device`},
		{"c1:/bin/busybox", dir + "/f/", "stat " + dir + "/f/: not a directory"},
		{"c1:", dir, "Error: bad parameter: path cannot be empty"},
		{"none:/x", dir, "Error: No such container: none"},
		{"c1:/a", "c1:/b", "copying between containers is not supported"},
		{dir, dir, "must specify at least one container source"},
		{"", "c1:/", "source can not be empty"},
		{dir, "", "destination can not be empty"},
		{"-", "c1:/none", `destination "c1:/none" must be a directory`},
	} {
		if r := h.try("cp", rule.source, rule.target); r.code != 1 || r.out != "" || !strings.Contains(r.err, rule.says) {
			t.Errorf("want %q: %s", rule.says, r)
		}
	}
	if hosts := h.ok("exec", "c1", "cat", "/etc/hosts"); !strings.Contains(hosts, "localhost") {
		t.Errorf("/etc/hosts is no longer the engine's: %q", hosts)
	}
	equal(t, "copied by errors", h.ok("exec", "c1", "find", "/d"), "/d\n/d/f")
}
