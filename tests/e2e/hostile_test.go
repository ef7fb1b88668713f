package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Archives here are made by somebody who wants to write, read or remove what is
// outside of the image.

func symlink(name, target string) member {
	return member{Header: tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink, Mode: 0o777}}
}

func hardlink(name, target string) member {
	return member{Header: tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink, Mode: 0o644}}
}

func node(name string, kind byte, major, minor int64) member {
	return member{Header: tar.Header{Name: name, Typeflag: kind, Devmajor: major, Devminor: minor, Mode: 0o666}}
}

// owned is an entry that would change mode, owner, time and attributes of what it lands on.
func owned(e member) member {
	e.Mode, e.Uid, e.Gid, e.ModTime = 0o4777, 1234, 1234, time.Unix(1, 0)
	e.PAXRecords = map[string]string{"SCHILY.xattr.user.escaped": "1"}
	return e
}

// rawArchive is archive with names that the tar package refuses to write: of
// files, with a slash at the end.
func rawArchive(t *testing.T, members ...member) []byte {
	t.Helper()
	for i, m := range members {
		if name, found := strings.CutSuffix(m.Name, "/"); found && m.Typeflag != tar.TypeDir {
			members[i].Name = name + "\x01"
		}
	}
	data := archive(t, members...)
	for at := 0; at+512 <= len(data); at += 512 {
		header := data[at : at+512]
		if string(header[257:262]) != "ustar" || !bytes.Contains(header[:100], []byte{1}) {
			continue
		}
		header[bytes.IndexByte(header, 1)] = '/'
		copy(header[148:156], "        ") // the checksum counts as blanks
		sum := 0
		for _, b := range header {
			sum += int(b)
		}
		copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
	return data
}

// canary is a directory outside of everything that an image may touch.
type canary struct {
	*host
	dir, up string // its path, and enough ".." to get to / from anywhere
	before  map[string]string
	store   []string
}

func newCanary(h *host) *canary {
	c := &canary{host: h, dir: h.dir("canary"), up: strings.Repeat("../", 20)}
	h.write(c.dir+"/secret", "hidden text\n")
	h.write(c.dir+"/layer.tar", string(archive(h.t, file("secret", "secret"))))
	if err := os.Mkdir(c.dir+"/full", 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.write(c.dir+"/full/file", "file\n")
	c.before, c.store = c.look(), storeOf(h)
	return c
}

// look describes what must not change: all of the canary, the directories around
// an image being made, and where something called "escaped" is.
func (c *canary) look() map[string]string {
	c.t.Helper()
	seen := map[string]string{}
	note := func(path string, changes bool) {
		info, err := os.Lstat(path)
		if err != nil {
			seen[path] = err.Error()
			return
		}
		st := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%v %d:%d %x", info.Mode(), st.Uid, st.Gid, st.Nlink)
		if !changes {
			text += fmt.Sprint(info.ModTime(), st.Ctim, info.Size())
			if info.Mode().IsRegular() {
				data, _ := os.ReadFile(path)
				text += fmt.Sprintf(" %q", data)
			}
		} else {
			text = fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
		}
		seen[path] = text
	}
	filepath.WalkDir(filepath.Dir(c.root), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case path == c.dir || strings.HasPrefix(path, c.dir+"/"):
			note(path, false)
		case path == filepath.Dir(c.root) || path == c.root || path == c.root+"/layers" || path == c.root+"/image":
			note(path, true)
		case d.Name() == "fs" && strings.HasPrefix(path, c.root+"/layers/"):
			return filepath.SkipDir
		case strings.Contains(d.Name(), "escaped"):
			note(path, false)
		}
		return nil
	})
	for _, dir := range []string{"/", "/tmp/", "/var/tmp/", "/etc/", ""} {
		note(dir+"escaped", false)
	}
	return seen
}

// untouched holds that nothing has changed outside, and after a failure that
// nothing of an image is left.
func (c *canary) untouched(what string, r result) {
	c.t.Helper()
	if diff := cmp.Diff(c.before, c.look()); diff != "" {
		c.t.Errorf("%s touched, -before +after:\n%s%s", what, diff, r)
		c.before = c.look()
	}
	if strings.Contains(r.err, "panic") {
		c.t.Errorf("%s: %s", what, r)
	}
	if r.code == 0 {
		c.ok("rmi", "-f", "hostile")
	} else if r.code != 1 || r.err == "" {
		c.t.Errorf("%s: %s", what, r)
	}
	if diff := cmp.Diff(c.store, storeOf(c.host)); diff != "" {
		c.t.Errorf("%s leaves, -before +after:\n%s%s", what, diff, r)
		c.store = storeOf(c.host)
	}
}

func TestHostileLayer(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	h.ok("import", busybox, "busybox")
	c := newCanary(h)
	up, dir := c.up, c.dir
	disk, major, minor := c.loop()
	for name, layer := range map[string][]member{
		"up":                      {file("../escaped", "")},
		"up twice":                {file("../../escaped", "")},
		"up to the root":          {file(up+"escaped", "")},
		"up to the canary":        {file(up+dir+"/escaped", "")},
		"up to the secret":        {owned(file(up+dir+"/secret", "changed"))},
		"up inside":               {directory("a"), file("a/../../escaped", "")},
		"up behind a dot":         {file("./../escaped", "")},
		"absolute":                {file(dir+"/escaped", "")},
		"absolute secret":         {owned(file(dir+"/secret", "changed"))},
		"absolute with up":        {file("/../../escaped", "")},
		"up itself":               {owned(directory(".."))},
		"up twice itself":         {owned(directory("../.."))},
		"up itself as a file":     {owned(file("..", "changed"))},
		"up itself as a link":     {symlink("..", dir)},
		"the root as a file":      {owned(file("/", "changed"))},
		"the root as a link":      {symlink("./", dir), file("escaped", "")},
		"empty name":              {file("", "changed")},
		"directory above":         {directory("../escaped"), file("../escaped/x", "")},
		"link above":              {symlink("../escaped", "x")},
		"device above":            {node("../escaped", tar.TypeChar, 1, 3)},
		"fifo above":              {node("../escaped", tar.TypeFifo, 0, 0)},
		"hard link above":         {file("a", ""), hardlink("../escaped", "a")},
		"through a link":          {symlink("l", dir), file("l/escaped", "")},
		"through a link, secret":  {symlink("l", dir), owned(file("l/secret", "changed"))},
		"through a link, dir":     {symlink("l", dir), owned(directory("l"))},
		"through a link, subdir":  {symlink("l", dir), owned(directory("l/full"))},
		"through a link, new dir": {symlink("l", dir), directory("l/escaped")},
		"through a link, link":    {symlink("l", dir), symlink("l/escaped", "x")},
		"through a link, node":    {symlink("l", dir), node("l/escaped", tar.TypeFifo, 0, 0)},
		"through a link, hard":    {symlink("l", dir), file("a", ""), hardlink("l/escaped", "a")},
		"through a link, other":   {symlink("l", dir), hardlink("a", "l/secret"), owned(file("a", "changed"))},
		"through a link, deep":    {symlink("l", dir), file("l/escaped/x/y", "")},
		"relative link":           {symlink("l", up+dir), owned(file("l/secret", "changed")), file("l/escaped", "")},
		"relative link, deep":     {directory("a/b"), symlink("a/b/l", "../../../../../../../../../../../../../.."+dir), file("a/b/l/escaped", "")},
		"link to up":              {symlink("l", ".."), file("l/escaped", ""), file("l/../escaped", "")},
		"link to link":            {symlink("l", "m"), symlink("m", "n"), symlink("n", dir), file("l/escaped", "")},
		"link behind a directory": {directory("a"), symlink("a/l", dir), file("a/l/escaped", "")},
		"directory becomes link":  {directory("a"), file("a/x", ""), symlink("a", dir), file("a/escaped", ""), owned(file("a/secret", "changed"))},
		"link becomes directory":  {symlink("l", dir), owned(directory("l")), file("l/escaped", "")},
		"file link":               {symlink("l", dir+"/secret"), owned(file("l", "changed"))},
		"file link, twice":        {symlink("l", dir+"/secret"), hardlink("m", "l"), owned(file("m", "changed"))},
		"file link, attributes":   {owned(symlink("l", dir+"/secret"))},
		"dangling link":           {symlink("l", dir+"/escaped"), file("l", "")},
		"magic link":              {symlink("l", "/proc/self/cwd/escaped"), file("l", ""), symlink("m", "/proc/self/root"), file("m"+dir+"/escaped", "")},
		"hard link up":            {hardlink("a", up+dir+"/secret"), owned(file("a", "changed"))},
		"hard link, shallow":      {hardlink("a", "../../../../canary/secret"), owned(file("a", "changed"))},
		"hard link absolute":      {hardlink("a", dir+"/secret"), owned(file("a", "changed"))},
		"hard link to a link":     {symlink("l", dir+"/secret"), hardlink("a", "l"), owned(file("a", "changed"))},
		"hard link to up":         {hardlink("a", "..")},
		"hard link to itself":     {hardlink("a", "a")},
		"hard link to nothing":    {hardlink("a", "b")},
		"hard link to the root":   {hardlink("a", "/"), hardlink("b", ".")},
		"device, then file":       {node("disk", tar.TypeBlock, major, minor), file("disk", "changed")},
		"device, hard link":       {node("disk", tar.TypeBlock, major, minor), hardlink("a", "disk"), owned(file("a", "changed"))},
		"fifo, then file":         {node("fifo", tar.TypeFifo, 0, 0), file("fifo", "changed"), file("fifo/x", "")},
		"whiteout of /":           {directory("a"), file(".wh./", ""), file("/.wh./", "")},
		"whiteout of nothing":     {file(".wh.", ""), file("a/.wh.", "")},
		"whiteout of .":           {file(".wh..", ""), directory("a"), file("a/.wh..", "")},
		"whiteout of ..":          {file(".wh...", "")},
		"whiteout of .. below":    {directory("a"), file("a/.wh...", ""), directory("a/b"), file("a/b/.wh...", "")},
		"whiteout of ../canary":   {file("../../../../.wh.canary", "")},
		"whiteout above":          {file("../.wh.fs", ""), file("../../.wh.escaped", "")},
		"whiteout by up":          {file(up+dir+"/.wh.secret", ""), file(up+dir+"/.wh..wh..opq", "")},
		"whiteout by a link":      {symlink("l", dir), file("l/.wh.secret", ""), file("l/.wh.full", "")},
		"opaque by a link":        {symlink("l", dir), file("l/.wh..wh..opq", ""), file("l/full/.wh..wh..opq", "")},
		"opaque root":             {file(".wh..wh..opq", ""), file("/.wh..wh..opq", ""), file("../.wh..wh..opq", "")},
		"whiteout directory":      {directory(".wh.a"), file(".wh.a/b", "")},
		"whiteout as a link":      {symlink(".wh.a", dir), file(".wh.a/escaped", "")},
		"aufs's own":              {file(".wh..wh.aufs", ""), directory(".wh..wh.plnk"), file(".wh..wh.plnk/escaped", ""), hardlink("a", ".wh..wh.plnk/escaped")},
		"long name":               {file(strings.Repeat("x", 300), "")},
		"long path":               {file(strings.Repeat("x/", 3000)+"x", "")},
		"long link":               {symlink("l", strings.Repeat("x", 5000))},
	} {
		data := rawArchive(t, layer...)
		r := h.tryWith(string(data), "import", "-", "hostile")
		c.untouched("import of "+name, r)
		r = h.tryWith(string(dockerArchive(t, []string{"hostile"}, archive(t, directory("a"), file("a/f", ""), symlink("l", dir)), data)), "load")
		c.untouched("load of "+name, r)
	}
	if data := read(t, disk); strings.ReplaceAll(data, "host", "") != "" {
		t.Errorf("an archive wrote to a device: %.20q", data)
	}
	// What only looks dangerous is an image as any other.
	h.tryWith(string(archive(t, append(unpacked(t), file("..a", "1"), file("a..", "2"), directory("..."), file(".../f", "3"), symlink("l", "..."), file("l/g", "4"), file("x\ny", "5"))...)), "import", "-", "odd")
	equal(t, "odd names", h.ok("run", "--rm", "odd", "sh", "-c", "cat /..a /a.. /.../f /.../g '/x\ny'"), "12345")
}

// loop attaches a file of the canary's side to a loop device.
func (c *canary) loop() (file string, major, minor int64) {
	c.t.Helper()
	file = filepath.Dir(c.root) + "/disk"
	// Written before a device shows it: udev reads the device, and what it read stays cached.
	c.write(file, strings.Repeat("host", 1<<18))
	out, err := exec.Command("losetup", "--find", "--show", file).Output()
	if err != nil {
		c.t.Fatalf("losetup: %v", err)
	}
	device := strings.TrimSpace(string(out))
	c.t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			c.t.Errorf("losetup: %v: %s", err, out)
		}
	})
	var st syscall.Stat_t
	if err := syscall.Stat(device, &st); err != nil {
		c.t.Fatal(err)
	}
	return file, int64(st.Rdev >> 8 & 0xfff), int64(st.Rdev&0xff | st.Rdev>>12&0xfff00)
}

// unpacked are the entries of the image busybox.
func unpacked(t *testing.T) (entries []member) {
	t.Helper()
	reader := tar.NewReader(bytes.NewReader(busyboxLayer(t)))
	for {
		header, err := reader.Next()
		if err != nil {
			return entries
		}
		var text bytes.Buffer
		text.ReadFrom(reader)
		entries = append(entries, member{*header, text.String()})
	}
}

// What surrounds the layers lies: paths, links and digests that lead outside.
func TestHostileArchive(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	h.ok("import", busybox, "busybox")
	images := h.ok("images", "-aq")
	c := newCanary(h)
	secret := read(t, c.dir+"/layer.tar")
	config := string(imageConfig(t, []byte(secret)))
	manifest := func(config, layer string) member {
		return file("manifest.json", fmt.Sprintf(`[{"Config":%q,"RepoTags":["hostile:latest"],"Layers":[%q]}]`, config, layer))
	}
	oci := func(digest string, more ...member) []byte {
		return archive(t, append([]member{file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), directory("blobs"), directory("blobs/sha256"),
			file("index.json", fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":2}]}`, digest))}, more...)...)
	}
	nothing := "sha256:" + strings.Repeat("0", 64)
	for name, data := range map[string][]byte{
		"layer above":          archive(t, file("c.json", config), manifest("c.json", c.up+c.dir+"/layer.tar")),
		"layer absolute":       archive(t, file("c.json", config), manifest("c.json", c.dir+"/layer.tar")),
		"config above":         archive(t, file("layer.tar", secret), manifest(c.up+c.dir+"/secret", "layer.tar")),
		"layer is a link":      archive(t, file("c.json", config), symlink("layer.tar", c.dir+"/layer.tar"), manifest("c.json", "layer.tar")),
		"layer behind a link":  archive(t, file("c.json", config), symlink("l", c.dir), manifest("c.json", "l/layer.tar")),
		"layer is a hard link": archive(t, file("c.json", config), hardlink("layer.tar", c.up+c.dir+"/layer.tar"), manifest("c.json", "layer.tar")),
		"config is a link":     archive(t, file("layer.tar", secret), symlink("c.json", c.dir+"/secret"), manifest("c.json", "layer.tar")),
		"manifest is a link":   archive(t, symlink("manifest.json", c.dir+"/secret")),
		"link to itself":       archive(t, file("c.json", config), symlink("layer.tar", "layer.tar"), manifest("c.json", "layer.tar")),
		"entries above":        archive(t, file("../../../escaped", ""), file(c.up+c.dir+"/escaped", ""), symlink("l", c.dir), file("l/escaped", ""), file(c.dir+"/secret", "changed")),
		"layer is a fifo":      archive(t, file("c.json", config), node("layer.tar", tar.TypeFifo, 0, 0), manifest("c.json", "layer.tar")),
		"diff ID above":        archive(t, file("layer.tar", secret), file("c.json", fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[%q]}}`, "sha256:"+c.up+c.dir)), manifest("c.json", "layer.tar")),
		"another diff ID":      archive(t, file("layer.tar", secret), file("c.json", fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[%q]}}`, nothing)), manifest("c.json", "layer.tar")),
		"no diff IDs":          archive(t, file("layer.tar", secret), file("c.json", `{"os":"linux","architecture":"amd64"}`), manifest("c.json", "layer.tar")),
		"null":                 archive(t, file("manifest.json", "[null]")),
		"name above":           archive(t, file("layer.tar", secret), file("c.json", config), file("manifest.json", `[{"Config":"c.json","RepoTags":["../../escaped:latest"],"Layers":["layer.tar"]}]`)),
		"digest above":         oci("sha256:"+c.up+c.dir[1:]+"/secret", file("blobs/sha256/x", "")),
		"digest of the wrong":  oci(nothing, file("blobs/sha256/"+nothing[7:], "{}")),
		"blob is a link":       oci(nothing, symlink("blobs/sha256/"+nothing[7:], c.dir+"/secret")),
		"no blob":              oci(nothing),
		"another algorithm":    oci("md5:"+strings.Repeat("0", 32), file("blobs/md5/"+strings.Repeat("0", 32), "{}")),
		"empty":                nil,
	} {
		r := h.tryWith(string(data), "load")
		if r.code != 1 || strings.Contains(r.out+r.err, "hidden text") {
			t.Errorf("%s: %s", name, r)
		}
		c.untouched(name, r)
	}
	equal(t, "images", h.ok("images", "-aq"), images)
}

// A truncated or damaged archive leaves no half image, wherever the damage is.
func TestHostileDamage(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	h.ok("import", busybox, "busybox")
	c := newCanary(h)
	layer := archive(t, directory("a"), file("a/text", strings.Repeat("text\n", 3000)), file("a/noise", noise(50_000)), symlink("l", "a"), file("z", "z"))
	second := archive(t, file("a/.wh.text", ""), file("noise", noise(30_000)))
	plain := func(l []byte) ([]byte, string) { return l, "application/vnd.oci.image.layer.v1.tar" }
	pressed := func(l []byte) ([]byte, string) { return gzipped(t, l), "application/vnd.oci.image.layer.v1.tar+gzip" }
	saved := dockerArchive(t, []string{"hostile"}, layer, second)
	for _, form := range []struct {
		name    string
		data    []byte
		args    []string
		checked bool // so that one wrong byte is found out
	}{
		{"import", layer, []string{"import", "-", "hostile"}, false},
		{"import of gzip", gzipped(t, layer), []string{"import", "-", "hostile"}, true},
		{"load", saved, []string{"load"}, false}, // names and padding of the archive itself have no checksum
		{"load of gzip", gzipped(t, saved), []string{"load"}, true},
		{"load of OCI", ociArchive(t, "hostile", plain, layer, second), []string{"load"}, false},
		{"load of OCI and gzip", ociArchive(t, "hostile", pressed, layer, second), []string{"load"}, false},
	} {
		for i := range 14 {
			cut := len(form.data) * i / 14
			if i == 13 {
				cut = len(form.data) - 2100 // in the last entry, before the end mark and its padding
			}
			r := h.tryWith(string(form.data[:cut]), form.args...)
			if r.code != 1 {
				t.Errorf("%s cut off at %d of %d: %s", form.name, cut, len(form.data), r)
			}
			c.untouched(fmt.Sprintf("%s cut off at %d", form.name, cut), r)

			data := bytes.Clone(form.data)
			at := 20 + (len(data)-40)*i/14
			data[at] ^= 0x55
			r = h.tryWith(string(data), form.args...)
			if r.code == 0 && form.checked {
				t.Errorf("%s with a wrong byte at %d of %d: %s", form.name, at, len(data), r)
			}
			c.untouched(fmt.Sprintf("%s with a wrong byte at %d", form.name, at), r)
		}
		r := h.tryWith(string(form.data), form.args...)
		if r.code != 0 {
			t.Errorf("%s of the undamaged: %s", form.name, r)
		}
		c.untouched(form.name, r)
	}
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Killed in the middle of an import or load, the next one takes away what is left.
func TestHostileKill(t *testing.T) {
	h := emptyHost(t)
	t.Parallel()
	h.ok("import", busybox, "busybox")
	images, store := h.ok("images", "-q", "--no-trunc"), storeOf(h)
	layer := archive(t, file("noise", noise(3<<20)))
	for _, args := range [][]string{{"import", "-", "killed"}, {"load"}} {
		data := layer
		if args[0] == "load" {
			data = dockerArchive(t, []string{"killed"}, layer)
		}
		for i := range 8 {
			p := h.begin(args...)
			p.stdin.Write(data[:len(data)*i/8])
			p.cmd.Process.Kill()
			p.wait()
			equal(t, "images", h.ok("images", "-q", "--no-trunc"), images)
		}
		p := h.begin(args...) // and in the middle of writing it out
		p.stdin.Write(data)
		p.cmd.Process.Kill()
		p.wait()
	}
	h.ok("import", busybox, "busybox")
	h.ok("rmi", strings.Fields(h.ok("images", "-q", "--filter", "dangling=true"))[0])
	if len(storeOf(h)) != len(store) {
		t.Errorf("left: %v\nat first: %v", storeOf(h), store)
	}
}
