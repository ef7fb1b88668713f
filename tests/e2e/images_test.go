package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"
)

// compressed gives a layer in each of the formats that import reads.
func compressed(t *testing.T, plain []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"tar": plain}
	var gz, zst, x bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(plain)
	g.Close()
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(plain)
	z.Close()
	w, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(plain)
	w.Close()
	all["gzip"], all["zstd"], all["xz"] = gz.Bytes(), zst.Bytes(), x.Bytes()
	bzip2 := exec.Command("bzip2", "-c") // Go only reads it
	bzip2.Stdin = bytes.NewReader(plain)
	if all["bzip2"], err = bzip2.Output(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImport(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	dir := h.dir("archives")
	layer := archive(t, directory("sub"), file("sub/hello", "hello"))
	for name, data := range compressed(t, layer) {
		path := dir + "/" + name
		h.write(path, string(data))
		id := h.ok("import", path, "i:"+name)
		if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(id) {
			t.Errorf("%s: the ID is %q", name, id)
		}
		equal(t, name+" as a layer", h.ok("inspect", "-f", "{{json .RootFS.Layers}}", id), `["`+digestOf(layer)+`"]`)
		r := h.tryWith(string(data), "import", "-", "stdin:"+name)
		if r.code != 0 {
			t.Errorf("stdin: %s", r)
		}
	}
	if n := strings.Count(h.ok("images", "--format", "{{.ID}}"), "\n") + 1; n != 10 {
		t.Errorf("%d images", n)
	}
}

func TestImportURL(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	data := compressed(t, busyboxLayer(t))["gzip"]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/rootfs.tar.gz":
			w.Write(data)
		case "/short":
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:len(data)/2])
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	h.ok("import", server.URL+"/rootfs.tar.gz", "url")
	equal(t, "runs", h.ok("run", "--rm", "url", "echo", "yes"), "yes")
	equal(t, "comment", h.ok("inspect", "-f", "{{.Comment}}", "url"), "Imported from "+server.URL+"/rootfs.tar.gz")
	h.fails(1, []string{"404"}, "import", server.URL+"/nope", "nope")
	h.fails(1, []string{"unexpected EOF"}, "import", server.URL+"/short", "nope")
	equal(t, "images", h.ok("images", "--format", "{{.Repository}}"), "url")
}

func TestImportPlatform(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	for _, c := range []struct{ platform, want string }{
		{"linux/arm64/v8", "linux arm64 v8"}, {"s390x", "linux s390x"}, {"linux", "linux " + runtime.GOARCH},
	} {
		h.ok("import", "--platform", c.platform, busybox, "foreign")
		equal(t, c.platform, strings.TrimSpace(h.ok("image", "inspect", "-f", "{{.Os}} {{.Architecture}} {{.Variant}}", "foreign")), c.want)
	}
	h.fails(1, []string{`"foo": unknown operating system or architecture`}, "import", "--platform", "foo", busybox)
	h.fails(1, []string{"operating system windows is not supported"}, "import", "--platform", "windows/amd64", busybox)
}

func TestImportRefused(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	layer := busyboxLayer(t)
	dir := h.dir("archives")
	for _, c := range []struct{ name, data string }{
		{"garbage", "garbage"}, {"truncated", string(layer[:len(layer)/2])}, {"truncated.gz", string(compressed(t, layer)["gzip"][:100000])}, {"text", strings.Repeat("text\n", 1000)},
	} {
		h.write(dir+"/"+c.name, c.data)
		h.fails(1, []string{"import: "}, "import", dir+"/"+c.name, "nope")
	}
	h.fails(1, []string{"open /no/such/file: no such file or directory"}, "import", "/no/such/file")
	h.fails(1, []string{"foo is not a valid change command"}, "import", "-c", "FOO bar", busybox)
	h.fails(1, []string{"run is not a valid change command"}, "import", "-c", "RUN true", busybox)
	h.fails(1, []string{"invalid reference format"}, "import", busybox, "UPPER")
	equal(t, "images", h.ok("images", "-aq"), "")
	left, _ := os.ReadDir(h.root + "/layers")
	if len(left) > 0 {
		t.Errorf("layers are left: %v", left)
	}
}

// specials are one of each thing that a tar can say.
func specials() []member {
	old := time.Unix(1_234_567_890, 123_000_000)
	return []member{
		{Header: tar.Header{Name: "made/", Typeflag: tar.TypeDir, Mode: 0o1750, Uid: 5, Gid: 6, ModTime: old}},
		{Header: tar.Header{Name: "made/suid", Mode: 0o6755, Uid: 1000, Gid: 1000, ModTime: old}, text: "text"},
		{Header: tar.Header{Name: "made/hard", Typeflag: tar.TypeLink, Linkname: "made/suid"}},
		{Header: tar.Header{Name: "made/soft", Typeflag: tar.TypeSymlink, Linkname: "suid", Uid: 7, Gid: 8, ModTime: old}},
		{Header: tar.Header{Name: "made/absolute", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
		{Header: tar.Header{Name: "made/char", Typeflag: tar.TypeChar, Mode: 0o640, Devmajor: 1, Devminor: 7, Gid: 6}},
		{Header: tar.Header{Name: "made/block", Typeflag: tar.TypeBlock, Mode: 0o600, Devmajor: 7, Devminor: 300}},
		{Header: tar.Header{Name: "made/fifo", Typeflag: tar.TypeFifo, Mode: 0o622}},
		{Header: tar.Header{Name: "made/attr", Mode: 0o644, Format: tar.FormatPAX, PAXRecords: map[string]string{"SCHILY.xattr.user.key": "value", "SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}}, text: "x"},
		{Header: tar.Header{Name: "made/" + strings.Repeat("long", 50), Mode: 0o600}, text: "long"},
		{Header: tar.Header{Name: "made/große Datei\n", Mode: 0}, text: "utf8"},
		{Header: tar.Header{Name: "parentless/deep/file", Mode: 0o644}, text: "deep"},
	}
}

// checkSpecials looks at them from inside a container.
func checkSpecials(t *testing.T, h *host, image string) {
	t.Helper()
	out := h.ok("run", "--rm", image, "sh", "-c", `cd /made
		stat -c '%a %u:%g %Y' . suid; stat -c '%h %i' suid hard | uniq | wc -l; stat -c '%h' hard; cat hard; echo
		stat -c '%N %u:%g %Y' soft; readlink absolute
		stat -c '%F %a %t:%T %u:%g' char block fifo
		cat long*; echo; cat gro*; echo; cat /parentless/deep/file; echo; stat -c '%a %u:%g' /parentless`)
	if diff := cmp.Diff(`1750 5:6 1234567890
6755 1000:1000 1234567890
1
2
text
'soft' -> 'suid' 7:8 1234567890
/etc/passwd
character special file 640 1:7 0:6
block special file 600 7:12c 0:0
fifo 622 0:0 0:0
long
utf8
deep
755 0:0`, out); diff != "" {
		t.Errorf("%s: -want +got:\n%s", image, diff)
	}
	id := h.ok("create", image, "true")
	lower := h.inspect(id, "{{.GraphDriver.Data.LowerDir}}")
	h.ok("rm", id)
	for attribute, want := range map[string]string{"user.key": "value", "security.capability": "\x01\x00\x00\x02\x00\x04"} {
		value := make([]byte, 100)
		found := ""
		for layer := range strings.SplitSeq(lower, ":") {
			if n, err := unix.Getxattr(layer+"/made/attr", attribute, value); err == nil {
				found = string(value[:n])
			}
		}
		if !strings.HasPrefix(found, want) {
			t.Errorf("%s: %s is %q", image, attribute, found)
		}
	}
}

func TestImportSpecials(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	path := h.dir("archives") + "/tar"
	h.write(path, string(merged(t, busyboxLayer(t), specials())))
	h.ok("import", path, "i")
	checkSpecials(t, h, "i")
}

// merged is a tar followed by more entries.
func merged(t *testing.T, first []byte, more []member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, part := range [][]byte{first, archive(t, more...)} {
		r := tar.NewReader(bytes.NewReader(part))
		for {
			header, err := r.Next()
			if err != nil {
				break
			}
			var text bytes.Buffer
			text.ReadFrom(r)
			if err := w.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			w.Write(text.Bytes())
		}
	}
	w.Close()
	return out.Bytes()
}

func TestRemoveImage(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	one := h.ok("import", "-m", "one", busybox, "i:1")
	two := h.ok("import", "-m", "two", busybox, "i:2")
	equal(t, "rmi", h.ok("rmi", "i:2"), "Untagged: i:2\nDeleted: "+two)
	equal(t, "what shares its layer runs", h.ok("run", "--rm", "i:1", "echo", "yes"), "yes")
	r := h.fails(1, []string{"No such image: nope:latest", "No such image: i:2"}, "rmi", "nope", "i:2")
	equal(t, "stdout", r.out, "")

	// Used by a stopped container.
	id := h.ok("create", "--name", "c1", "i:1", "echo", "still")
	h.fails(1, []string{`conflict: unable to remove repository reference "i:1" (must force) - container ` + id[:12] + ` is using its referenced image ` + one[7:19]}, "rmi", "i:1")
	h.fails(1, []string{`conflict: unable to delete ` + one[7:19] + ` (must be forced) - image is being used by stopped container ` + id[:12]}, "rmi", one)
	if out := h.ok("rmi", "-f", "i:1"); !strings.HasPrefix(out, "Untagged: i:1") {
		t.Errorf("rmi -f: %q", out)
	}
	equal(t, "the container starts", h.ok("start", "-a", "c1"), "still")
	equal(t, "its image", h.ok("ps", "-a", "--format", "{{.Image}}"), one[7:19])
	h.ok("rm", "c1")
	h.try("rmi", one)
	equal(t, "images", h.ok("images", "-aq"), "")
	if left, _ := os.ReadDir(h.root + "/layers"); len(left) > 0 {
		t.Errorf("layers are left: %v", left)
	}

	// By a running one; its name may go, not the image.
	three := h.ok("import", "-m", "three", busybox, "i:3")
	id = h.ok("run", "-d", "i:3", "sleep", "1000000")
	h.fails(1, []string{`unable to remove repository reference "i:3"`}, "rmi", "i:3")
	h.ok("rmi", "-f", "i:3")
	h.fails(1, []string{"conflict: unable to delete " + three[7:19] + " (cannot be forced) - image is being used by running container " + id[:12]}, "rmi", "-f", three)
	equal(t, "goes on", h.ok("exec", id, "echo", "yes"), "yes")
	h.ok("rm", "-f", id)

	// Several names: an ID is deleted only with force.
	four := h.ok("import", "-m", "four", busybox, "i:4")
	h.write(h.dir("archives")+"/two", string(dockerArchive(t, []string{"a:1", "b:1"}, archive(t, file("x", "x")))))
	h.ok("load", "-i", h.dir("archives")+"/two")
	both := h.ok("images", "-q", "--no-trunc", "a:1")
	h.fails(1, []string{"conflict: unable to delete " + both[7:19] + " (must be forced) - image is referenced in multiple repositories"}, "rmi", both)
	equal(t, "one name", h.ok("rmi", "a:1"), "Untagged: a:1")
	if out := h.ok("rmi", both[7:17]); !strings.HasPrefix(out, "Untagged: b:1\nDeleted: "+both) { // then its layers
		t.Errorf("the last by ID: %q", out)
	}
	equal(t, "rest", h.ok("images", "-q", "--no-trunc", "i"), four)
}

// Importing under a name that is taken leaves the other image without one.
func TestImagesDangling(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	old := h.ok("import", "-m", "old", busybox, "i")
	fresh := h.ok("import", "-m", "new", busybox, "i:latest")
	equal(t, "the name", h.ok("inspect", "-f", "{{.Id}} {{.RepoTags}}", "i"), fresh+" [i:latest]")
	equal(t, "dangling", h.ok("images", "-q", "--no-trunc", "--filter", "dangling=true"), old)
	equal(t, "its row", lines(h.ok("images", "--filter", "dangling=true"))[1], "<none>|<none>|ID|TIME ago|"+h.ok("images", "i", "--format", "{{.Size}}"))
	equal(t, "not dangling", h.ok("images", "-q", "--no-trunc", "--filter", "dangling=false"), fresh)
	equal(t, "runs by ID", h.ok("run", "--rm", old[7:19], "echo", "yes"), "yes")
	equal(t, "rmi by ID", h.ok("rmi", old), "Deleted: "+old)
}

func TestImagesTable(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	equal(t, "empty", h.ok("images"), "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE")
	h.ok("import", "-m", "one", "-c", "LABEL a=1", busybox, "web/app:1")
	h.ok("import", "-m", "two", "-c", "LABEL a=2", busybox, "web/app:2")
	h.ok("import", "-m", "three", busybox, "reg.example:5000/db")
	size := h.ok("images", "web/app:1", "--format", "{{.Size}}")
	if !regexp.MustCompile(`^\d\.\d{2}MB$`).MatchString(size) {
		t.Errorf("the size is %q", size)
	}
	rows := func(args ...string) []string {
		got := lines(h.ok(append([]string{"images"}, args...)...))
		for i := range got {
			got[i] = strings.ReplaceAll(strings.ReplaceAll(got[i], size, "SIZE"), "sha256:LONG", "LONG")
		}
		return got
	}
	for _, c := range []struct {
		args string
		want []string
	}{
		{"", []string{"REPOSITORY|TAG|IMAGE ID|CREATED|SIZE", "reg.example:5000/db|latest|ID|TIME ago|SIZE", "web/app|2|ID|TIME ago|SIZE", "web/app|1|ID|TIME ago|SIZE"}},
		{"web/app:1", []string{"REPOSITORY|TAG|IMAGE ID|CREATED|SIZE", "web/app|1|ID|TIME ago|SIZE"}},
		{"--no-trunc web/app:1", []string{"REPOSITORY|TAG|IMAGE ID|CREATED|SIZE", "web/app|1|LONG|TIME ago|SIZE"}},
		{"--digests web/app:1", []string{"REPOSITORY|TAG|DIGEST|IMAGE ID|CREATED|SIZE", "web/app|1|<none>|ID|TIME ago|SIZE"}},
		{"nope", []string{"REPOSITORY|TAG|IMAGE ID|CREATED|SIZE"}},
		{"web", []string{"REPOSITORY|TAG|IMAGE ID|CREATED|SIZE"}},
		{"-q", []string{"ID", "ID", "ID"}},
		{"-q --no-trunc", []string{"LONG", "LONG", "LONG"}},
		{"--format {{.Repository}}:{{.Tag}}", []string{"reg.example:5000/db:latest", "web/app:2", "web/app:1"}},
		{"--filter reference=web/* --format {{.Tag}}", []string{"2", "1"}},
		{"--filter reference=*/*:1 --format {{.Tag}}", []string{"1"}},
		{"--filter label=a --format {{.Tag}}", []string{"2", "1"}},
		{"--filter label=a=1 --format {{.Tag}}", []string{"1"}},
		{"--filter before=web/app:2 --format {{.Tag}}", []string{"1"}},
		{"--filter since=web/app:1 --format {{.Tag}}", []string{"latest", "2"}},
	} {
		if diff := cmp.Diff(c.want, rows(strings.Fields(c.args)...)); diff != "" {
			t.Errorf("images %s: -want +got:\n%s", c.args, diff)
		}
	}
	if diff := cmp.Diff([]string{"REPOSITORY|TAG", "reg.example:5000/db|latest"}, rows("--format", `table {{.Repository}}\t{{.Tag}}`, "reg.example:5000/db")); diff != "" {
		t.Errorf("table: -want +got:\n%s", diff)
	}
	var row map[string]any
	if err := json.Unmarshal([]byte(h.ok("image", "ls", "web/app:1", "--format", "json")), &row); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"Repository": "web/app", "Tag": "1", "Digest": "<none>", "Size": size, "SharedSize": "N/A", "UniqueSize": "N/A"} {
		if row[key] != want {
			t.Errorf("%s is %v, want %s", key, row[key], want)
		}
	}
	h.fails(1, []string{"nvalid filter 'foo'"}, "images", "--filter", "foo=bar")
	h.fails(1, []string{"can't evaluate field Foo"}, "images", "--format", "{{.Foo}}")
	h.fails(1, []string{"'mydocker images' requires at most 1 argument"}, "images", "a", "b")
}
