package image

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const dockerfile = `FROM %[1]s:base
RUN ["busybox", "sh", "-c", "rm -rf /opt/a && mkdir /opt/a && echo new > /opt/a/new && rm /etc/passwd"]
RUN ["busybox", "sh", "-c", "ln /bin/busybox /bin/hard && chmod 4755 /bin/hard && mknod /null c 1 3 && mkfifo /fifo && touch -d '2001-02-03 04:05:06' /etc/old && chown 1000:1001 /etc/old"]
COPY Dockerfile /lib/copied
RUN ["busybox", "sh", "-c", "mv /opt/b /opt/c; rm /lib; mkdir /lib; echo x > /lib/x"]
ENV A=b
HEALTHCHECK --interval=5s CMD true
`

// TestLikeDocker builds an image with Docker and compares what this package
// makes of it with Docker's own unpacked layers, both seen through overlayfs.
func TestLikeDocker(t *testing.T) {
	if err := exec.Command("docker", "info").Run(); err != nil {
		t.Skip("no dockerd to compare with: ", err)
	}
	name := fmt.Sprintf("mydocker-image-test-%d", os.Getpid())
	dir := t.TempDir()
	run(t, dir, `mkdir -p root/bin root/etc root/opt/a root/opt/b root/lib0; ln -s lib0 root/lib; cp "$(command -v busybox)" root/bin/busybox
		echo root:x:0:0::/:/bin/sh > root/etc/passwd; echo old > root/opt/a/old; echo b > root/opt/b/b; cp root/bin/busybox root/bin/cap`)
	capability := "\x01\x00\x00\x02\x00\x20\x00\x00" + strings.Repeat("\x00", 12)
	if err := unix.Setxattr(dir+"/root/bin/cap", "security.capability", []byte(capability), 0); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(dir+"/Dockerfile", fmt.Appendf(nil, dockerfile, name), 0o644)
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", name+":1", name+":two", name+":base").Run() })
	run(t, dir, `tar --xattrs --xattrs-include='*' -C root -c . | docker import - $0:base
		DOCKER_BUILDKIT=0 docker build --network none -q -t $0:1 -t $0:two . 2>/dev/null`, name)

	id := run(t, dir, `docker inspect -f '{{.Id}}' $0:1`, name)
	want := seen(t, strings.ReplaceAll(run(t, dir, `docker inspect -f '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' $0:1`, name), "\n", ""))
	if want["null"] == "" || want["opt/a/new"] == "" {
		t.Fatalf("docker's own tree: %v", want)
	}
	archives := map[string]string{"docker save": `docker save $0:1 $0:two`}
	if _, err := exec.LookPath("skopeo"); err == nil {
		archives["skopeo"] = `skopeo copy -q docker-daemon:$0:1 oci-archive:skopeo.tar:$0:1 >&2 && cat skopeo.tar`
	}
	for tool, command := range archives {
		t.Run(tool, func(t *testing.T) {
			s := store(t)
			loaded := load(t, s, []byte(run(t, dir, command, name)))
			if loaded[0].Name != name+":1" {
				t.Errorf("loaded %v", loaded)
			}
			i, err := s.Resolve(name + ":1")
			if err != nil {
				t.Fatal(err)
			}
			if tool == "docker save" && i.ID.String() != strings.TrimSpace(id) {
				t.Errorf("image ID %s, docker says %s", i.ID, id)
			}
			if size := run(t, dir, `docker inspect -f '{{.Size}}' $0:1`, name); strings.TrimSpace(size) != fmt.Sprint(s.Size(i)) {
				t.Errorf("size %d, docker says %s", s.Size(i), size)
			}
			dirs, err := s.LayerDirs(i)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, seen(t, strings.Join(dirs, ":"))); diff != "" {
				t.Errorf("trees differ (- docker, + mydocker):\n%s", diff)
			}
		})
	}
	t.Run("import", func(t *testing.T) { importLikeDocker(t, dir, name) })
}

func importLikeDocker(t *testing.T, dir, name string) {
	changes := []string{`ENV A=1 B="x y"`, `CMD ["a"]`, `ENTRYPOINT e $A`, `LABEL l=$A m='$A'`, `EXPOSE 80 90-91/udp`, `USER u`, `VOLUME /v ["w"]`,
		`WORKDIR /a`, `WORKDIR b`, `ONBUILD RUN x`, `HEALTHCHECK --timeout=3s --retries=2 CMD a b`}
	args := []string{"import"}
	for _, c := range changes {
		args = append(args, "-c", c)
	}
	cmd := exec.Command("docker", append(args, "-", name+":two")...)
	cmd.Stdin = bytes.NewReader(base)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := store(t)
	load(t, s, []byte(run(t, dir, `docker save $0:two`, name)))
	docker, err := s.Resolve(name + ":two")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := s.Import(ctx, bytes.NewReader(base), ImportOptions{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(docker.Config.Config, ours.Config.Config); diff != "" {
		t.Errorf("configs differ (- docker, + mydocker):\n%s", diff)
	}
	if docker.Config.History[0].Comment != ours.Config.History[0].Comment {
		t.Errorf("history %+v, docker has %+v", ours.Config.History, docker.Config.History)
	}
}

func run(t *testing.T, dir, script string, args ...string) string {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-ec", script}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, stderr.String())
	}
	return string(out)
}

// seen mounts lower directories and describes every file.
func seen(t *testing.T, lower string) map[string]string {
	t.Helper()
	merged := t.TempDir()
	if !strings.Contains(lower, ":") {
		lower += ":" + t.TempDir() // the kernel wants two
	}
	if err := unix.Mount("overlay", merged, "overlay", unix.MS_RDONLY, "lowerdir="+lower); err != nil {
		t.Fatalf("mount overlay %s: %v", lower, err)
	}
	defer unix.Unmount(merged, 0)
	found := map[string]string{}
	err := filepath.WalkDir(merged, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%o %d:%d %d dev %x", st.Mode, st.Uid, st.Gid, st.Mtim.Nano(), st.Rdev)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, _ := os.Readlink(path)
			line += " -> " + target
		case unix.S_IFREG:
			data, _ := os.ReadFile(path)
			line += fmt.Sprintf(" %x links %d", sha256.Sum256(data), st.Nlink)
		}
		value := make([]byte, 64)
		if n, err := unix.Lgetxattr(path, "security.capability", value); err == nil {
			line += fmt.Sprintf(" capability %x", value[:n])
		}
		name, _ := filepath.Rel(merged, path)
		if name == "." { // not in the archive, so its time is that of unpacking
			line = fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
		}
		found[name] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
