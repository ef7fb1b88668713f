package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// rich are the layers of an image that has what images are known to lose.
func rich(t *testing.T) [][]byte {
	t.Helper()
	var many []member
	for i := range 2_000 {
		if i%500 == 0 {
			many = append(many, directory(fmt.Sprint("many/", i/500)))
		}
		many = append(many, file(fmt.Sprint("many/", i/500, "/", i), fmt.Sprint("content ", i)))
	}
	precise := func(name string, mode int64) member {
		return member{Header: tar.Header{Name: name, Mode: mode, Uid: 70_000, Gid: 80_000, ModTime: time.Unix(1_234_567_890, 123_456_789), Format: tar.FormatPAX}, text: name}
	}
	// What a link's header says of the file some apply and some do not: as tar
	// writes it, it is the same.
	link := func(name string, to member) member {
		to.Typeflag, to.Linkname, to.Name, to.text = tar.TypeLink, to.Name, name, ""
		return to
	}
	a, d, single, f := precise("links/a", 0o4711), file("links/d", "d"), file("links/single", "single"), precise("links/f", 0o600)
	deep := []member{directory("空")}
	for i := range 120 {
		deep = append(deep, directory("d"+strings.Repeat("/d", i)))
	}
	whole := layered(t) // busybox, specials, whiteouts, opaque directories
	return append(whole,
		archive(t, append([]member{directory("many")}, many...)...),
		// Hard links: within a layer, then one of them removed, changed, and linked anew.
		archive(t, directory("links"), a, link("links/b", a), link("links/c", a), single, d, link("links/e", d)),
		archive(t, directory("links"), file("links/.wh.a", ""), file("links/d", "changed"), single, link("links/twin", single), f, link("many/0/f", f), directory("many/0")),
		// Times, owners and attributes change, the content not; a directory's too.
		archive(t, member{Header: tar.Header{Name: "many/1/", Typeflag: tar.TypeDir, Mode: 0o1777, Uid: 1, Gid: 2, ModTime: time.Unix(1, 5), Format: tar.FormatPAX}}, member{Header: tar.Header{Name: "many/1/500", Mode: 0o400, Uid: 3, Gid: 4, Format: tar.FormatPAX, ModTime: time.Unix(1, 1), PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.b": "\x00\xff"}}, text: "content 500"}),
		// A directory that is opaque, one that is removed and made again, a link to a directory that becomes one.
		archive(t, directory("many"), directory("many/2"), file("many/2/.wh..wh..opq", ""), file("many/2/only", "x"), file("many/.wh.3", ""), member{Header: tar.Header{Name: "dirlink", Typeflag: tar.TypeSymlink, Linkname: "many/1"}}),
		archive(t, directory("many"), directory("many/3"), file("many/3/again", "x"), directory("dirlink"), file("dirlink/x", "x")),
		archive(t), // nothing
		archive(t, append(deep, precise("空/"+strings.Repeat("ü", 120), 0o644), precise("d"+strings.Repeat("/d", 119)+"/deep", 0o644))...),
	)
}

// other is an engine or tool that takes images and gives them back.
type other struct {
	t    *testing.T
	name string
	args []string
}

func (o *other) try(args ...string) (string, error) {
	out, err := exec.Command(o.name, append(o.args[:len(o.args):len(o.args)], args...)...).CombinedOutput()
	return strings.TrimSuffix(string(out), "\n"), err
}

func (o *other) ok(args ...string) string {
	o.t.Helper()
	out, err := o.try(args...)
	if err != nil {
		o.t.Fatalf("%s %s: %v: %s", o.name, strings.Join(args, " "), err, out)
	}
	return out
}

// newOther is an engine that has none of these images afterwards.
func newOther(t *testing.T, name string, images ...string) *other {
	t.Helper()
	need(t, name)
	o := &other{t: t, name: name}
	if name == "podman" {
		dir, err := os.MkdirTemp("/var/tmp", "mydocker-podman-")
		if err != nil {
			t.Fatal(err)
		}
		o.args = []string{"--root", dir + "/root", "--runroot", dir + "/run"}
		t.Cleanup(func() {
			exec.Command("umount", dir+"/root/overlay").Run() // which podman leaves
			os.RemoveAll(dir)
		})
	}
	t.Cleanup(func() { o.try(append([]string{"rmi", "-f"}, images...)...) })
	return o
}

// tree reads an image's tree where the engine has unpacked it.
func (o *other) tree(image string) tree {
	o.t.Helper()
	id := o.ok("create", image, "true")
	defer o.try("rm", id)
	if o.name == "podman" {
		return walk(o.t, o.ok("mount", id))
	}
	lower := o.ok("inspect", "-f", "{{.GraphDriver.Data.LowerDir}}", id)
	_, lower, _ = strings.Cut(lower, ":") // the first is docker's own, with mount points
	return overlaid(o.t, lower)
}

// unpackedByUmoci is the tree that umoci makes of an image in an OCI layout.
func unpackedByUmoci(t *testing.T, layout, image string) tree {
	t.Helper()
	need(t, "umoci")
	dir, err := os.MkdirTemp("/var/tmp", "mydocker-umoci-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("umoci", "unpack", "--image", layout+":"+image, dir+"/bundle").CombinedOutput(); err != nil {
		t.Fatalf("umoci unpack: %v: %s", err, out)
	}
	return walk(t, dir+"/bundle/rootfs")
}

func skopeo(t *testing.T, from, to string) {
	t.Helper()
	need(t, "skopeo")
	if out, err := exec.Command("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", from, to).CombinedOutput(); err != nil {
		t.Fatalf("skopeo copy %s %s: %v: %s", from, to, err, out)
	}
}

// What goes to other tools and comes back is the same image, and unpacks to the
// same files wherever it is.
func TestRoundTrip(t *testing.T) {
	h, far := emptyHost(t), emptyHost(t)
	t.Parallel()
	dir := h.dir("archives")
	layers := rich(t)
	if len(layers) < 10 {
		t.Fatalf("%d layers", len(layers))
	}
	image := "mydocker-e2e-" + h.instance + ":v1"
	h.write(dir+"/in", string(dockerArchive(t, []string{image}, layers...)))
	layers = nil
	h.ok("load", "-q", "-i", dir+"/in")
	id := h.ok("images", "-q", "--no-trunc", image)
	want := h.tree(image)
	if len(want) < 1_000 || !strings.Contains(want["/made/attr"], "security.capability=") {
		t.Fatalf("%d files; %s", len(want), want["/made/attr"])
	}
	for path, found := range map[string]bool{"/links/a": false, "/many/2/1000": false, "/many/2/only": true, "/many/3/1500": false, "/many/3/again": true, "/dirlink/x": true} {
		if _, there := want[path]; there != found {
			t.Errorf("%s is there: %t", path, there)
		}
	}
	checkSpecials(t, h, image)
	h.ok("save", "-o", dir+"/saved", image)

	// comes loads what another has written, where nothing is yet, and looks at all of it.
	comes := func(t *testing.T, from, name string, id string) {
		t.Helper()
		far.ok("load", "-q", "-i", from)
		if got := far.ok("images", "-q", "--no-trunc", name); id != "" && got != id {
			t.Errorf("%s: ID %s, want %s", from, got, id)
		}
		sameTree(t, from, want, far.tree(name))
		far.rmiAll()
	}
	t.Run("mydocker", func(t *testing.T) {
		comes(t, dir+"/saved", image, id)
		var again bytes.Buffer
		cmd := h.command("save", image)
		cmd.Stdout = &again
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if saved := read(t, dir+"/saved"); saved != again.String() {
			t.Errorf("saved twice: %d bytes and %d", len(saved), again.Len())
		}
	})
	for _, name := range []string{"docker", "podman"} {
		t.Run(name, func(t *testing.T) {
			o := newOther(t, name, image)
			o.ok("load", "-q", "-i", dir+"/saved")
			named := image
			if name == "podman" {
				named = "docker.io/library/" + image
			}
			equal(t, "ID", strings.TrimPrefix(o.ok("inspect", "--type", "image", "-f", "{{.Id}}", named), "sha256:"), id[7:])
			sameTree(t, "loaded by "+name, want, o.tree(named))
			o.ok("save", "-o", dir+"/"+name, named)
			comes(t, dir+"/"+name, image, id)
			if name == "podman" {
				o.ok("save", "-q", "--format", "oci-archive", "-o", dir+"/podman-oci", named)
				comes(t, dir+"/podman-oci", image, id)
			}
		})
	}
	t.Run("skopeo", func(t *testing.T) {
		skopeo(t, "docker-archive:"+dir+"/saved", "oci:"+dir+"/layout:v1")
		sameTree(t, "unpacked by umoci", want, unpackedByUmoci(t, dir+"/layout", "v1"))
		skopeo(t, "oci:"+dir+"/layout:v1", "oci-archive:"+dir+"/oci:"+image)
		comes(t, dir+"/oci", image, "") // skopeo writes the config anew
		skopeo(t, "docker-archive:"+dir+"/saved", "docker-archive:"+dir+"/docker-archive:"+image)
		comes(t, dir+"/docker-archive", image, id)
	})
	// The store itself is a layout.
	t.Run("layout", func(t *testing.T) {
		name := strings.TrimSpace(h.ok("images", "--format", "{{.Repository}}:{{.Tag}}", image))
		layout := h.root + "/image"
		skopeo(t, "oci:"+layout+":"+nameIn(t, layout, name), "oci-archive:"+dir+"/from-store:"+image)
		comes(t, dir+"/from-store", image, id)
	})
	t.Run("registry", func(t *testing.T) {
		r := newRegistry(t)
		name := r.address + "/rich:v1"
		h.ok("tag", image, name)
		h.ok("push", "-q", name)
		far.ok("pull", "-q", name)
		equal(t, "ID", far.ok("images", "-q", "--no-trunc", name), id)
		sameTree(t, "pulled", want, far.tree(name))
		far.rmiAll()
		for _, engine := range []string{"docker", "podman"} {
			t.Run(engine, func(t *testing.T) {
				there := r.address + "/rich:" + engine
				o := newOther(t, engine, name, there)
				insecure := map[string][]string{"podman": {"--tls-verify=false"}}[engine]
				o.ok(append(append([]string{"pull", "-q"}, insecure...), name)...)
				equal(t, "ID", strings.TrimPrefix(o.ok("inspect", "--type", "image", "-f", "{{.Id}}", name), "sha256:"), id[7:])
				o.ok("tag", name, there)
				o.ok(append(append([]string{"push", "-q"}, insecure...), there)...)
				far.ok("pull", "-q", there)
				equal(t, "ID", far.ok("images", "-q", "--no-trunc", there), id)
				sameTree(t, "pushed by "+engine, want, far.tree(there))
				far.rmiAll()
			})
		}
		t.Run("skopeo", func(t *testing.T) {
			skopeo(t, "docker://"+name, "docker://"+r.address+"/rich:zstd")
			far.ok("pull", "-q", r.address+"/rich:zstd")
			equal(t, "ID", far.ok("images", "-q", "--no-trunc"), id)
			far.rmiAll()
		})
	})
}

// Much of it: a file that is nearly all hole, and many small ones.
func TestRoundTripLarge(t *testing.T) {
	files, size := 50_000, int64(2<<30)
	if testing.Short() {
		files, size = 2_000, 64<<20
	}
	h, far := newHost(t), emptyHost(t)
	image := "mydocker-e2e-" + h.instance + ":"
	h.ok("run", "--name", "holes", "busybox", "sh", "-ec", fmt.Sprintf("for at in 0 %d %d; do printf end | dd of=/holes bs=1 seek=$at conv=notrunc 2>/dev/null; done", size/2+12345, size-3))
	h.ok("run", "--name", "many", "busybox", "sh", "-ec", fmt.Sprintf("mkdir /many; for d in $(seq %d); do mkdir /many/$d; for f in $(seq 500); do echo $d $f >/many/$d/$f; done; done", files/500))
	trees, ids := map[string]tree{}, map[string]string{}
	for _, name := range []string{"holes", "many"} {
		ids[name] = h.ok("commit", name, image+name)
		trees[name] = h.tree(image + name)
		h.ok("rm", name)
	}
	if !strings.Contains(trees["holes"]["/holes"], fmt.Sprintf(" %d bytes ", size)) || len(trees["many"]) < files {
		t.Fatalf("%d files; %s", len(trees["many"]), trees["holes"]["/holes"])
	}
	comes := func(t *testing.T, name string) {
		t.Helper()
		equal(t, "ID", far.ok("images", "-q", "--no-trunc"), ids[name])
		sameTree(t, name, trees[name], far.tree(ids[name]))
		if used := far.usage(); name == "holes" && used > 32<<20 {
			t.Errorf("the store takes %d bytes: a hole is filled", used)
		}
		if name == "holes" {
			far.rmiAll()
		}
	}
	// By a registry what is large travels compressed: gigabytes of zeros take long on a disk.
	r := newRegistry(t)
	for _, name := range []string{"holes", "many"} {
		there := r.address + "/" + name
		h.ok("tag", image+name, there)
		h.ok("push", "-q", there)
		t.Run(name, func(t *testing.T) {
			far.ok("pull", "-q", there)
			comes(t, name)
		})
		t.Run(name+" by docker", func(t *testing.T) {
			o := newOther(t, "docker", there, there+":docker")
			o.ok("pull", "-q", there)
			equal(t, "ID", o.ok("inspect", "-f", "{{.Id}}", there), ids[name])
			sameTree(t, name+" pulled by docker", trees[name], o.tree(there))
			if name == "many" {
				return // ext4 is slow to make files where many were removed lately
			}
			o.ok("tag", there, there+":docker")
			o.ok("push", "-q", there+":docker")
			far.ok("pull", "-q", there+":docker")
			comes(t, name)
		})
	}
}

// usage is what the layers take on the disk, in bytes.
func (h *host) usage() (bytes int64) {
	h.t.Helper()
	out, err := exec.Command("du", "-sB1", h.root+"/layers").Output()
	if _, serr := fmt.Sscan(string(out), &bytes); err != nil || serr != nil {
		h.t.Fatal(err, serr)
	}
	return bytes
}

// nameIn is the reference by which a layout knows an image.
func nameIn(t *testing.T, layout, name string) string {
	t.Helper()
	index := read(t, layout+"/index.json")
	for _, candidate := range []string{name, "docker.io/library/" + name} {
		if strings.Contains(index, `"`+candidate+`"`) {
			return candidate
		}
	}
	t.Fatalf("%s is not in %s", name, index)
	return ""
}

// Several images in one archive, with what they share in it once.
func TestSaveSeveral(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	dir := h.dir("archives")
	layers := small(t)
	a, b := "mydocker-e2e-a-"+h.instance, "mydocker-e2e-b-"+h.instance
	h.write(dir+"/a", string(dockerArchive(t, []string{a + ":v1", a + ":v2"}, layers[:2]...)))
	h.write(dir+"/b", string(dockerArchive(t, []string{b + ":latest"}, layers...)))
	h.ok("load", "-q", "-i", dir+"/a")
	h.ok("load", "-q", "-i", dir+"/b")
	ids := func(ask func(...string) string, names ...string) (all []string) {
		for _, name := range names {
			all = append(all, strings.TrimPrefix(ask("inspect", "-f", "{{.Id}}", name), "sha256:"))
		}
		return all
	}
	want := fmt.Sprint(ids(h.ok, a+":v1", a+":v2", b))
	h.ok("save", "-o", dir+"/both", a+":v1", a+":v2", b)
	h.ok("save", "-o", dir+"/repository", a) // all its tags
	one, _ := os.Stat(dir + "/both")
	if limit := int64(len(layers[0]) + 1<<20); one.Size() > limit {
		t.Errorf("the archive has %d bytes: what images share is in it more than once", one.Size())
	}
	h.rmiAll()
	for name, archive := range map[string]string{"both": "Loaded image: " + a + ":v1\nLoaded image: " + a + ":v2\nLoaded image: " + b + ":latest"} {
		equal(t, "load", h.ok("load", "-i", dir+"/"+name), archive)
	}
	equal(t, "IDs", fmt.Sprint(ids(h.ok, a+":v1", a+":v2", b)), want)
	h.rmiAll()
	equal(t, "a repository", h.ok("load", "-i", dir+"/repository"), "Loaded image: "+a+":v1\nLoaded image: "+a+":v2")
	for _, engine := range []string{"docker", "podman"} {
		t.Run(engine, func(t *testing.T) {
			o := newOther(t, engine, a+":v1", a+":v2", b)
			o.ok("load", "-q", "-i", dir+"/both")
			equal(t, "IDs", fmt.Sprint(ids(o.ok, a+":v1", a+":v2", b)), want)
			if engine == "docker" {
				o.ok("save", "-o", dir+"/docker", a+":v1", a+":v2", b)
				h.rmiAll()
				h.ok("load", "-q", "-i", dir+"/docker")
				equal(t, "IDs", fmt.Sprint(ids(h.ok, a+":v1", a+":v2", b)), want)
			}
		})
	}
	// By ID an image has no name.
	h.ok("save", "-o", dir+"/id", h.ok("images", "-q", a+":v1"))
	h.rmiAll()
	if out := h.ok("load", "-i", dir+"/id"); !strings.HasPrefix(out, "Loaded image ID: sha256:") {
		t.Errorf("%q", out)
	}
	h.fails(1, []string{"No such image: nope"}, "save", "-o", dir+"/nope", "nope")
	if _, err := os.Stat(dir + "/nope"); err == nil {
		t.Error("a save that fails leaves a file")
	}
	p := h.onTerminal("save", a)
	p.shows("cowardly refusing to save to a terminal. Use the -o flag or redirect")
	equal(t, "exit code", exitCode(p.wait()), "1")
}

// An image made by ten commits is the same everywhere, and holds what its
// containers saw.
func TestRoundTripCommits(t *testing.T) {
	h, far := newHost(t), emptyHost(t)
	dir := h.dir("archives")
	image := "mydocker-e2e-commits-" + h.instance
	h.ok("tag", "busybox", image)
	for i, script := range []string{
		"mkdir -p /d/sub /gone /keep; for i in 1 2 3; do echo $i >/d/$i; ln /d/$i /d/link$i; echo $i >/gone/$i; done; chown 12:34 /d/1; chmod 4755 /d/2; echo keep >/keep/file",
		"rm -r /gone; rm /d/1; mkfifo /d/fifo; ln -s nowhere /d/soft",
		"mkdir /gone; echo new >/gone/new", // opaque
		"echo changed >>/d/2",              // breaks its link
		"ln /keep/file /keep/link; touch -d 2001-02-03 /keep/file",
		"rm -r /keep; echo now a file >/keep",
		"rm /keep; mkdir /keep; chmod 1777 /keep; chown 7:8 /keep",
		"mv /d /moved; mkdir /d; dd if=/dev/zero of=/d/sparse bs=1 count=1 seek=100M 2>/dev/null",
		"rm /bin/vi; chmod 700 /moved; touch -h -d 2002-03-04 /moved/soft",
		"for i in $(seq 300); do echo $i >/d/$i; done",
	} {
		name := fmt.Sprint("c", i)
		h.ok("run", "--name", name, image, "sh", "-ec", script)
		h.ok("export", "-o", dir+"/seen", name)
		h.ok("commit", "-m", script, name, image)
		h.ok("create", "--name", "look", image, "true")
		h.ok("export", "-o", dir+"/got", "look")
		h.ok("rm", "look", name)
		sameTree(t, script, archived(t, dir+"/seen"), archived(t, dir+"/got"))
	}
	equal(t, "layers", h.ok("inspect", "-f", "{{len .RootFS.Layers}}", image), "11")
	equal(t, "history", strings.Split(h.ok("history", "--no-trunc", "--format", "{{.Comment}}", image), "\n")[9], "mkdir -p /d/sub /gone /keep; for i in 1 2 3; do echo $i >/d/$i; ln /d/$i /d/link$i; echo $i >/gone/$i; done; chown 12:34 /d/1; chmod 4755 /d/2; echo keep >/keep/file")
	id, want := h.ok("images", "-q", "--no-trunc", image), h.tree(image)
	h.ok("save", "-o", dir+"/saved", image)
	far.ok("load", "-q", "-i", dir+"/saved")
	equal(t, "ID", far.ok("images", "-q", "--no-trunc", image), id)
	sameTree(t, "loaded", want, far.tree(image))
	for _, engine := range []string{"docker", "podman"} {
		t.Run(engine, func(t *testing.T) {
			o := newOther(t, engine, image)
			o.ok("load", "-q", "-i", dir+"/saved")
			equal(t, "ID", strings.TrimPrefix(o.ok("inspect", "--type", "image", "-f", "{{.Id}}", image), "sha256:"), id[7:])
			sameTree(t, "loaded by "+engine, want, o.tree(image))
		})
	}
	t.Run("umoci", func(t *testing.T) {
		skopeo(t, "docker-archive:"+dir+"/saved", "oci:"+dir+"/layout:v1")
		sameTree(t, "unpacked by umoci", want, unpackedByUmoci(t, dir+"/layout", "v1"))
	})
}

// archived is the tree of an archive, but for the mount points and files that a
// container's start makes.
func archived(t *testing.T, path string) tree {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := tree{}
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if err != nil {
			return all
		}
		name := "/" + strings.TrimSuffix(strings.TrimPrefix(header.Name, "./"), "/")
		switch top := strings.Split(name, "/")[1]; top {
		case "", "dev", "proc", "sys", "etc", ".dockerenv":
			continue
		}
		var content bytes.Buffer
		if header.Size < 1<<20 {
			content.ReadFrom(r)
		}
		all[name] = fmt.Sprintf("%c %o %d:%d %s %d bytes, %q, %s %d:%d %v", header.Typeflag, header.Mode, header.Uid, header.Gid, header.ModTime, header.Size, content.String(), header.Linkname, header.Devmajor, header.Devminor, header.PAXRecords)
	}
}
