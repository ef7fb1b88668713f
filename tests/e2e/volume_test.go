package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// data is the directory of a volume's data on the host.
func (h *host) data(name string) string { return filepath.Join(h.root, "volumes", name, "_data") }

// withContent makes the image "content", which declares /data a volume.
func (h *host) withContent() {
	h.t.Helper()
	h.ok("run", "--name", "maker", "busybox", "sh", "-c", `mkdir -p /data/sub && echo hi >/data/f && ln /data/f /data/sub/g && ln -s /etc /data/out &&
		ln -s /data /link && ln -s ../../../../../../etc /up && touch -d '2020-01-02 03:04:05' /data/sub && chown -R 33:44 /data && chmod 1770 /data`)
	tar := h.dir("") + "/content.tar"
	h.ok("export", "-o", tar, "maker")
	h.ok("import", "-c", "VOLUME /data", "-c", `CMD ["sh"]`, tar, "content")
	h.ok("rm", "maker")
}

func TestVolumeCommands(t *testing.T) {
	h := newHost(t)
	equal(t, "create", h.ok("volume", "create", "--label", "app=db", "data"), "data")
	equal(t, "create again", h.ok("volume", "create", "data"), "data")
	anonymous := h.ok("volume", "create")
	if len(anonymous) != 64 {
		t.Errorf("an anonymous volume is called %s", anonymous)
	}
	for _, test := range []struct {
		words string
		args  []string
	}{
		{"create a: volume name is too short, names should be at least two alphanumeric characters", []string{"create", "a"}},
		{`create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`, []string{"create", "a/b"}},
		{`"../x" includes invalid`, []string{"create", "../x"}}, {`".new-x" includes invalid`, []string{"create", ".new-x"}},
		{`create vv: error looking up volume plugin foo: plugin "foo" not found`, []string{"create", "-d", "foo", "vv"}},
		{`create vv: invalid option: "foo"`, []string{"create", "-o", "foo=bar", "vv"}},
		{`create vv: missing required option: "device"`, []string{"create", "-o", "type=tmpfs", "vv"}},
		{"conflicting options: cannot specify a volume-name through both --name and as a positional arg", []string{"create", "--name", "vv", "vv"}},
		{"get nope: no such volume", []string{"inspect", "nope"}}, {"get nope: no such volume", []string{"rm", "nope"}},
		{"get ../names: no such volume", []string{"rm", "../names"}}, {"get .: no such volume", []string{"rm", "."}},
		{"invalid filter 'bad'", []string{"ls", "--filter", "bad=1"}}, {"invalid filter 'dangling=[x]'", []string{"ls", "--filter", "dangling=x"}},
	} {
		h.fails(1, []string{test.words}, append([]string{"volume"}, test.args...)...)
	}
	equal(t, "inspect", h.ok("volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Scope}} {{.Mountpoint}} {{json .Labels}} {{json .Options}}", "data"),
		"data local local "+h.data("data")+` {"app":"db"} null`)
	equal(t, "inspect of anything", h.ok("inspect", "-f", "{{.Name}}", "data"), "data")
	equal(t, "inspect --type", h.ok("inspect", "--type", "volume", "-f", "{{.Name}}", "data"), "data")
	h.ok("create", "--name", "user", "-v", "used:/x", "busybox")
	for filter, want := range map[string]string{
		"": anonymous + "\ndata\nused", "name=dat": "data", "name=^.ata$": "data", "name=^ata": "", "label=app": "data", "label=app=db": "data", "label=app=web": "", "driver=other": "", "dangling=false": "used",
		"dangling=true": anonymous + "\ndata",
	} {
		got, list := strings.Fields(h.ok("volume", "ls", "-q", "--filter", filter)), strings.Fields(want)
		slices.Sort(list)
		slices.Sort(got)
		equal(t, "--filter "+filter, strings.Join(got, " "), strings.Join(list, " "))
	}
	equal(t, "format", h.ok("volume", "ls", "--filter", "name=data", "--format", `{{.Name}} {{.Label "app"}} {{.Links}} {{.Size}}`), "data db N/A N/A")
	equal(t, "table", h.ok("volume", "ls", "--filter", "name=data"), "DRIVER    VOLUME NAME\nlocal     data")
	h.ok("volume", "create", "v10")
	h.ok("volume", "create", "v9")
	equal(t, "order", h.ok("volume", "ls", "-q", "--filter", "name=^v"), "v9\nv10")
	equal(t, "format wins", h.ok("volume", "ls", "-q", "--filter", "name=v9", "--format", "{{.Driver}}"), "local")
	h.ok("volume", "rm", "v9", "v10")
	equal(t, "rm -f", h.ok("volume", "rm", "-f", "nope"), "nope")

	user := h.inspect("user", "{{.Id}}")
	h.fails(1, []string{"remove used: volume is in use - [" + user + "]"}, "volume", "rm", "used")
	h.fails(1, []string{"remove used: volume is in use"}, "volume", "rm", "-f", "used")
	equal(t, "prune", h.ok("volume", "prune", "-f"), "Deleted Volumes:\n"+anonymous+"\n\nTotal reclaimed space: 0B")
	equal(t, "prune -a, filtered", h.ok("volume", "prune", "-af", "--filter", "label!=app"), "Total reclaimed space: 0B")
	h.fails(1, []string{"conflicting options: cannot specify both --all and --filter all=1"}, "volume", "prune", "-a", "--filter", "all=1")
	equal(t, "prune -a", h.ok("volume", "prune", "-af"), "Deleted Volumes:\ndata\n\nTotal reclaimed space: 0B")
	h.ok("rm", "-v", "user")
	equal(t, "named volumes stay", h.ok("volume", "ls", "-q"), "used")
	equal(t, "rm", h.ok("volume", "rm", "used"), "used")
}

// What a container has in which place, and who wins: -v and --mount, then
// --volumes-from, then the image's VOLUME.
func TestVolumeMounts(t *testing.T) {
	h := newHost(t)
	h.withContent()
	h.ok("run", "--name", "c1", "-v", "named:/x", "-v", "/anon", "-v", "/anon", "-v", "locked:/y:ro", "-v", "raw:/etc:nocopy",
		"--mount", "type=volume,src=mm,dst=/m,volume-label=a=b", "-v", "named:/again", "content", "sh", "-c", "echo 1 >/x/f; cat /again/f")
	template := `{{range .Mounts}}{{if eq .Destination %q}}{{.Type}} {{.Name}} {{.Source}} {{.Driver}} [{{.Mode}}] {{.RW}} [{{.Propagation}}]{{end}}{{end}}`
	point := func(ref, at string) string {
		return h.inspect(ref, strings.Replace(template, "%q", `"`+at+`"`, 1))
	}
	equal(t, "-v", point("c1", "/x"), "volume named "+h.data("named")+" local [z] true []")
	equal(t, "-v :ro", point("c1", "/y"), "volume locked "+h.data("locked")+" local [ro] false []")
	equal(t, "-v :nocopy", point("c1", "/etc"), "volume raw "+h.data("raw")+" local [nocopy] true []")
	equal(t, "--mount", point("c1", "/m"), "volume mm "+h.data("mm")+" local [z] true []")
	for _, at := range []string{"/anon", "/data"} {
		name := strings.Fields(point("c1", at))[1]
		equal(t, "anonymous", point("c1", at), "volume "+name+" "+h.data(name)+" local [] true []")
		equal(t, "its label", h.ok("volume", "inspect", "-f", "{{json .Labels}}", name), `{"com.docker.volume.anonymous":""}`)
	}
	equal(t, "output", h.ok("logs", "c1"), "1")
	if got := entries(t, h.data("raw")); strings.Contains(got, "passwd") {
		t.Errorf("nocopy: %s", got)
	}
	equal(t, "label of --mount", h.ok("volume", "inspect", "-f", "{{.Labels.a}}", "mm"), "b")

	// The heir's own /x replaces the donor's; the donor may go.
	h.ok("create", "--name", "heir", "--volumes-from", "c1:ro", "-v", "other:/x", "content", "sh", "-c", "ls /data; touch /data/n")
	equal(t, "own", strings.Fields(point("heir", "/x"))[1], "other")
	equal(t, "inherited", point("heir", "/data"), strings.Replace(point("c1", "/data"), "true", "false", 1))
	anonymous := strings.Fields(point("c1", "/data"))[1]
	h.ok("rm", "-v", "c1")
	r := h.try("start", "-a", "heir")
	if r.code == 0 || !strings.Contains(r.err, "Read-only file system") || r.out != "f\nout\nsub\n" {
		t.Errorf("the heir: %s", r)
	}
	h.ok("rm", "-v", "heir") // the last one that has them
	h.fails(1, []string{"no such volume"}, "volume", "inspect", anonymous)
	equal(t, "volumes left", strings.Join(strings.Fields(h.ok("volume", "ls", "-q")), " "), "locked mm named other raw")

	// A label does not make a volume with a name one without.
	h.ok("create", "--name", "c2", "--mount", "src=labelled,dst=/x,volume-label=com.docker.volume.anonymous=", "busybox")
	h.ok("rm", "-v", "c2")
	h.ok("volume", "rm", "labelled")

	h.ok("run", "--rm", "content", "true")
	h.ok("run", "--name", "kept", "content", "true")
	h.ok("rm", "kept")
	left := strings.Fields(h.ok("volume", "ls", "-q", "--filter", "label=com.docker.volume.anonymous"))
	if len(left) != 1 {
		t.Errorf("after --rm and a plain rm there are %v", left)
	}
	// Only its end, or -v, takes those of a container with --rm along.
	h.ok("create", "--rm", "--name", "never", "-v", "/x", "busybox")
	h.ok("rm", "never")
	if all := strings.Fields(h.ok("volume", "ls", "-q", "--filter", "dangling=true", "--filter", "name=^[0-9a-f]{64}$")); len(all) != 2 {
		t.Errorf("after rm of a container with --rm there are %v", all)
	}
	// Who does not come into being makes no volume.
	h.ok("create", "--name", "taken", "busybox")
	h.fails(1, []string{"already in use"}, "create", "--name", "taken", "-v", "unmade:/x", "busybox")
	h.fails(1, []string{"no such volume"}, "volume", "inspect", "unmade")
	// A volume that is called by its name is not anonymous to who calls it so.
	h.ok("run", "--rm", "-v", left[0]+":/x", "busybox", "true")
	h.ok("volume", "inspect", left[0])
	h.ok("volume", "prune", "-f")

	for words, args := range map[string][]string{
		"create ab: error looking up volume plugin foo": {"--volume-driver", "foo", "-v", "ab:/x"},
		"source /etc/passwd is not directory":           {"-v", "ab:/etc/passwd"},
		"must not set ReadOnly mode":                    {"--mount", "type=volume,dst=/x,readonly"},
		"empty section between colons":                  {"-v", "ab:"},
		"mount path must be absolute":                   {"-v", "ab"},
		"path can't be '/'":                             {"-v", "/"},
		"invalid empty volume spec":                     {"-v", ""},
		"target is required":                            {"--mount", "type=volume,src=ab"},
		"invalid mode: ro,rw":                           {"--volumes-from", "taken:ro,rw"},
		"must not set Subpath when using anonymous":     {"--mount", "type=volume,dst=/x,volume-subpath=a"},
		"subpath must be a relative path":               {"--mount", "type=volume,src=ab,dst=/x,volume-subpath=../a"},
		"field VolumeOptions must not be specified":     {"-v", "/tmp:/x:nocopy"},
		"volume ab: subpath nope: ":                     {"--mount", "type=volume,src=ab,dst=/x,volume-subpath=nope"},
	} {
		h.fails(125, []string{words}, append(append([]string{"run", "--rm"}, args...), "busybox", "true")...)
	}
}

// entries lists a directory in one line.
func entries(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name())
	}
	return strings.Join(names, " ")
}

func TestVolumeCopyUp(t *testing.T) {
	h := newHost(t)
	h.withContent()
	h.ok("create", "--name", "c1", "-v", "full:/data", "-v", "linked:/link", "-v", "up:/up", "-v", "none:/nothing", "content")
	for _, name := range []string{"full", "linked"} {
		var dir, f, g, out, sub unix.Stat_t
		data := h.data(name)
		for path, st := range map[string]*unix.Stat_t{"": &dir, "/f": &f, "/sub/g": &g, "/out": &out, "/sub": &sub} {
			if err := unix.Lstat(data+path, st); err != nil {
				t.Fatal(path, err)
			}
		}
		if dir.Mode&0o7777 != 0o1770 || dir.Uid != 33 || dir.Gid != 44 || f.Ino != g.Ino || f.Uid != 33 || out.Mode&unix.S_IFMT != unix.S_IFLNK || sub.Mtim.Sec != 1577934245 {
			t.Errorf("%s: %v %v %v %v %v", name, dir, f, g, out, sub)
		}
	}
	if !strings.Contains(entries(t, h.data("up")), "passwd") || strings.Contains(entries(t, h.data("up")), "machine-id") {
		t.Errorf("a link of the image led to %s", entries(t, h.data("up")))
	}
	equal(t, "what the image does not have", entries(t, h.data("none")), "")
	os.Remove(h.data("full") + "/f")
	h.ok("run", "--rm", "-v", "full:/data", "content", "true")
	equal(t, "not a second time", entries(t, h.data("full")), "out sub")
	equal(t, "subpath", h.ok("run", "--rm", "--mount", "type=volume,src=full,dst=/s,volume-subpath=sub", "busybox", "ls", "/s"), "g")
	h.fails(125, []string{"subpath out"}, "run", "--rm", "--mount", "type=volume,src=full,dst=/s,volume-subpath=out", "busybox", "true")

	// A copy that was killed before it was whole, or while it moved in.
	volume := filepath.Dir(h.data("full"))
	os.RemoveAll(h.data("full"))
	for _, dir := range []string{h.data("full"), volume + "/fill/data/half", volume + "/fill/upper"} {
		os.MkdirAll(dir, 0o755)
	}
	if r := h.try("system", "check"); r.code != 1 || !strings.Contains(r.out, "half-copied") {
		t.Error(r)
	}
	h.ok("run", "--rm", "-v", "full:/data", "content", "true")
	equal(t, "after half a copy", entries(t, h.data("full")), "f out sub")
	os.MkdirAll(volume+"/filled", 0o711)
	os.Rename(h.data("full")+"/f", volume+"/filled/f")
	os.WriteFile(volume+"/filled/out", nil, 0o600)
	equal(t, "after half a move", h.ok("run", "--rm", "-v", "full:/data:nocopy", "content", "ls", "/data"), "f\nout\nsub")
	if target, err := os.Readlink(h.data("full") + "/out"); err != nil || target != "/etc" {
		t.Errorf("what was there became %s, %v", target, err)
	}
	equal(t, "left", entries(t, volume), "_data lock volume.json")
	h.ok("rm", "c1")

	// A disk of its own, mounted by hand, is filled too.
	h.ok("volume", "create", "disk")
	if err := unix.Mount("tmpfs", h.data("disk"), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	r := h.try("run", "--rm", "--userns", "host", "-v", "disk:/data", "content", "ls", "/data")
	unix.Unmount(h.data("disk"), 0)
	equal(t, "on a disk of its own", r.out+r.err, "f\nout\nsub\n")
	equal(t, "left", entries(t, filepath.Dir(h.data("disk"))), "_data lock volume.json")

	os.RemoveAll(volume)
	h.ok("create", "--name", "lost", "-v", "full:/data", "busybox", "true")
	os.RemoveAll(volume)
	h.fails(1, []string{"volume full is lost: there is no directory " + volume}, "start", "lost")
}

// Volumes of driver options are mounted for the container alone.
func TestVolumeDriverOptions(t *testing.T) {
	h := newHost(t)
	dir := h.dir("device")
	h.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device="+dir, "bound")
	h.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=1700", "memory")
	h.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/nowhere", "broken")
	mode := "private"
	if !since(6, 15) { // containers of two user namespaces cannot share it
		mode = "host"
	}
	h.ok("run", "-d", "--name", "c1", "--userns", mode, "-v", "bound:/b", "-v", "memory:/m", "busybox", "sh", "-c", "echo shared >/m/f; echo in >/b/in; exec sleep 1000000")
	h.eventually("the files are there", func() bool { return onHost(dir + "/in") })
	equal(t, "shared", h.ok("run", "--rm", "--userns", mode, "-v", "memory:/u:ro", "busybox", "sh", "-c", "cat /u/f; stat -c %a /u; df -m /u | tail -1 | awk '{print $2}'"), "shared\n1700\n1")
	equal(t, "cp", h.ok("exec", "c1", "cat", "/m/f"), "shared")
	if onHost(h.data("memory")+"/f") || onHost(h.data("bound")+"/f") {
		t.Error("the host sees a mount")
	}
	h.fails(125, []string{"error while mounting volume '" + h.data("broken") + "': failed to mount local volume: mount /nowhere:" + h.data("broken") + ": no such file or directory"},
		"run", "--rm", "-v", "broken:/x:nocopy", "busybox", "true")
	unix.Kill(atoi(t, h.pid("c1")), unix.SIGKILL)
	h.ok("rm", "-f", "c1")
	h.ok("volume", "rm", "bound", "memory", "broken")
	equal(t, "the device", entries(t, dir), "f in")
}

func atoi(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Docker's documentation, "Back up, restore, or migrate data volumes".
func TestVolumeBackup(t *testing.T) {
	h := newHost(t)
	backup := h.dir("backup")
	h.ok("run", "-v", "/dbdata", "--name", "dbstore", "busybox", "sh", "-c", "mkdir /dbdata/d; echo precious >/dbdata/d/f; chown 7:8 /dbdata/d/f")
	h.ok("run", "--rm", "--volumes-from", "dbstore", "-v", backup+":/backup", "busybox", "tar", "cvf", "/backup/backup.tar", "/dbdata")
	h.ok("run", "-v", "/dbdata", "--name", "dbstore2", "busybox", "true")
	h.ok("run", "--rm", "--volumes-from", "dbstore2", "-v", backup+":/backup", "busybox", "sh", "-c", "cd /dbdata && tar xvf /backup/backup.tar --strip 1")
	equal(t, "restored", h.ok("run", "--rm", "--volumes-from", "dbstore2", "busybox", "sh", "-c", "cat /dbdata/d/f; stat -c %u:%g /dbdata/d/f"), "precious\n7:8")
	h.write(backup+"/in", "copied")
	h.ok("cp", backup+"/in", "dbstore2:/dbdata/in")
	h.ok("cp", "dbstore2:/dbdata/in", backup+"/out")
	equal(t, "cp", read(t, backup+"/out"), "copied")
	h.ok("rename", "dbstore2", "other")
	h.ok("start", "-a", "other")
	equal(t, "df", strings.Join(strings.Fields(lines(h.ok("system", "df"))[3]), " "), "Local Volumes|2|2|24B|0B (0%)")
	h.ok("rm", "-v", "dbstore", "other")
	equal(t, "left", h.ok("volume", "ls", "-q"), "")
}

func TestVolumeEventsAndPrune(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "-v", "data:/x:ro", "-v", "/anon", "busybox", "true")
	id := h.inspect("c1", "{{.Id}}")
	h.ok("volume", "create", "--label", "keep=1")
	h.ok("rm", "c1")
	h.fails(1, []string{`The "until" filter is not supported with "--volumes"`}, "system", "prune", "-f", "--volumes", "--filter", "until=1h")
	r := h.tryWith("n\n", "system", "prune", "--volumes")
	if !strings.Contains(r.out, "  - all networks not used by at least one container\n  - all anonymous volumes not used by at least one container\n  - all dangling images\n") {
		t.Error(r)
	}
	pruned := h.ok("system", "prune", "-f", "--volumes", "--filter", "label!=keep")
	if !strings.HasPrefix(pruned, "Deleted Volumes:\n") || strings.Count(pruned, "\n") != 3 {
		t.Error(pruned)
	}
	h.ok("volume", "prune", "-f")
	h.ok("volume", "rm", "data")
	got := h.ok("events", "--since", "0", "--until", "0s", "--filter", "volume=data", "--format", "{{.Action}} {{.Actor.ID}} {{json .Actor.Attributes}}")
	equal(t, "events", got, `create data {"driver":"local"}
mount data {"container":"`+id+`","destination":"/x","driver":"local","propagation":"","read/write":"false"}
unmount data {"container":"`+id+`","driver":"local"}
destroy data {"driver":"local"}`)
}
