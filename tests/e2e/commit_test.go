package e2e

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// config is an image's, as it is stored.
func (h *host) config(id string) (config ocispec.Image) {
	h.t.Helper()
	if err := json.Unmarshal([]byte(read(h.t, h.blob(id))), &config); err != nil {
		h.t.Fatal(err)
	}
	return config
}

func (h *host) blob(digest string) string {
	return h.root + "/image/blobs/sha256/" + strings.TrimPrefix(digest, "sha256:")
}

// entries are the names in an image's top layer, with how many bytes of a file there are.
func (h *host) entries(id string) (list []string) {
	h.t.Helper()
	layers := h.config(id).RootFS.DiffIDs
	file, err := os.Open(h.blob(layers[len(layers)-1].String()))
	if err != nil {
		h.t.Fatal(err)
	}
	defer file.Close()
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			h.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%c %s %d", header.Typeflag, header.Name, header.Size))
	}
}

// TestCommit: what docker commit makes of the same lines, but for the date.
func TestCommit(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "--userns", "host", "busybox", "sh", "-c", `mkdir -p /n/a; echo x >/n/a/f; ln /n/a/f /n/a/g; rm /bin/ls; rm -rf /var; mkdir /var; echo >/var/new
		chown 7:8 /n/a/f; chmod 4755 /n/a/f; mknod /n/c c 1 3; mkfifo /n/p; ln -s /etc/x /n/s; touch -d '2001-02-03 04:05:06' /n/a; echo hi >>/etc/passwd; touch "$(printf '\377')"`)
	id := h.ok("commit", "c1", "site/app:1")
	want := []string{"5 bin/ 0", "0 bin/.wh.ls 0", "5 etc/ 0", fmt.Sprintf("0 etc/passwd %d", len(h.ok("run", "--rm", "site/app:1", "cat", "/etc/passwd"))+1),
		"5 n/ 0", "5 n/a/ 0", "0 n/a/f 2", "1 n/a/g 0", "3 n/c 0", "6 n/p 0", "2 n/s 0", "5 var/ 0", "0 var/.wh..wh..opq 0", "0 var/new 1", "0 \xff 0"}
	if diff := cmp.Diff(want, h.entries(id)); diff != "" {
		t.Error(diff)
	}
	equal(t, "committed files", h.ok("run", "--rm", "site/app:1", "sh", "-c", `stat -c '%a %u:%g %h' /n/a/f; stat -c '%F %t,%T' /n/c; stat -c %F /n/p; readlink /n/s; cat /n/a/g
		stat -c %Y /n/a; tail -n 1 /etc/passwd; [ -e /bin/ls ] || echo no ls; echo /var/*; [ -e "$(printf '\377')" ] && echo there`),
		"4755 7:8 2\ncharacter special file 1,3\nfifo\n/etc/x\nx\n981173106\nhi\nno ls\n/var/new\nthere")

	// The same once more, by another name, is the same layer; the name moves.
	time.Sleep(10 * time.Millisecond)
	again := h.ok("container", "commit", "c1", "site/app:1")
	if a, b := h.config(id), h.config(again); id == again || a.RootFS.DiffIDs[1] != b.RootFS.DiffIDs[1] {
		t.Errorf("layers %v and %v", a.RootFS, b.RootFS)
	}
	equal(t, "name", h.ok("image", "inspect", "-f", "{{.Id}}", "site/app:1"), again)
	nameless := h.ok("commit", "c1")
	equal(t, "names", h.ok("image", "inspect", "-f", "{{.RepoTags}}", nameless), "[]")

	// Nothing changed: no layer.
	for _, ref := range []string{h.ok("create", "busybox"), h.ok("run", "-d", "--tmpfs", "/tmp", "busybox", "true")} {
		h.ok("wait", ref)
		config := h.config(h.ok("commit", ref))
		if n := len(config.RootFS.DiffIDs); n != 1 || !config.History[len(config.History)-1].EmptyLayer {
			t.Errorf("%d layers, history %v", n, config.History)
		}
	}
}

func TestCommitConfig(t *testing.T) {
	h := newHost(t)
	h.ok("import", "-c", "ENV A=1", "-c", "EXPOSE 80", "-c", `ENTRYPOINT ["e"]`, "-c", `CMD ["c"]`, "-c", "LABEL l=base", busybox, "base")
	h.ok("create", "--name", "c1", "-e", "B=2", "--expose", "91", "-l", "x=y", "-w", "/tmp", "-u", "7", "--stop-signal", "INT", "base", "my", "command")
	const shown = "{{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.Env}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}} {{json .Config.Labels}} {{.Config.WorkingDir}} {{.Config.User}} {{.Config.StopSignal}}"
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, `["e"] ["my","command"] ["B=2","A=1"] {"80/tcp":{},"91/tcp":{}} null {"l":"base","x":"y"} /tmp 7 INT`},
		{[]string{"-c", "ENV C=$A B=3", "-c", "EXPOSE 92", "--change", "LABEL x=z", "-c", "WORKDIR sub", "-c", "USER me", "-c", "VOLUME /v2", "-c", "STOPSIGNAL HUP", "-c", "CMD n"},
			`["e"] ["/bin/sh","-c","n"] ["B=3","A=1","C=1"] {"80/tcp":{},"91/tcp":{},"92/tcp":{}} {"/v2":{}} {"l":"base","x":"z"} /tmp/sub me HUP`},
		{[]string{"-c", `ENTRYPOINT ["n"]`}, `["n"] null ["B=2","A=1"] {"80/tcp":{},"91/tcp":{}} null {"l":"base","x":"y"} /tmp 7 INT`},
	} {
		id := h.ok(append(append([]string{"commit"}, c.flags...), "c1")...)
		equal(t, fmt.Sprint(c.flags), h.ok("image", "inspect", "-f", shown, id), c.want)
	}
	id := h.ok("commit", "-a", "me <me@x>", "-m", "why", "c1", "app")
	config := h.config(id)
	last := config.History[len(config.History)-1]
	equal(t, "history", fmt.Sprint(last.CreatedBy, "|", last.Author, "|", last.Comment, "|", last.EmptyLayer, "|", len(config.History)), "my command|me <me@x>|why|true|2")
	equal(t, "image", h.ok("image", "inspect", "-f", "{{.Author}} {{.Comment}} {{.Architecture}}", id), "me <me@x> why "+config.Architecture)
	events := strings.Split(h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=commit", "--format",
		"{{.Actor.Attributes.name}} {{.Actor.Attributes.comment}} {{.Actor.Attributes.imageRef}} {{.Actor.Attributes.imageID}} {{.Actor.Attributes.x}}"), "\n")
	equal(t, "events", fmt.Sprint(len(events), " ", events[3]), "4 c1 why app:latest "+id+" y")
	equal(t, "events of the image", lastLines(h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=tag", "--format", "{{.Actor.ID}} {{.Actor.Attributes.name}} {{.Actor.Attributes.l}} {{.Actor.Attributes.x}}"), 2),
		h.ok("image", "inspect", "-f", "{{.Id}}", "base")+" base:latest base <no value>\n"+id+" app:latest base y")
}

func TestCommitErrors(t *testing.T) {
	h := newHost(t)
	h.ok("create", "--name", "c1", "busybox", "true")
	images := h.ok("images", "-aq")
	for _, c := range []struct {
		words string
		args  []string
	}{
		{"'mydocker commit' requires at least 1 and at most 2 arguments", nil},
		{"'mydocker commit' requires at least 1 and at most 2 arguments", []string{"a", "b", "c"}},
		{"No such container: none", []string{"none"}},
		{"invalid reference format: repository name (library/BAD) must be lowercase", []string{"c1", "BAD"}},
		{"invalid reference format", []string{"c1", "a:b:c"}},
		{"refusing to create a tag with a digest reference", []string{"c1", "a@sha256:" + strings.Repeat("0", 64)}},
		{"run is not a valid change command", []string{"-c", "RUN x", "c1"}},
		{"invalid containerPort: x", []string{"-c", "EXPOSE x", "c1"}},
	} {
		h.fails(1, []string{c.words}, append([]string{"commit"}, c.args...)...)
	}
	h.fails(125, []string{"unknown flag: --no-pause"}, "commit", "--no-pause", "c1")
	h.ok("run", "--name", "c2", "busybox", "touch", "/.wh.x")
	h.fails(1, []string{"/.wh.x cannot be in a layer"}, "commit", "c2")
	equal(t, "images", h.ok("images", "-aq"), images)
}

// TestCommitPause: a container does not run while it is committed, and runs after;
// one that was paused stays it; --pause=false lets it run.
func TestCommitPause(t *testing.T) {
	h := newHost(t)
	const busy = `echo up; i=0; while :; do i=$((i+1)); echo $i >/a; echo $i >/b; done`
	h.up(busy, "--name", "c1")
	for range 5 {
		id := h.ok("commit", "-p", "c1")
		files := strings.Fields(h.ok("run", "--rm", id, "sh", "-c", "cat /a; echo; cat /b; echo"))
		if len(files) == 2 && files[0] != files[1] && h.number(files[0]) != h.number(files[1])+1 {
			t.Errorf("files of different moments: %q", files)
		}
	}
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "running")
	equal(t, "exec", h.ok("exec", "c1", "echo", "fine"), "fine")
	const actions = "{{.Action}}"
	equal(t, "events", h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=pause", "--filter", "event=unpause", "--format", actions), strings.TrimSpace(strings.Repeat("pause\nunpause\n", 5)))
	h.ok("commit", "--pause=false", "c1")
	h.ok("pause", "c1")
	h.ok("commit", "c1")
	equal(t, "state", h.inspect("c1", "{{.State.Status}}"), "paused")
	equal(t, "pauses", fmt.Sprint(strings.Count(h.ok("events", "--since", "1h", "--until", "0s", "--filter", "event=pause", "--format", actions), "pause")), "6")
}

func (h *host) number(text string) (n int) {
	fmt.Sscan(text, &n)
	return n
}

// TestCommitKilled: wherever a commit is killed, the container runs on, and nothing is
// left that the next command does not sweep away.
func TestCommitKilled(t *testing.T) {
	h := newHost(t)
	h.up(`i=0; while [ $i -lt 3000 ]; do echo $i >/f$i; i=$((i+1)); done; echo up; sleep 100000`, "--name", "c1")
	start := time.Now()
	id := h.ok("commit", "c1")
	whole := time.Since(start)
	h.ok("rmi", id)
	for n := range 12 {
		cmd := h.command("commit", "c1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(whole * time.Duration(n) / 12)
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		h.becomes("c1", "running")
	}
	h.ok("commit", "c1", "app") // sweeps
	if staged := staging(t, h); len(staged) > 0 {
		t.Errorf("left: %q", staged)
	}
	equal(t, "files", h.ok("run", "--rm", "app", "sh", "-c", "ls -d /f* | wc -l"), "3000")
}

func staging(t *testing.T, h *host) (found []string) {
	for _, dir := range []string{"/layers", "/image/blobs/sha256"} {
		entries, err := os.ReadDir(h.root + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "new-") {
				found = append(found, e.Name())
			}
		}
	}
	return found
}

// TestCommitRemoved: of a container that goes while it is committed there is an image of
// all it had, or an error; nothing between.
func TestCommitRemoved(t *testing.T) {
	h := newHost(t)
	for n, pause := range []string{"--pause=true", "--pause=false", "--pause=true", "--pause=false"} {
		name := fmt.Sprint("c", n)
		h.up(`i=0; while [ $i -lt 1000 ]; do echo $i >/f$i; i=$((i+1)); done; echo up; sleep 100000`, "--name", name, "--rm")
		commit := h.begin("commit", pause, name, "app:"+name)
		time.Sleep(time.Duration(n/2) * 20 * time.Millisecond)
		h.ok("rm", "-f", name)
		switch r := commit.wait(); {
		case r.code == 0:
			equal(t, "files", h.ok("run", "--rm", "app:"+name, "sh", "-c", "ls -d /f* | wc -l"), "1000")
		case !strings.Contains(r.err, "No such container: "):
			t.Error(r)
		}
	}
}

// TestCommitRace: a container that changes its files while they are read.
func TestCommitRace(t *testing.T) {
	h := newHost(t)
	h.up(`echo up; while :; do mkdir -p /d/e; echo x >/d/e/f; ln -sf /etc/passwd /d/l; head -c 100000 /dev/zero >/d/big; : >/d/big; mv /d /d2; ln -s / /d; rm -r /d /d2; done`, "--name", "c1")
	for range 10 {
		id := h.ok("commit", "--pause=false", "c1", "app")
		for _, entry := range h.entries(id) {
			if name := strings.Fields(entry)[1]; strings.HasPrefix(name, "d/etc") {
				t.Errorf("read through a link: %s", entry)
			}
		}
	}
	equal(t, "usable", h.ok("run", "--rm", "app", "echo", "fine"), "fine")
}

// TestCommitStopped: two at once, of a container that does not run, and of one of an
// image that has been made by a commit.
func TestCommitStopped(t *testing.T) {
	h := newHost(t)
	h.ok("run", "--name", "c1", "busybox", "sh", "-c", "echo 1 >/a; mkdir /d; echo 1 >/d/f; echo 2 >/d/g")
	first, second := h.begin("commit", "c1", "one"), h.begin("commit", "c1", "two")
	for _, p := range []*process{first, second} {
		if r := p.wait(); r.code != 0 {
			t.Error(r)
		}
	}
	h.ok("run", "--name", "c2", "one", "sh", "-c", "rm /a; rm -r /d; mkdir /d; echo 3 >/d/h")
	h.ok("commit", "c2", "three")
	equal(t, "third", h.ok("run", "--rm", "three", "sh", "-c", "echo /d/*; ls /a 2>&1; true"), "/d/h\nls: /a: No such file or directory")
	for _, ref := range []string{"one", "two"} {
		equal(t, ref, h.ok("run", "--rm", ref, "cat", "/a"), "1")
	}
	list := h.entries(h.ok("image", "inspect", "-f", "{{.Id}}", "three"))
	if !slices.Contains(list, "0 .wh.a 0") || !slices.Contains(list, "0 d/.wh..wh..opq 0") {
		t.Errorf("whiteouts in %q", list)
	}
	equal(t, "layers", fmt.Sprint(len(h.config(h.ok("image", "inspect", "-f", "{{.Id}}", "three")).RootFS.DiffIDs)), "3")
}
